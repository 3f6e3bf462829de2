//go:build linux

package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// The legs of a login. The door decides the first, the third and the last.
const (
	legAuthorize = "authorize"
	legProvider  = "provider" // its pages
	legPassword  = "password" // its login form, posted
	legCallback  = "callback"
	legToken     = "token"
)

// crowd is what all people before one front have in common.
type crowd struct {
	front    string // nginx's address
	public   string // the public origin
	issuer   string
	clientID string
	secret   string
	password string
	site     string            // of a tenant: a format with one %s
	names    map[string]string // of the replicas, by address
	provider *oidc.Provider
	ledger   *ledger
	line     *timeline
	kills    *kills
	patience time.Duration // with errors, before a login counts as lost
	thinking time.Duration // the longest pause between two legs
}

// verdict ends a login.
type verdict struct {
	outcome   outcome
	why       string
	reference string
}

func (v *verdict) String() string { return v.outcome.String() + ": " + v.why }

func losing(format string, args ...any) *verdict {
	return &verdict{outcome: lost, why: fmt.Sprintf(format, args...)}
}

// logIn logs the person in at a tenant's site and enters how it ended.
func (p *person) logIn(ctx context.Context, tenant string) outcome {
	e := p.ledger.begin(tenant, time.Now())
	v := p.run(ctx, e)
	e.reference = v.reference
	p.ledger.end(e, v.outcome, v.why, time.Now())
	return v.outcome
}

func (p *person) run(ctx context.Context, e *entry) *verdict {
	redirectURI := fmt.Sprintf(p.site, e.tenant) + "/callback"
	state, nonce := rand.Text(), rand.Text()
	response, v := p.walk(ctx, e, p.request(redirectURI, state, nonce), redirectURI)
	if v != nil {
		return v
	}
	if response.Get("state") != state || response.Get("iss") != p.issuer || response.Get("code") == "" {
		return losing("the response is %v", response)
	}
	p.think(ctx)
	return p.redeem(ctx, e, response.Get("code"), redirectURI, nonce)
}

// request is an app's authorization request.
func (c *crowd) request(redirectURI, state, nonce string) string {
	return c.provider.Endpoint().AuthURL + "?" + url.Values{
		"response_type": {"code"}, "client_id": {c.clientID}, "redirect_uri": {redirectURI},
		"scope": {"openid profile"}, "state": {state}, "nonce": {nonce},
	}.Encode()
}

var (
	keycloakForm = regexp.MustCompile(`<form id="kc-form-login"[^>]* action="([^"]+)"`)
	embeddedForm = regexp.MustCompile(`<input id="password" name="password"`)
	// Keycloak's page for a form that it has taken already.
	continueLink = regexp.MustCompile(`id="loginContinueLink" href="([^"]+)"`)
)

// loginForm is where the login form on a page leads; "" where there is none.
func loginForm(page, at string) string {
	if form := keycloakForm.FindStringSubmatch(page); form != nil {
		return html.UnescapeString(form[1])
	}
	if embeddedForm.MatchString(page) {
		return at
	}
	return ""
}

// walk goes from the authorization request to the redirect to the tenant's site,
// and gives what the site is told.
func (p *person) walk(ctx context.Context, e *entry, at, redirectURI string) (url.Values, *verdict) {
	leg, method, fields := legAuthorize, http.MethodGet, url.Values(nil)
	for range 12 {
		a, err := p.ask(ctx, e, leg, p.browser, method, at, fields)
		if err != nil {
			return nil, losing("%s: %v", leg, err)
		}
		if v := p.judge(e, leg, a); v != nil {
			return nil, v
		}
		form := loginForm(a.body, at)
		switch {
		case strings.HasPrefix(a.location, redirectURI+"?"):
			u, err := url.Parse(a.location)
			if err != nil {
				return nil, losing("%s: %v", leg, err)
			}
			return u.Query(), nil
		case strings.HasPrefix(a.location, p.public+"/onedoor/callback?"):
			leg, method, at, fields = legCallback, http.MethodGet, a.location, nil
		case strings.HasPrefix(a.location, p.public+"/"):
			leg, method, at, fields = legProvider, http.MethodGet, a.location, nil
		case continueLink.MatchString(a.body):
			leg, method, at, fields = legProvider, http.MethodGet, html.UnescapeString(continueLink.FindStringSubmatch(a.body)[1]), nil
		case form != "" && a.status == http.StatusOK:
			leg, method, at = legPassword, http.MethodPost, form
			fields = url.Values{"username": {p.username}, "password": {p.password}}
		default:
			return nil, p.stuck(leg, a)
		}
		p.think(ctx)
	}
	return nil, losing("the login leads in a circle")
}

// judge looks whether an answer of the door's is what it owed. nil: go on.
func (p *person) judge(e *entry, leg string, a *answer) *verdict {
	var no bool
	switch leg {
	case legAuthorize:
		no = a.status == http.StatusBadRequest
	case legCallback:
		no = a.status == http.StatusForbidden
	case legToken:
		// The door's own words: the provider says invalid_grant in others.
		no = a.status == http.StatusBadRequest && strings.Contains(a.body, "the authorization code is not valid for this request")
	default:
		return nil
	}
	owed := p.line.duty(e.tenant, a.by(), a.began, a.ended)
	switch {
	case no && owed == serve:
		v := losing("%s: refused, although tenant %s is active: %d %s", leg, e.tenant, a.status, shorten(a.body))
		v.reference = a.reference
		return v
	case no:
		return &verdict{refused, leg, a.reference}
	case owed == refuse && (leg == legToken && a.status == http.StatusOK || leg != legToken && a.location != ""):
		return &verdict{admitted, fmt.Sprintf("%s: answered %d by %s, although tenant %s is not active", leg, a.status, p.names[a.by()], e.tenant), a.reference}
	}
	return nil
}

// stuck judges a login that goes on nowhere. The one excuse is a kill between
// the provider's having taken a code and its answer's arrival. A login form is
// shown again.
func (p *person) stuck(leg string, a *answer) *verdict {
	if leg == legToken && len(a.everAsked) > 1 {
		if why := p.kills.explain(a.first, a.ended, a.everAsked); why != "" {
			return &verdict{cutOff, leg + ": " + why, a.reference}
		}
	}
	v := losing("%s: ends at %d %q, asked %v: %s", leg, a.status, a.location, a.everAsked, shorten(a.body))
	v.reference = a.reference
	return v
}

// redeem is the app's: it redeems the code and looks whether the tokens are this
// login's.
func (p *person) redeem(ctx context.Context, e *entry, code, redirectURI, nonce string) *verdict {
	a, err := p.ask(ctx, e, legToken, p.app, http.MethodPost, p.provider.Endpoint().TokenURL, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirectURI},
	})
	if err != nil {
		return losing("%s: %v", legToken, err)
	}
	if v := p.judge(e, legToken, a); v != nil {
		return v
	}
	if a.status != http.StatusOK {
		return p.stuck(legToken, a)
	}
	var tokens struct {
		AccessToken string `json:"access_token"`
		IDToken     string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(a.body), &tokens); err != nil || tokens.AccessToken == "" {
		return losing("token: an answer without tokens: %v", err)
	}
	id, err := p.provider.Verifier(&oidc.Config{ClientID: p.clientID}).Verify(ctx, tokens.IDToken)
	switch {
	case err != nil:
		return losing("token: the ID token: %v", err)
	case id.Nonce != nonce:
		return losing("token: the ID token is another login's")
	}
	return &verdict{outcome: finished}
}
