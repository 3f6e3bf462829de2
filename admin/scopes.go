package admin

import "slices"

// The scopes. A token may do what its scopes name and nothing else.
const (
	TenantsRead  = "tenants:read"
	TenantsWrite = "tenants:write"
	DomainsTrust = "domains:trust"
	AuditRead    = "audit:read"
	TokensRead   = "tokens:read"
	TokensWrite  = "tokens:write"
	KeysRead     = "keys:read"
	KeysWrite    = "keys:write"
	MetricsRead  = "metrics:read"
	TracesRead   = "traces:read"
)

// scopes says what each is for.
var scopes = []struct{ Name, Allows string }{
	{TenantsRead, "see tenants, their sites, and which of their logins would fail; export them"},
	{TenantsWrite, "add, change, remove and import tenants, and ask for a proof of their sites"},
	{DomainsTrust, "admit a site without a proof in the DNS"},
	{AuditRead, "see who changed what"},
	{TokensRead, "see which tokens there are, never their secrets"},
	{TokensWrite, "add tokens with no more scopes and no longer life than one's own, and remove any"},
	{KeysRead, "see which sealing keys there are, never the keys"},
	{KeysWrite, "rotate and revoke sealing keys"},
	{MetricsRead, "read /metrics"},
	{TracesRead, "see what happened to logins"},
}

// Scopes are the names of all.
func Scopes() []string {
	names := make([]string, len(scopes))
	for i, s := range scopes {
		names[i] = s.Name
	}
	return names
}

// Caller is who asks, and what they may.
type Caller struct {
	Name   string // for the audit log
	Via    string // "api", "cli"
	Scopes []string

	ExpiresAt int64 // unix seconds; 0: never
}

func (c Caller) may(scope string) bool { return scope == "" || slices.Contains(c.Scopes, scope) }
