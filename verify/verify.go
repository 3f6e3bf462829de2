// Package verify proves, without an account, that a tenant's login would work.
//
// It asks as a browser of nobody would, with prompt=none (OIDC Core §3.1.2.1):
// the provider must send the answer back, the door must bring it to the
// tenant's site, and the site must answer as an app that expects it. What must
// not work is asked as well: a provider that sends codes to an address that
// nobody registered is a finding of its own.
//
// Nobody is logged in or out, no account is needed, and nothing that is sent is
// a secret. Reading starts at [Round.Look]; site.go is what a site must answer,
// run.go the verification that goes on and on.
package verify

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"onedoor/doctor"
	"onedoor/tenant"
)

// Agent is the User-Agent of every request of this package: sites' owners find
// them in their logs.
const Agent = "onedoor-verify"

// Outcome is what became of looking at a tenant's login, in a word that stays
// the same between versions.
type Outcome string

// The outcomes that are no failure.
const (
	OK        Outcome = "ok"
	Suspended Outcome = "suspended" // as somebody wants it
	Unclear   Outcome = "unclear"   // it could not be looked at; this says nothing about the tenant
)

// The failures.
const (
	TenantUnknown   Outcome = "tenant.unknown"
	TenantReserved  Outcome = "tenant.reserved"
	TenantIssuer    Outcome = "tenant.issuer" // no app is of its issuer, or the answer is another's
	IssuerMissing   Outcome = "issuer.missing"
	DoorRefused     Outcome = "door.refused"
	ProviderClient  Outcome = "provider.client"
	ProviderURI     Outcome = "provider.redirect_uri"
	ProviderRequest Outcome = "provider.request"
	RelayLost       Outcome = "relay.lost" // the answer does not arrive at the site as it was sent
	SiteDNS         Outcome = "site.dns"
	SiteAddress     Outcome = "site.address"
	SiteUnreachable Outcome = "site.unreachable"
	SiteExpired     Outcome = "site.tls_expired"
	SiteName        Outcome = "site.tls_name"
	SiteAuthority   Outcome = "site.tls_authority"
	SiteTLS         Outcome = "site.tls"
	SiteNotFound    Outcome = "site.not_found"
	SiteDown        Outcome = "site.down"
	SiteForeign     Outcome = "site.foreign" // somebody else answers
)

// Outcomes are all of them.
var Outcomes = []Outcome{
	OK, Suspended, Unclear, TenantUnknown, TenantReserved, TenantIssuer, IssuerMissing, DoorRefused, ProviderClient, ProviderURI,
	ProviderRequest, RelayLost, SiteDNS, SiteAddress, SiteUnreachable, SiteExpired, SiteName, SiteAuthority, SiteTLS, SiteNotFound,
	SiteDown, SiteForeign,
}

// Failing says whether people cannot log in.
func (o Outcome) Failing() bool { return o != OK && o != Suspended && o != Unclear }

// Verdict is about the logins of one tenant at one app.
type Verdict struct {
	Tenant  string  `json:"tenant"`
	App     string  `json:"app,omitempty"` // "" where it does not matter which
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail,omitempty"`
	Fix     string  `json:"fix,omitempty"`

	provider time.Duration // how long the provider took; 0: it was not asked
	stalled  bool          // the provider, or the door, does not answer
}

// Options of a Verifier.
type Options struct {
	// Directory is the apps and tenants of this moment.
	Directory func() *tenant.Directory
	// Scout asks through the door, at its public origin, and visits the sites.
	Scout *doctor.Scout
	// Provider asks the provider itself; nil where it is not asked: what the door
	// refuses never comes to it.
	Provider *doctor.Scout
	// Local says that the door is at a name of this machine: then tenants' own
	// sites may be, too.
	Local bool
	// Rule is the door's rule that refused the request of that reference, "" where
	// it is not known; nil where it never is.
	Rule func(reference string) string
	// Timeout bounds the look at one login.
	Timeout time.Duration
	Now     func() time.Time
}

// DefaultTimeout is enough for a provider and a site that are slow, and too
// little for one that does not answer at all.
const DefaultTimeout = 20 * time.Second

// Verifier looks at tenants' logins.
type Verifier struct{ Options }

