package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// callback takes the provider's authorization response (RFC 6749 §4.1.2) at the
// registered redirect URI: it opens the state, asks the registry again, and
// sends the response on to the app's own redirect URI, with the app's own state
// and a sealed code in the place of the provider's.
//
// Whatever is wrong here is answered by a page. The one address that the
// response names is in the seal, and a seal that is in doubt names nobody.
func (g *Gateway) callback(w http.ResponseWriter, r *request) {
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		g.methodNotAllowed(w, r, "GET, POST")
		return
	}
	b, ok := g.comeBack(w, r, way{callbackPath, seal.State, page.InvalidState, page.LoginExpired, (*tenant.Directory).Again})
	if !ok {
		return
	}
	r.event.ProviderError = oidc.KnownCode(b.params.Get("error"))
	if bad := checkResponse(r, b.issuer, b.params, &b.transaction); bad != nil {
		g.refuse(w, r, http.StatusBadRequest, page.InvalidState, bad)
		return
	}
	if !g.sameBrowser(r, &b.transaction) {
		g.refuseAndReturn(w, r, page.WrongBrowser, b.to, &oidc.Error{Code: oidc.InvalidRequest, Rule: "state.browser"})
		return
	}
	if bad := g.recall(r, b.issuer, &b.transaction); bad != nil {
		g.refuseKept(w, r, page.LoginExpired, b.to, bad)
		return
	}
	g.unbind(w, &b.transaction)
	respond(w, r.Request, b.to.URI, g.response(b.issuer, b.params, &b.transaction), b.formPost)
}

// way is one of the two ways on which the provider sends browsers back to us.
type way struct {
	base     string       // the registered address
	purpose  seal.Purpose // of its state
	refused  string       // the page for a state that is in doubt
	tooLate  string       // the page for one that has expired
	askAgain func(d *tenant.Directory, ctx context.Context, app *tenant.App, uri, tenantID string) (tenant.Target, *tenant.Refusal)
}

// returned is a browser that came back with a transaction of ours, and where it
// may go at this moment.
type returned struct {
	transaction
	issuer *upstream.Issuer
	params oidc.Params
	to     tenant.Target
}

// comeBack opens the state that a browser brings back and asks the registry
// again. It answers what cannot go on, and says so by false.
func (g *Gateway) comeBack(w http.ResponseWriter, r *request, by way) (b returned, ok bool) {
	var err error
	if b.issuer, err = g.issuerAt(r, by.base); err != nil {
		g.notReady(w, r, err)
		return b, false
	}
	f, bad := g.readForm(w, r)
	if bad == nil && f.params.Repeated() != "" {
		bad = repeated(f.params.Repeated())
	}
	if bad != nil {
		g.refuse(w, r, status(bad), by.refused, bad)
		return b, false
	}
	b.params = f.params
	b.transaction, err = g.openTransaction(by.purpose, b.issuer, b.params.Get("state"))
	if err != nil && !errors.Is(err, seal.ErrExpired) {
		g.refuse(w, r, http.StatusBadRequest, by.refused, &oidc.Error{Code: oidc.InvalidRequest, Rule: sealRule("state.seal", err), Cause: err})
		return b, false
	}
	g.noteLogin(r, &b.transaction)
	app := g.Directory.App(b.clientID, b.issuer.Configured())
	if app == nil || app.Mode != tenant.Transparent {
		g.refuse(w, r, http.StatusBadRequest, page.InvalidClient, &oidc.Error{Code: oidc.InvalidClient, Rule: "client.gone"})
		return b, false
	}
	r.event.App = app.Name
	var no *tenant.Refusal
	if b.to, no = ofIssuer(b.issuer)(by.askAgain(g.Directory, r.Context(), app, b.redirectURI, b.tenantID)); no != nil {
		g.refuse(w, r, http.StatusForbidden, page.UnknownTenant, &oidc.Error{Code: oidc.InvalidRequest, Rule: no.Rule, Cause: no})
		return b, false
	}
	r.event.noteTarget(b.to)
	if err != nil {
		g.refuseAndReturn(w, r, by.tooLate, b.to, &oidc.Error{Code: oidc.InvalidRequest, Rule: "state.expired", Cause: err})
		return b, false
	}
	return b, true
}

// issuerAt finds the issuer whose registered URI was called: with several
// issuers each has its own, so that a response of one can never pass for a
// response of another (THREATS T-39).
func (g *Gateway) issuerAt(r *request, base string) (*upstream.Issuer, error) {
	path := strings.TrimPrefix(r.path, base)
	if all := g.Provider.Issuers(); path == "" && len(all) == 1 {
		path = all[0]
	} else if path == "" {
		path = "/"
	}
	return g.Provider.Issuer(path)
}

// openTransaction opens a sealed value of that issuer. An expired one comes
// with seal.ErrExpired.
func (g *Gateway) openTransaction(p seal.Purpose, issuer *upstream.Issuer, text string) (transaction, error) {
	ttl := g.LoginTTL
	if p == seal.Code {
		ttl = g.CodeTTL
	}
	raw, err := g.Ring.Open(p, issuer.ID, text, ttl)
	if err != nil && !errors.Is(err, seal.ErrExpired) {
		return transaction{}, err
	}
	t, bad := decodeTransaction(raw)
	if bad != nil {
		return transaction{}, bad
	}
	return t, err
}

// checkResponse refuses a response that does not have the form that was asked
// for: then it is an answer to another request than ours.
func checkResponse(r *request, issuer *upstream.Issuer, ps oidc.Params, t *transaction) *oidc.Error {
	refuse := func(rule string) *oidc.Error { return &oidc.Error{Code: oidc.InvalidRequest, Rule: rule} }
	if (r.Method == http.MethodPost) != t.formPost {
		return refuse("response.mode")
	}
	for _, name := range []string{"response", "id_token", "access_token", "token_type"} {
		if _, has := ps.Lookup(name); has {
			return refuse("response." + name)
		}
	}
	if (ps.Get("code") == "") == (ps.Get("error") == "") {
		return refuse("response.code")
	}
	iss, has := ps.Lookup("iss")
	switch {
	case has && iss != issuer.ID: // simple string comparison (RFC 9207 §2.4)
		bad := refuse("response.iss")
		bad.Cause = &tenant.Refusal{Rule: bad.Rule, Got: shorten(iss), Want: issuer.ID, Differs: tenant.Differ(iss, issuer.ID)}
		return bad
	case !has && issuer.Metadata.Bool("authorization_response_iss_parameter_supported"):
		return refuse("response.iss.missing")
	}
	return nil
}

// response is what the app gets: everything as the provider sent it, less
// session_state, which was computed for our origin and would tell the app's own
// session check that the session had changed (OIDC Session Management §3.2).
func (g *Gateway) response(issuer *upstream.Issuer, ps oidc.Params, t *transaction) oidc.Params {
	ps = ps.Without("session_state")
	for i := range ps { // a copy, which may be changed
		switch {
		case ps[i].Name == "code" && ps[i].Value != "":
			c := t.forCode(ps[i].Value)
			ps[i].Value = g.Ring.Seal(seal.Code, issuer.ID, c.encode())
		case ps[i].Name == "state":
			ps[i].Value = t.state
		}
	}
	if !t.hasState {
		return ps.Without("state") // one that the app did not send would be refused
	}
	return ps
}
