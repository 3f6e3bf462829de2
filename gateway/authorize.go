package gateway

import (
	"net/http"
	"strings"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// authorize takes an authorization request (RFC 6749 §4.1.1) in transparent
// mode: it checks the app's own redirect URI, puts the registered one in its
// place and a sealed state in the place of the app's, and lets the request go
// on to the provider. Requests of clients that are no app of ours, or of one in
// relay mode, go on as they came.
func (g *Gateway) authorize(w http.ResponseWriter, r *request, iss []*upstream.Issuer) {
	r.event.Leg = LegAuthorize
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		g.methodNotAllowed(w, r, "GET, POST")
		return
	}
	f, bad := g.readForm(w, r)
	if bad != nil {
		g.refuse(w, r, status(bad), page.BadRequest, bad)
		return
	}
	ps := f.params
	if ps.Count("client_id") > 1 {
		g.refuse(w, r, http.StatusBadRequest, page.BadRequest, repeated("client_id"))
		return
	}
	if name := ps.AliasOf("client_id"); name != "" {
		// The provider might read a client of ours there, and we see a stranger's.
		g.refuse(w, r, http.StatusBadRequest, page.BadRequest, &oidc.Error{Code: oidc.InvalidRequest, Rule: "param.alias"})
		return
	}
	app, issuer := g.app(iss, ps.Get("client_id"))
	if app == nil || app.Mode != tenant.Transparent {
		g.notePassing(r, app, ps)
		f.restore(r)
		g.pass(w, r)
		return
	}
	r.event.App = app.Name
	if ps.Get("request_uri") != "" {
		g.authorizePushed(w, r, app, issuer, ps)
		return
	}
	to, bad := g.checkTarget(r, app, issuer, ps)
	if bad != nil {
		g.refuse(w, r, http.StatusBadRequest, page.InvalidRedirectURI, bad)
		return
	}
	if bad := g.checkRequest(app, issuer, ps); bad != nil {
		g.answerError(w, r, to, issuer, ps, bad)
		return
	}
	if app.RequirePAR {
		g.answerError(w, r, to, issuer, ps, &oidc.Error{
			Code: oidc.InvalidRequest, Rule: "par.required", Description: "this client must push its authorization requests (RFC 9126)",
		})
		return
	}
	t := g.begin(app, to, issuer, ps)
	g.noteBegun(r, &t)
	next, bad := g.toProvider(r, app, to, issuer, ps, &t)
	if bad != nil {
		g.answerError(w, r, to, issuer, ps, bad)
		return
	}
	if t.bound {
		g.bind(w, r, &t)
	}
	g.send(r, next)
	g.pass(w, r)
}

// send replaces the parameters of a request.
func (g *Gateway) send(r *request, ps oidc.Params) {
	if r.Method == http.MethodPost {
		setBody(r, ps.Encode())
		return
	}
	r.query = oidc.AppendQuery("", ps) // with its "?"
}

// checkTarget decides whether the request's redirect URI is good. Until it has
// said yes, nothing may be sent there (RFC 6749 §4.1.2.1: the authorization
// server "MUST NOT automatically redirect the user-agent to the invalid
// redirection URI").
func (g *Gateway) checkTarget(r *request, app *tenant.App, issuer *upstream.Issuer, ps oidc.Params) (tenant.Target, *oidc.Error) {
	for _, name := range []string{"redirect_uri", "state"} {
		if ps.Count(name) > 1 {
			return tenant.Target{}, repeated(name)
		}
	}
	if name := ps.Alias(); name != "" {
		return tenant.Target{}, &oidc.Error{Code: oidc.InvalidRequest, Rule: "param.alias", Description: "a parameter's name is written in a way that some would read as another's"}
	}
	to, no := ofIssuer(issuer)(g.Directory.RedirectURI(r.Context(), app, ps.Get("redirect_uri")))
	if no != nil {
		return tenant.Target{}, &oidc.Error{Code: oidc.InvalidRequest, Rule: no.Rule, Description: "redirect_uri is not registered for this client", Cause: no}
	}
	r.event.noteTarget(to)
	return to, nil
}

