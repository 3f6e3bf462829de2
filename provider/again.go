package provider

import (
	"net/http"
	"strconv"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"onedoor/oidc"
	"onedoor/store"
)

// beginAgain is for the person whose login was finished and who never got the
// answer: the replica that had it was killed, or the connection broke. The form
// is posted again, by a reload or by a balancer, the login is spent, and the
// cookie of the new session is lost. So the app's request is taken once more, as
// if it came now: the person types the password again and gets where they
// wanted. It is false for everybody else: another browser, and one that has a
// session and therefore the answer.
func (p *Provider) beginAgain(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession) bool {
	if !same(as.Store[storeBrowser], digest(p.cookie(r, cookieBrowser))) {
		return false
	}
	if hint, _ := as.Store[storeHint].(string); hint != "" {
		return false // its token is not kept
	}
	_, _, ok, err := p.loggedIn(r)
	if ok {
		return false
	}
	var client store.Client
	if err == nil {
		client, err = p.store.Client(r.Context(), as.ClientID)
	}
	switch {
	case isAway(err):
		refuseAway(w, r)
		return true
	case err != nil, client.RequirePushedRequests:
		return false // what was pushed is good once (RFC 9126 §2.2)
	}
	again := r.Clone(r.Context())
	again.Method, again.URL.Path, again.URL.RawQuery = http.MethodGet, pathAuthorize, requestOf(as).Encode()
	p.authorize(w, again)
	return true
}

// requestOf is the authorization request that a login was begun with.
func requestOf(as *goidc.AuthnSession) oidc.Params {
	ps := oidc.Params{{Name: "client_id", Value: as.ClientID}}
	add := func(name, value string) {
		if value != "" {
			ps = append(ps, oidc.Param{Name: name, Value: value})
		}
	}
	add("redirect_uri", as.RedirectURI)
	add("response_type", string(as.ResponseType))
	add("scope", as.Scopes)
	add("state", as.State)
	add("nonce", as.Nonce)
	add("code_challenge", as.CodeChallenge)
	add("code_challenge_method", string(as.CodeChallengeMethod))
	add("prompt", string(as.Prompt))
	add("login_hint", as.LoginHint)
	if as.MaxAuthnAgeSecs != nil {
		add("max_age", strconv.Itoa(*as.MaxAuthnAgeSecs))
	}
	if formPost, _ := as.Store[storeFormPost].(bool); formPost {
		add("response_mode", "form_post")
	}
	locales, _ := as.Store[storeUILocales].(string)
	add("ui_locales", locales)
	return ps
}
