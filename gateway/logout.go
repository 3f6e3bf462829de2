package gateway

import (
	"net/http"
	"slices"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// endSession takes a logout request (OIDC RP-Initiated Logout §2): it checks
// the app's post_logout_redirect_uri, puts the registered one in its place and
// a sealed state in the place of the app's. Without a post_logout_redirect_uri
// there is nothing to do.
func (g *Gateway) endSession(w http.ResponseWriter, r *request, iss []*upstream.Issuer) {
	r.event.Leg = LegLogout
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		g.methodNotAllowed(w, r, "GET, POST")
		return
	}
	f, bad := g.readForm(w, r)
	if bad != nil {
		g.refuse(w, r, status(bad), page.LogoutRefused, bad)
		return
	}
	ps := f.params
	uri := ps.Get("post_logout_redirect_uri")
	if uri == "" && ps.Count("post_logout_redirect_uri") < 2 {
		r.event.Leg = "" // nobody comes back from it
		f.restore(r)
		g.pass(w, r)
		return
	}
	app, issuer, bad := g.logoutApp(iss, ps)
	if bad != nil {
		g.refuse(w, r, http.StatusBadRequest, page.LogoutRefused, bad)
		return
	}
	if app == nil {
		r.event.Leg = ""
		f.restore(r)
		g.pass(w, r)
		return
	}
	r.event.App = app.Name
	ours, bad := g.isOurLogout(r, app, issuer, ps)
	if bad != nil {
		g.refuse(w, r, status(bad), page.LogoutRefused, bad)
		return
	}
	if ours {
		f.restore(r)
		g.pass(w, r)
		return
	}
	to, no := ofIssuer(issuer)(g.Directory.LogoutURI(r.Context(), app, uri))
	if no != nil {
		// "must NOT perform post-logout redirection if the
		// post_logout_redirect_uri value … does not exactly match" (§3).
		g.refuse(w, r, http.StatusBadRequest, page.LogoutRefused, &oidc.Error{Code: oidc.InvalidRequest, Rule: no.Rule, Cause: no})
		return
	}
	r.event.noteTarget(to)
	t := newTransaction(g.Ring)
	t.clientID, t.redirectURI, t.tenantID = app.ClientID, to.URI, to.Tenant.ID
	g.noteBegun(r, &t)
	if t.state, t.hasState = ps.Lookup("state"); len(t.state) > maxState {
		g.refuse(w, r, http.StatusBadRequest, page.LogoutRefused, &oidc.Error{Code: oidc.InvalidRequest, Rule: "state.size"})
		return
	}
	state, bad := g.sealState(r, seal.Logout, issuer, &t)
	if bad != nil {
		g.refuse(w, r, status(bad), page.LogoutRefused, bad)
		return
	}
	g.send(r, ps.Set("post_logout_redirect_uri", registered(app.RegisteredLogoutURI, issuer)).Set("state", state))
	g.pass(w, r)
}

// isOurLogout says whether a request is one that we made of an app's, and that
// the provider sent back to its own endpoint: a POST that it wants as a GET, or
// the form in which it asks the person. It leads where the first one would have
// led, if that is still allowed. It refuses only where it could not look.
func (g *Gateway) isOurLogout(r *request, app *tenant.App, issuer *upstream.Issuer, ps oidc.Params) (bool, *oidc.Error) {
	if ps.Get("post_logout_redirect_uri") != registered(app.RegisteredLogoutURI, issuer) {
		return false, nil
	}
	t, err := g.openTransaction(seal.Logout, issuer, ps.Get("state"))
	if keysUnread(err) {
		return false, &oidc.Error{Code: oidc.InvalidRequest, Rule: "seal.keys", Cause: err}
	}
	if opened := err == nil; !opened || t.clientID != app.ClientID {
		return false, nil
	}
	_, no := ofIssuer(issuer)(g.Directory.AgainLogout(r.Context(), app, t.redirectURI, t.tenantID))
	if no != nil && no.CouldNotLook() {
		return false, &oidc.Error{Code: oidc.InvalidRequest, Rule: no.Rule, Cause: no}
	}
	return no == nil, nil
}

// logoutApp finds the app that a logout request speaks of, by client_id or by
// the audience of the id_token_hint; where both are there, they must agree
// (§2). app is nil for a client that is none of ours.
func (g *Gateway) logoutApp(iss []*upstream.Issuer, ps oidc.Params) (*tenant.App, *upstream.Issuer, *oidc.Error) {
	if name := ps.Repeated(); name != "" {
		return nil, nil, repeated(name)
	}
	if name := ps.Alias(); name != "" {
		return nil, nil, &oidc.Error{Code: oidc.InvalidRequest, Rule: "param.alias"}
	}
	id := ps.Get("client_id")
	if hint, ok := unverified(ps.Get("id_token_hint")); ok {
		switch {
		case id == "" && hint.Party != "":
			id = hint.Party
		case id == "" && len(hint.Audience) == 1:
			id = hint.Audience[0]
		case id != "" && len(hint.Audience) > 0 && !slices.Contains(hint.Audience, id):
			return nil, nil, &oidc.Error{Code: oidc.InvalidRequest, Rule: "logout.hint", Description: "client_id and id_token_hint speak of two clients"}
		}
	}
	if id == "" {
		return nil, nil, &oidc.Error{Code: oidc.InvalidRequest, Rule: "logout.client", Description: "neither client_id nor id_token_hint says which client this is"}
	}
	app, issuer := g.app(iss, id)
	if app == nil || app.Mode != tenant.Transparent {
		return nil, nil, nil
	}
	return app, issuer, nil
}

// loggedOut takes the browser back from the provider after a logout, and sends
// it on to the app.
func (g *Gateway) loggedOut(w http.ResponseWriter, r *request) {
	if r.Method != http.MethodGet {
		g.methodNotAllowed(w, r, http.MethodGet)
		return
	}
	b, ok := g.comeBack(w, r, way{logoutPath, seal.Logout, page.LogoutRefused, page.LogoutRefused, (*tenant.Directory).AgainLogout})
	if !ok {
		return
	}
	if bad := g.recall(r, b.issuer, &b.transaction); bad != nil {
		g.refuseKept(w, r, page.LogoutRefused, b.to, bad)
		return
	}
	ps := b.params.Without("state")
	if b.hasState {
		ps = append(ps, oidc.Param{Name: "state", Value: b.state})
	}
	redirect(w, oidc.AppendQuery(b.to.URI, ps))
}