// ofIssuer refuses a target that is not of the issuer that was asked: a site of
// one tenant at the issuer of another, or of a tenant whose people another
// issuer knows (THREATS T-39). Every decision about a target passes through it.
func ofIssuer(issuer *upstream.Issuer) func(tenant.Target, *tenant.Refusal) (tenant.Target, *tenant.Refusal) {
	return func(to tenant.Target, no *tenant.Refusal) (tenant.Target, *tenant.Refusal) {
		if no == nil {
			no = to.At(issuer.Configured())
		}
		if no == nil && issuer.Tenant != "" && to.Tenant.Label != issuer.Tenant {
			no = &tenant.Refusal{Rule: "issuer.tenant", Got: to.URI, Want: "a site of tenant " + issuer.Tenant}
		}
		if no != nil {
			return tenant.Target{}, no
		}
		return to, nil
	}
}

// registered is a registered URI of the app at that issuer: with an issuer for
// each tenant, each knows one of its own.
func registered(uri string, issuer *upstream.Issuer) string {
	if issuer.Tenant == "" {
		return uri
	}
	return strings.Replace(uri, "{tenant}", issuer.Tenant, 1)
}

func repeated(name string) *oidc.Error {
	return &oidc.Error{Code: oidc.InvalidRequest, Rule: "param.repeated." + name, Description: "a parameter stands twice"}
}

// checkRequest refuses what cannot be carried safely once the redirect URI is
// known to be good.
func (g *Gateway) checkRequest(app *tenant.App, issuer *upstream.Issuer, ps oidc.Params) *oidc.Error {
	refuse := func(code, rule, text string) *oidc.Error {
		return &oidc.Error{Code: code, Rule: rule, Description: text}
	}
	if name := ps.Repeated(); name != "" {
		return repeated(name)
	}
	if ps.Get("request") != "" {
		// Its signed parameters override the rewritten ones (RFC 9101 §6.3).
		return refuse(oidc.RequestNotSupported, "request.object", "request objects cannot pass: use PAR")
	}
	switch ps.Get("response_type") {
	case "code":
	case "":
		return refuse(oidc.InvalidRequest, "response_type.missing", "response_type is missing")
	default:
		// c_hash and s_hash are made over the provider's code and the sealed
		// state (OIDC Core §3.3.2.11); tokens in the front channel besides.
		return refuse(oidc.UnsupportedResponseType, "response_type", "response_type must be code")
	}
	switch ps.Get("response_mode") {
	case "", "query", "form_post":
	default:
		return refuse(oidc.InvalidRequest, "response_mode", "response_mode must be query or form_post")
	}
	if len(ps.Get("state")) > maxState {
		return refuse(oidc.InvalidRequest, "state.size", "state is longer than 8 KiB")
	}
	return checkPKCE(app, issuer, ps)
}