// New makes a Verifier.
func New(o Options) *Verifier {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rule == nil {
		o.Rule = func(string) string { return "" }
	}
	return &Verifier{o}
}

// Round is one time around all tenants, or some: what concerns them all is
// asked once in it.
type Round struct {
	*Verifier

	mu        sync.Mutex
	endpoints map[string]*endpoint
	controls  map[string]*sync.Once
	findings  []Finding
	blind     string // why the negative controls could not be asked
}

// Begin begins a round.
func (v *Verifier) Begin() *Round {
	return &Round{Verifier: v, endpoints: map[string]*endpoint{}, controls: map[string]*sync.Once{}}
}

// Look looks at the tenant's logins at every app.
func (r *Round) Look(ctx context.Context, label string) []Verdict {
	logins, no := r.Directory().Logins(ctx, label)
	if no != nil {
		return []Verdict{refused(label, "", no)}
	}
	if len(logins) == 0 {
		return []Verdict{{Tenant: label, Outcome: Unclear, Detail: "no app has a site for tenants"}}
	}
	all := make([]Verdict, 0, len(logins))
	for _, l := range logins {
		ctx, stop := context.WithTimeout(ctx, r.Timeout)
		v := r.look(ctx, l)
		stop()
		v.Tenant, v.App = label, l.App.Name
		all = append(all, v)
	}
	if slices.ContainsFunc(all, func(v Verdict) bool { return v.Outcome.Failing() }) {
		// It may have been removed or suspended meanwhile: then that is why.
		if _, no := r.Directory().Logins(ctx, label); no != nil && !no.CouldNotLook() {
			return []Verdict{refused(label, "", no)}
		}
	}
	return all
}

// refused is a login that the door's own rules stop.
func refused(label, app string, no *tenant.Refusal) Verdict {
	v := Verdict{Tenant: label, App: app, Outcome: DoorRefused, Detail: fmt.Sprintf("the door refuses it by its rule %s: %s, expected %s", no.Rule, no.Got, no.Want), Fix: "docs/troubleshooting.md has that rule"}
	switch {
	case no.CouldNotLook():
		v.Outcome, v.Detail, v.Fix = Unclear, "the registry could not be asked", ""
	case app != "": // the tenant is there, and its site is not
	case no.Rule == "tenant.unknown", no.Rule == "tenant.label":
		v.Outcome, v.Detail, v.Fix = TenantUnknown, "there is no such tenant", "onedoor tenant add "+label
	case no.Rule == "tenant.reserved":
		v.Outcome, v.Detail, v.Fix = TenantReserved, "the label is reserved, and never a tenant", "take another label, or take this one out of tenants.reserved; those of the door's own names are always reserved"
	case no.Rule == "tenant.suspended":
		v.Outcome, v.Detail, v.Fix = Suspended, "the tenant is suspended", "onedoor tenant set --status active "+label
	case no.Rule == "tenant.issuer":
		v.Outcome, v.Detail, v.Fix = TenantIssuer, fmt.Sprintf("its people are at %s, and no app with a site for it is", strings.TrimPrefix(no.Want, "the issuer ")), "onedoor tenant set --issuer PATH "+label+", with the issuer of the app"
	}
	return v
}

// look looks at one login: provider, door, relay and site, in the order in which
// a browser meets them, up to the first that would stop it.
func (r *Round) look(ctx context.Context, l tenant.Login) Verdict {
	if l.Refused != nil {
		return refused(l.Tenant.Label, l.App.Name, l.Refused)
	}
	door := r.Directory().Door[0]
	issuer := door + strings.TrimSuffix(l.Issuer, "/")
	if l.Issuer != "/" {
		issuer = door + l.Issuer
	}
	at, push, bad := r.endpoint(ctx, issuer)
	if bad != nil {
		return *bad
	}
	if !l.App.RequirePAR {
		push = ""
	}
	var v Verdict
	landing, came := "", false
	secret := l.App.Type != tenant.Public && l.App.Type != tenant.Native
	blind := l.App.RequirePAR && (secret || push == "")
	switch {
	case blind && secret:
		push = ""
		v = Verdict{Outcome: Unclear, Detail: "the app pushes its requests (PAR), which takes its secret: the provider was not asked"}
	case blind:
		v = Verdict{Outcome: Unclear, Detail: "the app pushes its requests (PAR), and the document of " + issuer + " names no endpoint for them"}
	default:
		q := doctor.Question{Endpoint: at, Push: push, ClientID: l.App.ClientID, RedirectURI: l.RedirectURI, Ends: l.URI}
		a := r.Scout.Ask(ctx, q)
		v, landing, came = r.answered(l, issuer, a), a.Landing, a.Outcome == doctor.Accepted
		v.provider = a.Took
	}
	r.control(ctx, l, at, push, came)
	if v.Outcome.Failing() || v.Outcome == Unclear && !blind {
		return v
	}
	if w := r.relay(ctx, l); w.Outcome != OK {
		w.provider = v.provider
		return w
	}
	if landing == "" {
		landing = withQuery(l.URI, url.Values{"error": {"login_required"}, "state": {rand.Text()}})
	}
	if w := r.site(ctx, l, landing); w.Outcome != OK {
		w.provider = v.provider
		return w
	}
	return v
}

