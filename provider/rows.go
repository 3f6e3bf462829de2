package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"onedoor/store"
	"onedoor/tenant"
)

// rows is what the engine stores its things in. The engine loads, checks and
// saves; that a save only replaces what was loaded is our part, or a code could
// be redeemed many times at once. The version that was loaded travels in the
// engine's own Store map, under these names, and is never written into a body.
type rows struct{ p *Provider }

const (
	sessionVersion = "onedoor.session_version"
	sessionBody    = "onedoor.session_body" // as loaded, to see whether anything changed
	grantVersion   = "onedoor.grant_version"
)

// ours leaves out of m what is ours to keep in columns.
func ours(m map[string]any) map[string]any {
	m = maps.Clone(m)
	for _, name := range []string{sessionVersion, sessionBody, grantVersion} {
		delete(m, name)
	}
	return m
}

func version(m map[string]any, name string) int64 {
	v, _ := m[name].(int64)
	return v
}

// engineError makes of a row that is not there what the engine expects.
func engineError(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return goidc.ErrNotFound
	}
	return err
}

func (s rows) SaveSession(ctx context.Context, as *goidc.AuthnSession) error {
	if x := exchangeOf(ctx); x != nil && x.away && as.Status == goidc.StatusFailure {
		// It is the database that failed, and not the login: that goes on.
		return fmt.Errorf("login %q is not ended: %w", as.ID, store.ErrUnavailable)
	}
	v := version(as.Store, sessionVersion)
	if v == 0 && as.PolicyID != "" && as.Status != goidc.StatusPending {
		return nil // it ended with the request that began it: nobody comes back for it
	}
	row := store.AuthSession{ID: as.ID, Version: v, ExpiresAt: int64(as.ExpiresAt)}
	stored := *as
	stored.Store = ours(as.Store)
	stored.PushedAuthReqID = "" // a hash of it is a column
	stored.IDTokenHint = ""
	if as.PolicyID == "" { // pushed, and not used yet: afterwards request_uri opens nothing (RFC 9126 §4)
		if as.PushedAuthReqID != "" {
			row.PARHash = digest(as.PushedAuthReqID)
		}
	}
	body, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("login %q: %v", as.ID, err)
	}
	if row.Body = string(body); v != 0 && row.Body == as.Store[sessionBody] {
		return nil // the login page was looked at again
	}
	if err := s.p.store.SaveAuthSession(ctx, row); err != nil {
		return fmt.Errorf("login %q: %w", as.ID, err)
	}
	if as.Store == nil {
		as.Store = map[string]any{}
	}
	as.Store[sessionVersion] = v + 1
	return nil
}

func (s rows) Session(ctx context.Context, id string) (*goidc.AuthnSession, error) {
	row, err := s.p.store.AuthSession(ctx, id)
	if err != nil {
		return nil, engineError(err)
	}
	as, err := loadSession(row)
	if err != nil {
		return nil, err
	}
	// A login that is finished, or a pushed request that nobody began: a form that
	// is posted again would be given a second code.
	if as.Status != goidc.StatusPending || as.PolicyID == "" {
		if x := exchangeOf(ctx); x != nil && as.Status == goidc.StatusSuccess {
			x.spent = as
		}
		return nil, goidc.ErrNotFound
	}
	return as, nil
}

func (s rows) SessionByPushedAuthReqID(ctx context.Context, id string) (*goidc.AuthnSession, error) {
	row, err := s.p.store.AuthSessionByPAR(ctx, digest(id))
	if err != nil {
		return nil, engineError(err)
	}
	as, err := loadSession(row)
	if err != nil {
		return nil, err
	}
	if x := exchangeOf(ctx); x != nil {
		x.recall(as)
	}
	return as, nil
}

