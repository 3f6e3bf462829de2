package provider

import (
	"context"
	"slices"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// idTokenClaims are ours in an ID token. The person's claims stand in it as
// well as at userinfo (OIDC Core §5.4 allows both): most web clients read
// nothing else.
func (p *Provider) idTokenClaims(ctx context.Context, g *goidc.Grant) map[string]any {
	claims := p.userClaims(ctx, g)
	switch at := g.Store[storeAuthTime].(type) {
	case int64:
		claims["auth_time"] = at
	case float64: // read back from JSON; left so, it would be written as 1.7e+09
		claims["auth_time"] = int64(at)
	}
	claims["sid"] = g.Store[storeSID]
	claims["amr"] = []goidc.AMR{goidc.AMRPassword} // RFC 8176
	return claims
}

// userClaims are what the granted scopes tell of the person (OIDC Core §5.4).
func (p *Provider) userClaims(ctx context.Context, g *goidc.Grant) map[string]any {
	claims := map[string]any{}
	u, err := p.store.User(ctx, g.Subject)
	if err != nil {
		p.log.WarnContext(ctx, "claims of a user who cannot be read", "subject", g.Subject, "error", err)
		return claims
	}
	granted := strings.Fields(g.Scopes)
	if slices.Contains(granted, "profile") {
		claims["preferred_username"] = u.Username
		claims["updated_at"] = u.UpdatedAt
		if u.Name != "" {
			claims["name"] = u.Name
		}
	}
	if slices.Contains(granted, "email") && u.Email != "" {
		claims["email"] = u.Email
		claims["email_verified"] = u.EmailVerified
	}
	return claims
}