func withQuery(address string, q url.Values) string {
	if strings.Contains(address, "?") {
		return address + "&" + q.Encode()
	}
	return address + "?" + q.Encode()
}

// answered judges what provider and door did with the request.
func (r *Round) answered(l tenant.Login, issuer string, a doctor.AnswerTo) Verdict {
	fail := func(o Outcome, fix, format string, args ...any) Verdict {
		return Verdict{Outcome: o, Detail: fmt.Sprintf(format, args...), Fix: fix}
	}
	client := l.App.ClientID
	switch {
	case a.Reference != "":
		return r.byDoor(a)
	case a.Outcome == doctor.Accepted && a.StateLost:
		return fail(RelayLost, "something between the provider and the site drops or changes the query", "the answer arrives at %s without the state that was sent", l.URI)
	case a.Outcome == doctor.Accepted && a.Issuer != "" && a.Issuer != issuer:
		return fail(TenantIssuer, "give the provider one name, and the app the right issuer", "the answer is of %s, and the app expects %s (RFC 9207)", a.Issuer, issuer)
	case a.Outcome == doctor.Accepted:
		return Verdict{Outcome: OK}
	case a.Outcome == doctor.RefusedRedirect:
		return fail(ProviderURI, "register exactly "+l.Registered+" at the provider, for client "+client, "the provider refuses the redirect URI %s: %q", l.Registered, a.Said)
	case a.Outcome == doctor.RefusedClient:
		return fail(ProviderClient, "compare the app's client_id, "+client+", with the one at the provider, letter by letter; and the realm", "the provider does not know the client: %q", a.Said)
	case a.Outcome == doctor.RefusedRequest:
		return fail(ProviderRequest, "see what client "+client+" may do at the provider: the code flow (Keycloak: Standard flow), its scopes", "the provider answers %s: %s", a.Error, a.Said)
	case a.Outcome == doctor.RefusedPush:
		return fail(ProviderRequest, "see what client "+client+" may do at the provider: the code flow (Keycloak: Standard flow), its scopes; the door's log says whether it was the door", "the pushed request is refused, %d %s: %s", a.Status, a.Error, a.Said)
	case a.Outcome == doctor.Elsewhere && ours(a, r.Directory().Door):
		return fail(RelayLost, "see apps."+l.App.Name+".site, and which program answers for the door's relay", "the answer is brought to %s, not to %s", a.At, l.URI)
	case a.Outcome == doctor.Elsewhere:
		return Verdict{Outcome: OK, Detail: "the provider sends people on to " + a.At + ", which is not asked"}
	}
	v := fail(Unclear, "", "%s: %s %d %s", a.At, a.Outcome, a.Status, a.Said)
	v.stalled = a.Outcome == doctor.Down || a.Outcome == doctor.Unreachable
	return v
}

// ours says whether the last to answer was the door itself, and not the provider
// behind it, which may have another one behind itself.
func ours(a doctor.AnswerTo, doors []string) bool {
	if len(a.Hops) == 0 {
		return false
	}
	for _, door := range doors {
		for _, path := range []string{"/onedoor/", "/tenants/", "/apps/"} {
			if strings.HasPrefix(a.Hops[len(a.Hops)-1], door+path) {
				return true
			}
		}
	}
	return false
}