func loadSession(row store.AuthSession) (*goidc.AuthnSession, error) {
	as := &goidc.AuthnSession{}
	if err := json.Unmarshal([]byte(row.Body), as); err != nil {
		return nil, fmt.Errorf("login %q: %v", row.ID, err)
	}
	if as.Store == nil {
		as.Store = map[string]any{}
	}
	as.Store[sessionVersion], as.Store[sessionBody] = row.Version, row.Body
	return as, nil
}

// cleanGrant takes out of a new grant what only the login needed.
func cleanGrant(_ context.Context, kind goidc.GrantType, g *goidc.Grant) error {
	if kind != goidc.GrantAuthorizationCode {
		return nil
	}
	kept := map[string]any{}
	for _, name := range []string{storeAuthTime, storeSID} {
		kept[name] = g.Store[name]
	}
	g.Store = kept
	params := g.AuthParams
	g.AuthParams = goidc.AuthorizationParameters{
		RedirectURI: params.RedirectURI, Nonce: params.Nonce,
		CodeChallenge: params.CodeChallenge, CodeChallengeMethod: params.CodeChallengeMethod,
	}
	return nil
}

func (s rows) SaveGrant(ctx context.Context, g *goidc.Grant) error {
	x := exchangeOf(ctx)
	if g.RevokedAt != 0 && x != nil && x.away {
		// The engine revokes a grant that it could not save, and so burns a code that
		// was never used because the database was away for a moment.
		return fmt.Errorf("grant %q is not revoked: %w", g.ID, store.ErrUnavailable)
	}
	v := version(g.Store, grantVersion)
	row := store.Grant{
		ID: g.ID, ClientID: g.ClientID, Subject: g.Subject, Version: v,
		CreatedAt: int64(g.CreatedAt), RevokedAt: int64(g.RevokedAt),
		// A spent code must be recognised for as long as its tokens live.
		ExpiresAt: max(int64(g.AuthCodeExpiresAt), s.p.now().Unix()+int64(seconds(tokenLifetime)), int64(g.RefreshTokenExpiresAt)),
	}
	if g.AuthCode != "" {
		row.CodeHash = digest(g.AuthCode)
	}
	// Before the code is redeemed nobody has the refresh token.
	if g.RefreshToken != "" && g.AuthCodeConsumedAt != 0 {
		row.NewRefreshHash = digest(g.RefreshToken)
	}
	stored := *g
	stored.Store = ours(g.Store)
	stored.AuthCode = ""
	if stored.RefreshToken != "" {
		stored.RefreshToken = hasRefreshToken
	}
	body, err := json.Marshal(stored)
	if err != nil {
		return fmt.Errorf("grant %q: %w", g.ID, err)
	}
	row.Body = string(body)
	switch err := s.p.store.SaveGrant(ctx, row); {
	case errors.Is(err, store.ErrConflict):
		// Somebody redeemed the same code or refresh token in the meantime: it is
		// used twice, so what came of it goes (RFC 6749 §4.1.2).
		if err := s.p.store.RevokeGrant(ctx, g.ID, s.p.now().Unix()); err != nil {
			return fmt.Errorf("grant %q: %w", g.ID, err)
		}
		return goidc.WrapError(goidc.ErrorCodeInvalidGrant, "invalid grant", err)
	case err != nil:
		x.note(err)
		return fmt.Errorf("grant %q: %w", g.ID, err)
	}
	if g.Store == nil {
		g.Store = map[string]any{}
	}
	g.Store[grantVersion] = v + 1
	return nil
}

// hasRefreshToken stands in a stored body for a refresh token, of which only
// the hash is kept.
const hasRefreshToken = "yes"

func (s rows) Grant(ctx context.Context, id string) (*goidc.Grant, error) {
	row, err := s.p.store.Grant(ctx, id)
	return s.load(row, err)
}

// GrantByAuthCode mints the refresh token that the engine will hand out: it
// reads it back here, and a store of hashes has none to give.
func (s rows) GrantByAuthCode(ctx context.Context, code string) (*goidc.Grant, error) {
	row, err := s.p.store.GrantByCode(ctx, digest(code))
	g, err := s.load(row, err)
	if err == nil {
		g.AuthCode = code
	}
	return g, err
}

