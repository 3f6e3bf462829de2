// Package tenant knows the tenants and the apps, and takes every decision about
// where a browser may be sent. Nobody else compares or builds redirect URIs.
//
// A template such as https://{tenant}.example.com/cb generates a set, one member
// for each active tenant; a redirect URI is accepted when it is byte-equal to a
// member (RFC 9700 §2.1, §4.1.3; RFC 3986 §6.2.1). It is never matched as a
// pattern, never parsed for comparison and never written anew: the string that
// was compared is the string that is used.
//
// Reading starts at [Directory.RedirectURI]; the relay's rule is relay.go. The
// package does no HTTP and asks the registry, which store implements, anew at
// every step.
package tenant

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Status of a tenant.
type Status string

// The statuses. A tenant that was deleted is no tenant.
const (
	Active    Status = "active"
	Suspended Status = "suspended"
)

// Tenant is a customer of the apps.
type Tenant struct {
	ID     string // stable; a label may be given to somebody else later
	Label  string // LDH, 1–63, lower case
	Status Status

	// Sites are the tenant's own origins (custom domains), by app name, in
	// place of the app's template. Only verified ones are here.
	Sites map[string]string

	// Parameters are added to the tenant's authorization requests.
	Parameters map[string]string

	// Issuer is the issuer that knows the tenant's people, as provider.issuers
	// spells it or with the label in the place of {tenant}; "" for any.
	Issuer string
}

// ErrUnknown is what a Registry says of a tenant that it does not have.
var ErrUnknown = errors.New("no such tenant")

// Registry answers which tenants there are, at this moment. Any other error
// than ErrUnknown means that it could not look, and refuses.
type Registry interface {
	ByLabel(ctx context.Context, label string) (Tenant, error)
	BySite(ctx context.Context, app, origin string) (Tenant, error)
}

// ValidLabel says whether s is one host label: letters, digits and hyphens,
// lower case, 1–63 octets, no hyphen at either end (RFC 1123 §2.1).
func ValidLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// List is a registry of a few tenants, looked through one by one.
type List []Tenant

// ByLabel finds the tenant of that label.
func (l List) ByLabel(_ context.Context, label string) (Tenant, error) {
	if i := slices.IndexFunc(l, func(t Tenant) bool { return t.Label == label }); i >= 0 {
		return l[i], nil
	}
	return Tenant{}, ErrUnknown
}

// BySite finds the tenant whose own site for that app the origin is.
func (l List) BySite(_ context.Context, app, origin string) (Tenant, error) {
	if i := slices.IndexFunc(l, func(t Tenant) bool { return t.Sites[app] == origin }); i >= 0 {
		return l[i], nil
	}
	return Tenant{}, ErrUnknown
}

// Labels is a registry of active tenants that are nothing but their labels. A
// lookup costs the same, however many there are.
type Labels map[string]struct{}

// ByLabel finds the tenant of that label.
func (l Labels) ByLabel(_ context.Context, label string) (Tenant, error) {
	if _, ok := l[label]; ok {
		return Tenant{ID: label, Label: label, Status: Active}, nil
	}
	return Tenant{}, ErrUnknown
}

// BySite finds nobody: the sites of these tenants are the app's template's.
func (l Labels) BySite(context.Context, string, string) (Tenant, error) {
	return Tenant{}, ErrUnknown
}

// Listed is a registry with a list beside it, for a few tenants that are always
// there. What the registry says of a label goes before: a listed tenant that it
// knows to be suspended is suspended, and where it cannot look, so it may be.
type Listed struct {
	Registry
	Labels Labels
}

// ByLabel finds the tenant in the registry, and else in the list.
func (l Listed) ByLabel(ctx context.Context, label string) (Tenant, error) {
	t, err := l.Registry.ByLabel(ctx, label)
	if errors.Is(err, ErrUnknown) {
		return l.Labels.ByLabel(ctx, label)
	}
	return t, err
}

// Lists says whether the configuration's own list has a label: such a tenant is
// there, whatever becomes of its row in the database, unless that says suspended.
func (d *Directory) Lists(label string) bool {
	registry := d.Registry
	if all, ok := registry.(Any); ok {
		registry = all.Registry
	}
	listed, ok := registry.(Listed)
	if !ok {
		return false
	}
	_, there := listed.Labels[label]
	return there
}

// Any admits every label that fits the template: for development, or where
// another system guards the names. Punycode labels are not admitted unseen: one
// that looks like a customer's name belongs to whoever asked first.
type Any struct{ Registry }

// ByLabel finds the tenant in the registry behind, or makes one up.
func (a Any) ByLabel(ctx context.Context, label string) (Tenant, error) {
	t, err := a.Registry.ByLabel(ctx, label)
	if errors.Is(err, ErrUnknown) && !strings.HasPrefix(label, "xn--") {
		return Tenant{ID: label, Label: label, Status: Active}, nil
	}
	return t, err
}

// Type is what a client can do to prove itself (RFC 6749 §2.1, RFC 8252).
type Type string