// byDoor is a page of the door's own.
func (r *Round) byDoor(a doctor.AnswerTo) Verdict {
	if a.Outcome == doctor.Down {
		return Verdict{Outcome: Unclear, Detail: fmt.Sprintf("the door answers %d: %s", a.Status, a.Said), stalled: true}
	}
	if rule := r.Rule(a.Reference); rule != "" {
		return Verdict{Outcome: DoorRefused, Detail: fmt.Sprintf("the door refuses it by its rule %s", rule), Fix: "docs/troubleshooting.md has that rule"}
	}
	return Verdict{Outcome: DoorRefused, Detail: fmt.Sprintf("the door answers %d: %s", a.Status, a.Said), Fix: "the door's log has the rule, under the reference " + a.Reference}
}

// relay asks the relay for the same callback. In relay mode the answer came that
// way already.
func (r *Round) relay(ctx context.Context, l tenant.Login) Verdict {
	if l.Relay == "" || l.App.Mode == tenant.Relay {
		return Verdict{Outcome: OK}
	}
	a := r.Scout.Ask(ctx, doctor.Question{
		Endpoint: l.Relay, ClientID: l.App.ClientID, RedirectURI: l.RedirectURI, Ends: l.URI, Parameters: url.Values{"error": {"login_required"}},
	})
	switch {
	case a.Reference != "":
		return r.byDoor(a)
	case a.Outcome == doctor.Accepted && !a.StateLost:
		return Verdict{Outcome: OK}
	case a.Outcome == doctor.Down, a.Outcome == doctor.Unreachable:
		return Verdict{Outcome: Unclear, Detail: fmt.Sprintf("%s: %s %s", a.At, a.Outcome, a.Said)}
	}
	return Verdict{Outcome: RelayLost, Detail: fmt.Sprintf("%s leads to %s, not to %s with the query as it came", l.Relay, a.At, l.URI), Fix: "see which program answers for the door's relay"}
}

// endpoint is the authorization endpoint of an issuer.
type endpoint struct {
	once     sync.Once
	at, push string // push "": it takes no pushed requests
	bad      *Verdict
}

// maxIssuers bounds what a round remembers: where each tenant has an issuer of
// its own, it is asked for once.
const maxIssuers = 1000

// endpoint reads it from the issuer's document, once in a round.
func (r *Round) endpoint(ctx context.Context, issuer string) (at, push string, bad *Verdict) {
	r.mu.Lock()
	e := r.endpoints[issuer]
	if e == nil {
		if len(r.endpoints) >= maxIssuers {
			clear(r.endpoints)
		}
		e = &endpoint{}
		r.endpoints[issuer] = e
	}
	r.mu.Unlock()
	e.once.Do(func() { e.at, e.push, e.bad = r.discover(ctx, issuer) })
	if e.bad != nil && e.bad.Outcome == Unclear { // it may be there by now
		r.mu.Lock()
		if r.endpoints[issuer] == e {
			delete(r.endpoints, issuer)
		}
		r.mu.Unlock()
	}
	return e.at, e.push, e.bad
}

func (r *Round) discover(ctx context.Context, issuer string) (endpoint, push string, bad *Verdict) {
	at := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	v := r.Scout.Visit(ctx, at, doctor.VisitOptions{})
	switch a := v.Answer; {
	case a == nil:
		return "", "", &Verdict{Outcome: Unclear, Detail: fmt.Sprintf("%s: %s", at, v.Error), stalled: true}
	case a.Status >= 500:
		return "", "", &Verdict{Outcome: Unclear, Detail: fmt.Sprintf("%s answers %d: %s", at, a.Status, a.Said), stalled: true}
	case a.Document == nil || a.Document.Endpoints["authorization_endpoint"] == "":
		return "", "", &Verdict{Outcome: IssuerMissing, Detail: fmt.Sprintf("there is no discovery document at %s: %d %s", at, a.Status, a.Said), Fix: "see provider.issuers, and whether the provider has that realm: onedoor doctor"}
	case a.Document.Issuer != issuer:
		return "", "", &Verdict{Outcome: IssuerMissing, Detail: fmt.Sprintf("%s is the document of %s", at, a.Document.Issuer), Fix: "onedoor doctor says why"}
	}
	named := v.Answer.Document.Endpoints
	return named["authorization_endpoint"], named["pushed_authorization_request_endpoint"], nil
}
