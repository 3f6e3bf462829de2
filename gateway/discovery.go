package gateway

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"onedoor/horizon"
	"onedoor/oidc"
	"onedoor/page"
	"onedoor/tenant"
	"onedoor/upstream"
)

// maxDocuments bounds how many rendered documents are held, some 10 KB each:
// there is one for each tenant with an issuer of its own, and anybody may ask.
// When there are more, all are forgotten and made anew as they are asked for.
const maxDocuments = 4000

// document is a metadata document as callers of one origin see it.
type document struct {
	path, origin string
	horizon      horizon.Horizon
}

// rendered is a document's text, and what it was made from.
type rendered struct {
	from   *oidc.Metadata
	text   []byte
	length []string
}

// documentAt says whether a path is where a metadata document lies, and of
// which configured issuer; "" for one that is not configured. Such a document
// never comes from the provider as it is: it would name addresses that not
// every caller can reach.
func (g *Gateway) documentAt(path, plain string) (issuer, at string, ok bool) {
	if !strings.Contains(plain, "/.well-known/o") {
		return "", "", false
	}
	if issuer, ok := g.Provider.DocumentOf(path); ok {
		return issuer, path, true
	}
	return "", path, strings.Contains(plain, "/.well-known/openid-configuration") || strings.Contains(plain, "/.well-known/oauth-authorization-server")
}

// discovery answers with the provider's metadata as this caller can use it.
func (g *Gateway) discovery(w http.ResponseWriter, r *request, issuer, at string) {
	switch {
	case issuer == "":
		g.refuse(w, r, http.StatusNotFound, page.NotFound, rule{"issuer.unknown", at, "the document of one of " + strings.Join(g.Provider.Issuers(), ", ")})
		return
	case r.Method == http.MethodOptions:
		g.preflight(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		g.methodNotAllowed(w, r, "GET, HEAD")
		return
	}
	i, err := g.Provider.Issuer(issuer)
	if err != nil {
		g.notReady(w, r, err)
		return
	}
	m := i.Metadata
	if at != upstream.ConfigurationPath(issuer) {
		if m = i.OAuth[at]; m == nil {
			g.refuse(w, r, http.StatusNotFound, page.NotFound, rule{"issuer.oauth", at, "OAuth metadata, which the provider does not have there"})
			return
		}
	}
	doc := g.render(m, at, r.caller)
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = doc.length
	h["Cache-Control"] = noStore // it differs by horizon: no cache between may mix them up (THREATS T-51)
	h["X-Content-Type-Options"] = noSniff
	g.readableByScripts(h, r)
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(doc.text) // the caller has gone: nobody is left to tell
	}
}

var (
	jsonType = []string{"application/json"}
	noSniff  = []string{"nosniff"}
	anyone   = []string{"*"}
)

// render rewrites a document once for each horizon, not for each request: it
// costs a hundred times what sending it does.
func (g *Gateway) render(m *oidc.Metadata, at string, c horizon.Caller) *rendered {
	key := document{at, c.Origin, c.Horizon}
	if v, ok := g.documents.Load(key); ok && v.(*rendered).from == m {
		return v.(*rendered)
	}
	text := horizon.View(m, g.PublicOrigin, c, horizon.Carried{
		Everything:   !slices.ContainsFunc(g.Directory.Apps, func(a *tenant.App) bool { return a.Mode != tenant.Relay }),
		Registration: g.registrationOpen(m),
	}).JSON()
	doc := &rendered{from: m, text: text, length: []string{strconv.Itoa(len(text))}}
	if _, again := g.documents.Swap(key, doc); !again && g.rendered.Add(1) > maxDocuments {
		g.documents.Clear()
		g.rendered.Store(0)
	}
	return doc
}

func (g *Gateway) registrationOpen(m *oidc.Metadata) bool {
	path, ok := strings.CutPrefix(m.String(string(upstream.Registration)), g.PublicOrigin)
	return ok && g.exposed(path)
}

// readableByScripts lets pages of any site read a public document. Nothing in
// it is private, and no credentials go with such a request. The internal
// horizon has no browsers (THREATS T-58).
func (g *Gateway) readableByScripts(h http.Header, r *request) {
	if r.caller.Horizon == horizon.Public {
		h["Access-Control-Allow-Origin"] = anyone
	}
}

// preflight answers the question that browsers ask before some requests.
func (g *Gateway) preflight(w http.ResponseWriter, r *request) {
	h := w.Header()
	h["Allow"] = []string{"GET, HEAD"}
	h["Cache-Control"] = noStore
	g.readableByScripts(h, r)
	if h["Access-Control-Allow-Origin"] != nil {
		h["Access-Control-Allow-Methods"] = []string{"GET, HEAD"}
		h["Access-Control-Allow-Headers"] = []string{"Accept, Content-Type"}
	}
	w.WriteHeader(http.StatusNoContent)
}