// The client types.
const (
	Confidential Type = "confidential"
	Public       Type = "public" // must send its own PKCE
	Native       Type = "native" // public, and its loopback redirect URIs match any port
)

// Mode is what the door does with an app's authorization requests.
type Mode string

// The modes.
const (
	Transparent Mode = "transparent" // the redirect URI is swapped for the registered one, and back
	Relay       Mode = "relay"       // requests pass as they are; the provider knows the relay's URIs
)

// App is an OAuth client and the sites on which its tenants use it.
type App struct {
	Name     string
	ClientID string
	Mode     Mode
	Type     Type

	Site         Template    // origin of a tenant's site; zero where the app has none
	Environment  Environment // what a tenant's own site is judged by
	Callbacks    []string    // paths on the site that may receive a login; the first is the relay's
	Logouts      []string    // paths on the site that may follow a logout
	RedirectURIs []string    // exact ones without a tenant

	Issuer                string            // issuer path of the provider that knows the app; "" for the only one
	RegisteredRedirectURI string            // the one redirect URI that the provider knows
	RegisteredLogoutURI   string            // the one post-logout redirect URI that the provider knows
	Authorize             map[string]string // parameters for each tenant, with {tenant}
	RequirePAR            bool
	BrowserBinding        bool
	AcceptUnboundCodes    bool
}

// Directory is all apps and tenants of a door.
type Directory struct {
	Apps     []*App
	Registry Registry
	Issuers  []string // paths of the provider's issuers, as configured
	Reserved []string // labels that are nobody's
	Door     []string // the door's own origins: never a target
}

// Target is where a browser may be sent.
type Target struct {
	App    *App
	Tenant Tenant // zero for an exact redirect URI
	URI    string
}

// Refusal says which rule refused a redirect, for the operator's log. It is
// never shown to the browser, since its values are an attacker's.
type Refusal struct {
	Rule string // "redirect_uri.unknown", "tenant.suspended", …
	Got  string // what was asked, cut to a sane length
	Want string // what would have been accepted, or the nearest to it
	err  error

	// Differs says in what the two differ, where they are near each other.
	Differs []Difference
}

func (r *Refusal) Error() string {
	s := fmt.Sprintf("%s: %q", r.Rule, r.Got)
	if r.Want != "" {
		s += fmt.Sprintf(", expected %s", r.Want)
	}
	if r.err != nil {
		s += ": " + r.err.Error()
	}
	return s
}

func (r *Refusal) Unwrap() error { return r.err }

// CouldNotLook says that it is the registry's failure and not the caller's:
// the tenant may well be there, and asking later may help.
func (r *Refusal) CouldNotLook() bool {
	return r.err != nil && !errors.Is(r.err, ErrUnknown) && !errors.Is(r.err, ErrNotRelayed)
}

// refuse makes a Refusal. What a refused address holds behind its "?" stays out
// of the log: it may be somebody's code.
func refuse(rule, got, want string, err error) *Refusal {
	if i := strings.IndexByte(got, '?'); i >= 0 {
		got = got[:i] + "?…"
	}
	if len(got) > 300 {
		got = got[:300] + "…"
	}
	return &Refusal{Rule: rule, Got: got, Want: want, err: err}
}

// App finds an app by its client_id. issuer is the path of the issuer whose
// endpoint was asked, or "" where the endpoint does not tell it.
func (d *Directory) App(clientID, issuer string) *App {
	for _, a := range d.Apps {
		if a.ClientID == clientID && (issuer == "" || a.Issuer == "" || a.Issuer == issuer) {
			return a
		}
	}
	return nil
}

// Active says whether a label is, at this moment, an active tenant's that may
// log in at the issuer. An error means that the registry could not look.
func (d *Directory) Active(ctx context.Context, label, issuer string) (bool, error) {
	t, no := d.active(ctx, label)
	if no == nil {
		no = Target{Tenant: t}.At(issuer)
	}
	if no != nil && no.CouldNotLook() {
		return false, no
	}
	return no == nil, nil
}

// active asks the registry for a tenant that may be sent browsers now. Unknown
// and suspended tenants differ in the log alone (THREATS T-74).
func (d *Directory) active(ctx context.Context, label string) (Tenant, *Refusal) {
	if !ValidLabel(label) {
		return Tenant{}, refuse("tenant.label", label, "letters a-z, digits and hyphens, 1 to 63 of them", ErrUnknown)
	}
	if slices.Contains(d.Reserved, label) {
		return Tenant{}, refuse("tenant.reserved", label, "a label that is not reserved", ErrUnknown)
	}
	t, err := d.Registry.ByLabel(ctx, label)
	return t, check(t, label, err)
}

func check(t Tenant, asked string, err error) *Refusal {
	switch {
	case errors.Is(err, ErrUnknown):
		return refuse("tenant.unknown", asked, "a registered tenant", ErrUnknown)
	case err != nil:
		return refuse("tenant.registry", asked, "an answer of the registry", err)
	case t.Status != Active:
		return refuse("tenant."+string(t.Status), asked, "an active tenant", ErrUnknown)
	}
	return nil
}