func (s rows) GrantByRefreshToken(ctx context.Context, token string) (*goidc.Grant, error) {
	row, spent, err := s.p.store.GrantByRefreshToken(ctx, digest(token))
	if err == nil && spent {
		// Of the client and a thief one uses the old token; nobody can say which.
		s.p.log.WarnContext(ctx, "a refresh token was used twice: its grant is revoked", "client_id", row.ClientID, "subject", row.Subject)
		if err := s.p.store.RevokeGrant(ctx, row.ID, s.p.now().Unix()); err != nil {
			return nil, err
		}
		return nil, goidc.ErrNotFound
	}
	g, err := s.load(row, err)
	if err == nil {
		g.AuthParams.Nonce = "" // a refreshed ID token "SHOULD NOT have a nonce" (OIDC Core §12.2)
	}
	return g, err
}

// load reads a grant that is in force. The engine answers a revoked one with a
// code of the device flow; one that it does not find, with invalid_grant.
func (s rows) load(row store.Grant, err error) (*goidc.Grant, error) {
	if err != nil {
		return nil, engineError(err)
	}
	if row.RevokedAt != 0 {
		return nil, goidc.ErrNotFound
	}
	g := &goidc.Grant{}
	if err := json.Unmarshal([]byte(row.Body), g); err != nil {
		return nil, fmt.Errorf("grant %q: %v", row.ID, err)
	}
	if g.RefreshToken != "" {
		g.RefreshToken = newSecret()
	}
	if g.Store == nil {
		g.Store = map[string]any{}
	}
	g.Store[grantVersion] = row.Version
	return g, nil
}

// Client reads a client. It waits for the RSA key where the client's tokens are
// signed with it.
func (s rows) Client(ctx context.Context, id string) (*goidc.Client, error) {
	row, err := s.p.store.Client(ctx, id)
	if err != nil {
		return nil, engineError(err)
	}
	c := &goidc.Client{ID: row.ID, Secret: row.SecretHash, CreatedAt: int(row.CreatedAt)}
	c.Name = row.Name
	c.RedirectURIs = row.RedirectURIs
	c.PostLogoutRedirectURIs = row.PostLogoutURIs
	c.GrantTypes = []goidc.GrantType{goidc.GrantAuthorizationCode, goidc.GrantRefreshToken}
	c.ResponseTypes = []goidc.ResponseType{goidc.ResponseTypeCode}
	c.ScopeIDs = strings.Join(scopes, " ")
	c.IDTokenSigAlg = goidc.SignatureAlgorithm(row.IDTokenAlg)
	c.PARIsRequired = row.RequirePushedRequests
	c.TokenAuthnMethod = goidc.AuthnMethodSecretPost
	if row.Type != string(Confidential) {
		c.TokenAuthnMethod = goidc.AuthnMethodNone
	}
	if row.Type == string(Native) {
		c.ApplicationType = goidc.ApplicationTypeNative
		for _, uri := range row.RedirectURIs {
			c.RedirectURIs = append(c.RedirectURIs, withoutPort(uri)) // as the engine compares
		}
	}
	s.p.keys.wait(ctx, c.IDTokenSigAlg)
	return c, nil
}

// withoutPort takes the port out of a loopback redirect URI: a native app
// listens on whichever is free (RFC 8252 §7.3).
func withoutPort(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" || u.Port() == "" || !tenant.Loopback(u.Hostname()) || u.Hostname() == "localhost" {
		return uri
	}
	return strings.Replace(uri, ":"+u.Port(), "", 1)
}

// SaveClient and DeleteClient are the registration endpoint's, which is closed.
func (rows) SaveClient(context.Context, *goidc.Client) error { return errClosed }
func (rows) DeleteClient(context.Context, string) error      { return errClosed }

var errClosed = errors.New("the registration endpoint is closed")
