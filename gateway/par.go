package gateway

import (
	"bytes"
	"io"
	"net/http"
	"strings"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// requestURN begins every request_uri that we hand out (RFC 9126 §2.2).
const requestURN = "urn:ietf:params:oauth:request_uri:"

// maxAnswer bounds the answers of the provider that we read, in octets.
const maxAnswer = 64 << 10

// pushed takes a pushed authorization request (RFC 9126 §2.1): the same checks
// as in front, answered in JSON, and the same rewriting. The request_uri of the
// answer is sealed, with the client and the transaction in it: a handle that
// another client pushed, or that we did not hand out, is refused by us already.
func (g *Gateway) pushed(w http.ResponseWriter, r *request, iss []*upstream.Issuer) {
	r.event.Leg = LegPushed
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		g.refuseJSON(w, r, &oidc.Error{Status: http.StatusMethodNotAllowed, Code: oidc.InvalidRequest, Rule: "par.method", Description: "use POST"}) // RFC 9126 §2.3
		return
	}
	f, app, issuer, bad := g.backChannel(w, r, iss)
	if bad != nil {
		g.refuseJSON(w, r, bad)
		return
	}
	if app == nil {
		g.notePassing(r, nil, nil)
		f.restore(r)
		g.pass(w, r)
		return
	}
	ps := f.params
	if ps.Get("request_uri") != "" {
		g.refuseJSON(w, r, &oidc.Error{Code: oidc.InvalidRequest, Rule: "par.request_uri", Description: "request_uri must not be pushed"}) // RFC 9126 §2.1
		return
	}
	if ps.Get("request") != "" {
		g.refuseJSON(w, r, &oidc.Error{Code: oidc.RequestNotSupported, Rule: "request.object", Description: "request objects cannot pass"})
		return
	}
	to, bad := g.checkTarget(r, app, issuer, ps)
	if bad == nil {
		bad = g.checkRequest(app, issuer, ps)
	}
	if bad != nil {
		g.refuseJSON(w, r, bad)
		return
	}
	t := g.begin(app, to, issuer, ps)
	g.noteBegun(r, &t)
	next, bad := g.toProvider(r, app, to, issuer, ps, &t)
	if bad != nil {
		g.refuseJSON(w, r, bad)
		return
	}
	setBody(r, next.Encode())
	r.modify = func(resp *http.Response) error { return g.sealRequestURI(resp, issuer, t) }
	g.pass(w, r)
}

// sealRequestURI puts our handle in the place of the provider's.
func (g *Gateway) sealRequestURI(resp *http.Response, issuer *upstream.Issuer, t transaction) error {
	if resp.StatusCode != http.StatusCreated {
		return nil // an error of the provider passes as it is
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	m, err := oidc.ParseMetadata(body) // any JSON object will do: its other members stay as they are
	if err != nil || m.String("request_uri") == "" {
		return upstream.ErrAnswer
	}
	t.code, t.state = m.String("request_uri"), ""
	m.Set("request_uri", requestURN+g.Ring.Seal(seal.Pushed, issuer.ID, t.encode()))
	body = m.JSON()
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	resp.Header.Del("Content-Length")
	return nil
}

// authorizePushed takes the authorization request of a pushed one. Of its
// parameters only client_id and request_uri count; all others are ignored and
// go no further (RFC 9126 §4, RFC 9101 §6.3).
func (g *Gateway) authorizePushed(w http.ResponseWriter, r *request, app *tenant.App, issuer *upstream.Issuer, ps oidc.Params) {
	if ps.Count("request_uri") > 1 {
		g.refuse(w, r, http.StatusBadRequest, page.BadRequest, repeated("request_uri"))
		return
	}
	handle, ours := strings.CutPrefix(ps.Get("request_uri"), requestURN)
	t, err := g.openTransaction(seal.Pushed, issuer, handle)
	g.noteLogin(r, &t)
	if !ours || err != nil || t.clientID != app.ClientID {
		g.refuseRequestURI(w, r, app, issuer, ps, err)
		return
	}
	to, no := ofIssuer(issuer)(g.Directory.Again(r.Context(), app, t.redirectURI, t.tenantID))
	if no != nil {
		g.refuse(w, r, http.StatusForbidden, page.UnknownTenant, &oidc.Error{Code: oidc.InvalidRequest, Rule: no.Rule, Cause: no})
		return
	}
	r.event.noteTarget(to)
	if t.bound {
		g.bind(w, r, &t)
	}
	g.send(r, oidc.Params{{Name: "client_id", Value: app.ClientID}, {Name: "request_uri", Value: t.code}})
	g.pass(w, r)
}

// refuseRequestURI refuses a request_uri that we did not hand out: the provider
// would fetch it, and its redirect URI would override ours (THREATS T-20, T-21).
func (g *Gateway) refuseRequestURI(w http.ResponseWriter, r *request, app *tenant.App, issuer *upstream.Issuer, ps oidc.Params, err error) {
	if couldNotLook(err) {
		g.refuse(w, r, http.StatusServiceUnavailable, page.ProviderUnavailable, &oidc.Error{Code: oidc.TemporarilyUnavailable, Rule: sealRule("request_uri", err), Cause: err})
		return
	}
	e := &oidc.Error{Code: oidc.RequestURINotSupported, Rule: "request_uri", Description: "request_uri must be one that was pushed here (RFC 9126)", Cause: err}
	if to, bad := g.checkTarget(r, app, issuer, ps); bad == nil {
		g.answerError(w, r, to, issuer, ps, e)
		return
	}
	g.refuse(w, r, http.StatusBadRequest, page.UnsupportedRequest, e)
}