// checkPKCE refuses what would leave the code unbound (RFC 9700 §2.1.1).
func checkPKCE(app *tenant.App, issuer *upstream.Issuer, ps oidc.Params) *oidc.Error {
	challenge, method := ps.Get("code_challenge"), ps.Get("code_challenge_method")
	if challenge == "" && method == "" {
		if app.Type != tenant.Confidential {
			return &oidc.Error{Code: oidc.InvalidRequest, Rule: "pkce.missing", Description: "code challenge required"} // RFC 7636 §4.4.1
		}
		if !issuer.S256 && !app.AcceptUnboundCodes {
			return &oidc.Error{
				Code: oidc.ServerError, Rule: "pkce.provider",
				Description: "the provider does not announce PKCE with S256, without which codes cannot be bound",
			}
		}
		return nil
	}
	if method != "S256" || len(challenge) != 43 || strings.Trim(challenge, base64url) != "" {
		return &oidc.Error{Code: oidc.InvalidRequest, Rule: "pkce.challenge", Description: "code_challenge must be an S256 challenge of 43 characters"}
	}
	return nil
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

// begin makes the transaction of a request that was found good.
func (g *Gateway) begin(app *tenant.App, to tenant.Target, issuer *upstream.Issuer, ps oidc.Params) transaction {
	t := newTransaction(g.Ring)
	t.clientID, t.redirectURI, t.tenantID, t.bound = app.ClientID, to.URI, to.Tenant.ID, app.BrowserBinding
	t.state, t.hasState = ps.Lookup("state")
	t.formPost = ps.Get("response_mode") == "form_post"
	switch {
	case ps.Get("code_challenge") != "":
		t.pkce = pkceClient
	case issuer.S256:
		t.pkce = pkceDoor
	}
	return t
}

// toProvider is the request as the provider gets it. What is ours changes in its
// place, the rest stays.
func (g *Gateway) toProvider(r *request, app *tenant.App, to tenant.Target, issuer *upstream.Issuer, ps oidc.Params, t *transaction) (oidc.Params, *oidc.Error) {
	state, bad := g.sealState(r, seal.State, issuer, t)
	if bad != nil {
		return nil, bad
	}
	ours := append(make(oidc.Params, 0, 4), oidc.Param{Name: "redirect_uri", Value: registered(app.RegisteredRedirectURI, issuer)}, oidc.Param{Name: "state", Value: state})
	if t.pkce == pkceDoor {
		// The provider's code is then worth nothing outside this transaction:
		// without it, whoever has somebody's raw code could have us seal it
		// for a login of his own (THREATS §3.4).
		verifier, _ := g.Ring.Verifier(t.keyID, t.id[:]) // the primary key's: always there
		ours = append(ours, oidc.Param{Name: "code_challenge", Value: seal.Challenge(verifier)}, oidc.Param{Name: "code_challenge_method", Value: "S256"})
	}
	ps = ps.With(ours...)
	for _, p := range to.Parameters() {
		if ps.Get(p.Name) == "" {
			ps = ps.Set(p.Name, p.Value)
		}
	}
	return ps, nil
}

// answerError sends an authorization error to the redirect URI, which has been
// found good (RFC 6749 §4.1.2.1), in the way that the app asked for. Where we
// could not look it is a page: the same request is good in a moment, and at once
// at another replica, which a balancer asks for a 503 and not for a redirect.
func (g *Gateway) answerError(w http.ResponseWriter, r *request, to tenant.Target, issuer *upstream.Issuer, ps oidc.Params, e *oidc.Error) {
	if couldNotLook(e) {
		g.refuse(w, r, status(e), page.ProviderUnavailable, e)
		return
	}
	g.logRefusal(r, status(e), e)
	state, has := ps.Lookup("state")
	if len(state) > maxState {
		has = false // too long to come back
	}
	iss := ""
	if issuer.Metadata.Bool("authorization_response_iss_parameter_supported") {
		iss = issuer.ID
	}
	respond(w, r.Request, to.URI, e.Response(state, has, iss), ps.Get("response_mode") == "form_post")
}

// respond sends an authorization response to a redirect URI that tenant has
// found good at this moment.
func respond(w http.ResponseWriter, r *http.Request, uri string, ps oidc.Params, formPost bool) {
	if formPost {
		fields := make([]page.Field, len(ps))
		for i, p := range ps {
			fields[i] = page.Field{Name: p.Name, Value: p.Value}
		}
		page.FormPost(w, r, uri, fields)
		return
	}
	redirect(w, oidc.AppendQuery(uri, ps))
}

// redirect sends the browser on by 303: a POST never takes its body along
// (THREATS T-27). Nothing of the way is kept anywhere.
func redirect(w http.ResponseWriter, location string) {
	h := w.Header()
	h["Location"] = []string{location}
	h["Cache-Control"] = noStore
	h["Referrer-Policy"] = noReferrer
	w.WriteHeader(http.StatusSeeOther)
}

// status is the HTTP status of a direct answer.
func status(e *oidc.Error) int {
	if e.Status == 0 {
		return http.StatusBadRequest
	}
	return e.Status
}
