package provider

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	engine "github.com/luikyv/go-oidc/pkg/provider"

	"onedoor/page"
	"onedoor/store"
)

// Endpoints, under the issuer.
const (
	pathAuthorize = "/authorize"
	pathToken     = "/token"
	pathUserinfo  = "/userinfo"
	pathKeys      = "/jwks"
	pathPAR       = "/par"
	pathRevoke    = "/revoke"
	pathLogout    = "/logout"
)

// scopes are those that mean something here; others are ignored.
var scopes = []string{"openid", "profile", "email", "offline_access"}

// newEngine sets the protocol engine up. What it leaves out is as deliberate:
// no request objects, no implicit flow, no registration, no device flow.
func (p *Provider) newEngine() (http.Handler, error) {
	known := make([]goidc.Scope, len(scopes))
	for i, s := range scopes {
		known[i] = goidc.NewScope(s)
	}
	random := func(context.Context) string { return rand.Text() }
	rows := rows{p}
	e, err := engine.New(p.issuer, rows, func(context.Context) (goidc.JSONWebKeySet, error) {
		return goidc.JSONWebKeySet{Keys: p.keys.all()}, nil // the engine publishes the public halves
	},
		engine.WithAuthCodeGrant(rows, goidc.ResponseTypeCode),
		engine.WithRefreshTokenGrant(rows),
		engine.WithRefreshTokenRotation(),
		engine.WithRefreshTokenLifetime(seconds(refreshLifetime)),
		engine.WithRefreshTokenShouldIssue(func(_ context.Context, _ *goidc.Client, g *goidc.Grant) bool {
			return slices.Contains(strings.Fields(g.Scopes), "offline_access") // OIDC Core §11
		}),
		engine.WithPAR(rows),
		engine.WithPARLifetime(seconds(pushedLifetime)),
		engine.WithPARSessionHandler(p.keepPushed),
		// The way to clients that are not compiled in. Its endpoint has no route.
		engine.WithDCR(rows),
		// Basic becomes post before the engine sees it (client.go).
		engine.WithSecretPostAuthn(),
		engine.WithNoneAuthn(),
		engine.WithClientSecretVerifier(verifySecret),
		engine.WithJTIConsumer(func(context.Context, string) error { return errors.New("no client authenticates by JWT") }),
		engine.WithTokenRevocation(func(context.Context, *goidc.Client) bool { return true }),
		engine.WithTokenRevocationRevokeGrantOnAccessToken(),
		engine.WithPKCE(goidc.CodeChallengeMethodSHA256),
		engine.WithIssuerResponseParameter(),
		engine.WithScopes(known...),
		engine.WithIDTokenSignatureAlgs(goidc.ES256, goidc.RS256),
		engine.WithIDTokenLifetime(seconds(tokenLifetime)),
		engine.WithTokenOptions(func(context.Context, *goidc.Grant, *goidc.Client) goidc.TokenOptions {
			return goidc.NewJWTTokenOptions(goidc.ES256, seconds(tokenLifetime))
		}),
		engine.WithIDTokenClaims(p.idTokenClaims),
		engine.WithUserInfoClaims(p.userClaims),
		engine.WithClaims("sub", "name", "preferred_username", "updated_at", "email", "email_verified", "auth_time", "amr", "sid"),
		engine.WithGrantHandler(cleanGrant),
		engine.WithPolicies(goidc.NewPolicy("password", func(*http.Request, *goidc.AuthnSession, *goidc.Client) bool { return true }, p.authenticate)),
		engine.WithAuthSessionLifetime(seconds(loginLifetime)),
		engine.WithAuthCodeLifetime(seconds(codeLifetime)),
		engine.WithAuthorizeEndpoint(pathAuthorize),
		engine.WithTokenEndpoint(pathToken),
		engine.WithUserInfoEndpoint(pathUserinfo),
		engine.WithJWKSEndpoint(pathKeys),
		engine.WithPAREndpoint(pathPAR),
		engine.WithTokenRevocationEndpoint(pathRevoke),
		engine.WithAuthnSessionIDFunc(random),
		engine.WithAuthCodeFunc(random),
		engine.WithRefreshTokenFunc(random),
		engine.WithPARIDFunc(random),
		engine.WithErrorRenderer(p.renderError),
		engine.WithErrorHandler(p.logError),
	)
	if err != nil {
		return nil, err
	}
	return e.Handler(), nil
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// readDiscovery asks the engine for its document once, and says in it what is
// true of the whole: the engine knows neither our logout nor our mends.
func (p *Provider) readDiscovery(ctx context.Context) ([]byte, error) {
	w := &buffered{header: http.Header{}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/.well-known/openid-configuration", nil)
	if err != nil {
		return nil, err
	}
	p.engine.ServeHTTP(w, r)
	var doc map[string]any
	if err := json.Unmarshal(w.body.Bytes(), &doc); err != nil {
		return nil, err
	}
	delete(doc, "registration_endpoint")
	methods := []string{"client_secret_basic", "client_secret_post", "none"}
	for name, value := range map[string]any{
		"end_session_endpoint":                       p.issuer + pathLogout,
		"response_modes_supported":                   []string{"query", "form_post"},
		"token_endpoint_auth_methods_supported":      methods,
		"revocation_endpoint_auth_methods_supported": methods,
		"claims_parameter_supported":                 false,
		"request_parameter_supported":                false,
		"request_uri_parameter_supported":            false, // the default is true (OIDC Discovery §3)
		"prompt_values_supported":                    []string{"none", "login", "select_account"},
		"ui_locales_supported":                       page.Languages(),
	} {
		doc[name] = value
	}
	return json.Marshal(doc)
}

func (p *Provider) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(p.discovery) // the caller has gone
}

// renderError shows a person why an authorization request goes nowhere.
func (p *Provider) renderError(w http.ResponseWriter, r *http.Request, err error) error {
	exchangeOf(r.Context()).note(err)
	status, key := http.StatusBadRequest, page.BadRequest
	var known goidc.Error
	switch {
	case errors.Is(err, store.ErrConflict), r.PathValue("callback") != "":
		key = page.LoginExpired // finished already, in another tab or by a second click
	case !errors.As(err, &known):
		status, key = http.StatusInternalServerError, page.Internal
	case known.Code == goidc.ErrorCodeInvalidClient:
		key = page.InvalidClient
	case known.Description == "invalid redirect_uri":
		key = page.InvalidRedirectURI
	}
	page.Refuse(w, r, status, page.Refusal{Key: key})
	return nil
}

// logError is told every error of the engine; most are the callers' own.
func (p *Provider) logError(ctx context.Context, err error) {
	exchangeOf(ctx).note(err)
	var known goidc.Error
	if errors.As(err, &known) && !isAway(err) {
		p.log.DebugContext(ctx, "request refused", "error", string(known.Code), "reason", known.Error())
		return
	}
	if ctx.Err() == nil {
		p.log.ErrorContext(ctx, "request failed", "error", err)
	}
}

// digest is the form in which codes, tokens and secrets are stored. They are
// random and long, so a plain hash cannot be guessed back.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func verifySecret(_ context.Context, stored, presented string) error {
	if stored == "" || subtle.ConstantTimeCompare([]byte(stored), []byte(digest(presented))) != 1 {
		return errors.New("the client secret is another one")
	}
	return nil
}
