package gateway

import (
	"net/http"

	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// token takes a token request (RFC 6749 §4.1.3): for an authorization code it
// opens the sealed one, checks that client and redirect URI are those of the
// authorization request, and lets the request go on with the provider's code
// and the registered redirect URI. Other grants pass as they came, and so does
// every answer, unread: the door holds no tokens.
//
// The code is not marked as used here. The provider does that, and it must not
// be burnt by a wrong secret: Go's client tries Basic first and then the body,
// with one code.
func (g *Gateway) token(w http.ResponseWriter, r *request, iss []*upstream.Issuer) {
	r.event.Leg = LegToken
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		g.refuseJSON(w, r, &oidc.Error{Status: http.StatusMethodNotAllowed, Code: oidc.InvalidRequest, Rule: "token.method", Description: "use POST"})
		return
	}
	f, app, issuer, bad := g.backChannel(w, r, iss)
	if bad != nil {
		g.refuseJSON(w, r, bad)
		return
	}
	redeems := f.params.Get("grant_type") == "authorization_code"
	if !redeems || r.event.App == "" {
		r.event.Leg = "" // no part of a login of an app's
	}
	if app == nil || !redeems {
		f.restore(r)
		g.pass(w, r)
		return
	}
	ps, bad := g.redeem(r, app, issuer, f.params)
	if bad != nil {
		g.refuseJSON(w, r, bad)
		return
	}
	setBody(r, ps.Encode())
	g.pass(w, r)
}

// backChannel reads a request of a client that authenticates itself. app is nil
// for clients that are none of ours, and for apps in relay mode.
func (g *Gateway) backChannel(w http.ResponseWriter, r *request, iss []*upstream.Issuer) (f form, app *tenant.App, issuer *upstream.Issuer, bad *oidc.Error) {
	if f, bad = g.readForm(w, r); bad != nil {
		return f, nil, nil, bad
	}
	if name := f.params.Repeated(); name != "" {
		return f, nil, nil, repeated(name)
	}
	if name := f.params.Alias(); name != "" {
		return f, nil, nil, &oidc.Error{Code: oidc.InvalidRequest, Rule: "param.alias", Description: "a parameter's name is written in a way that some would read as another's"}
	}
	id, bad := clientOf(r.Request, f.params)
	if bad != nil {
		return f, nil, nil, bad
	}
	if id == "" {
		return f, nil, nil, &oidc.Error{Status: http.StatusUnauthorized, Code: oidc.InvalidClient, Rule: "client.missing", Description: "the request names no client"}
	}
	app, issuer = g.app(iss, id)
	if app == nil || app.Mode != tenant.Transparent {
		g.noteRelayed(r, app, f.params)
		return f, nil, nil, nil
	}
	r.event.App = app.Name
	return f, app, issuer, nil
}

// redeem checks an authorization code grant and makes it the provider's.
func (g *Gateway) redeem(r *request, app *tenant.App, issuer *upstream.Issuer, ps oidc.Params) (oidc.Params, *oidc.Error) {
	invalid := func(rule string, cause error) *oidc.Error {
		return &oidc.Error{Code: oidc.InvalidGrant, Rule: rule, Description: "the authorization code is not valid for this request", Cause: cause}
	}
	t, err := g.openTransaction(seal.Code, issuer, ps.Get("code"))
	g.noteLogin(r, &t)
	if err != nil {
		return nil, invalid(sealRule("code.seal", err), err)
	}
	if t.clientID != app.ClientID {
		return nil, invalid("code.client", nil)
	}
	uri := ps.Get("redirect_uri")
	if !t.isFor(uri) {
		// "ensure that the redirect_uri parameter is present … and that their
		// values are identical" (RFC 6749 §4.1.3). The provider saw ours only.
		return nil, invalid("code.redirect_uri", otherURI(uri, t.isFor))
	}
	to, no := ofIssuer(issuer)(g.Directory.Again(r.Context(), app, uri, t.tenantID))
	if no != nil {
		return nil, invalid(no.Rule, no)
	}
	r.event.noteTarget(to)
	ours := append(make(oidc.Params, 0, 3), oidc.Param{Name: "code", Value: t.code}, oidc.Param{Name: "redirect_uri", Value: registered(app.RegisteredRedirectURI, issuer)})
	switch verifier := ps.Get("code_verifier"); {
	case t.pkce == pkceClient && verifier == "":
		return nil, invalid("pkce.verifier.missing", nil) // RFC 7636 §4.6
	case t.pkce != pkceClient && verifier != "":
		return nil, invalid("pkce.downgrade", nil) // RFC 9700 §4.8.2
	case t.pkce == pkceDoor:
		verifier, err := g.Ring.Verifier(t.keyID, t.id[:])
		if err != nil {
			return nil, invalid("pkce.key", err)
		}
		ours = append(ours, oidc.Param{Name: "code_verifier", Value: verifier})
	}
	return ps.With(ours...), nil
}
