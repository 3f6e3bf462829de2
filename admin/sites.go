package admin

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"onedoor/domains"
	"onedoor/store"
)

// Proof is how a tenant's own site stands.
type Proof struct {
	Origin       string     `json:"origin" example:"https://portal.acme.example"`
	State        string     `json:"state" enum:"waiting,admitted,failing,trusted" doc:"waiting: not used until its proof is found. admitted: used. failing: used, and its proof is missing. trusted: used on an operator's word."`
	Record       *Record    `json:"record,omitempty" doc:"What its owner publishes in the DNS to prove it; none for a trusted one."`
	VerifiedAt   *time.Time `json:"verified_at,omitempty" doc:"Since when it is admitted."`
	CheckedAt    *time.Time `json:"checked_at,omitempty" doc:"When the DNS was asked last."`
	FailingSince *time.Time `json:"failing_since,omitempty" doc:"Since when no look has found the proof. It lapses after domains.grace, or where the DNS gives no answer at all after two weeks."`
}

// Record is a record of the DNS.
type Record struct {
	Name string `json:"name" example:"_onedoor-challenge.portal.acme.example"`
	Type string `json:"type" enum:"TXT"`
	Text string `json:"text" example:"onedoor-domain-verification=k3vqhs4yb2dm7w5xnj6tazcuep"`
}

func proof(d store.Domain) Proof {
	p := Proof{Origin: d.Origin, State: string(domains.StateOf(d)), VerifiedAt: since(d.VerifiedAt), CheckedAt: since(d.CheckedAt), FailingSince: since(d.FailingSince)}
	if !d.Trusted {
		name, text := domains.Record(d)
		p.Record = &Record{Name: name, Type: "TXT", Text: text}
	}
	return p
}

func since(unix int64) *time.Time {
	if unix == 0 {
		return nil
	}
	return new(moment(unix))
}

const tagSites = "sites"

func (a *API) sites() {
	register(a, operation{
		id: "put-site", method: http.MethodPut, path: "/v1/tenants/{label}/sites/{app}", tag: tagSites, scope: TenantsWrite,
		summary: "Give a tenant its own site for an app", bodyLimit: 64 << 10,
		doc: "The answer says what to publish in the DNS. The site is used once that is found: the door looks at once, then every hour, and whenever it is asked to.\n\n" +
			"`trusted` admits the site without a proof, for a network whose names no public DNS holds. It needs the scope `domains:trust` as well.",
		problems: bodyProblems(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
	}, a.putSite)
	register(a, operation{
		id: "delete-site", method: http.MethodDelete, path: "/v1/tenants/{label}/sites/{app}", tag: tagSites, scope: TenantsWrite,
		summary: "Take a tenant's own site away", doc: "Its site for the app is the app's template's again.",
		problems: []int{http.StatusNotFound, http.StatusPreconditionFailed},
	}, a.deleteSite)
	register(a, operation{
		id: "check-site", method: http.MethodPost, path: "/v1/tenants/{label}/sites/{app}/check", tag: tagSites, scope: TenantsWrite,
		summary: "Look for the proof of a site now", problems: []int{http.StatusNotFound, http.StatusConflict},
	}, a.checkSite)
}

// Sited names a site of a tenant.
type Sited struct {
	Labelled
	App string `path:"app" maxLength:"64" pattern:"^[a-z0-9-]+$" patternDescription:"the name of an app of the configuration" doc:"The app's name in the configuration." example:"atlas"`
}

type siteBody struct {
	Origin  string `json:"origin" maxLength:"255" pattern:"^https?://[a-z0-9.:\\[\\]-]+$" patternDescription:"scheme, host and port, as a browser writes them" doc:"Scheme, host and port, as a browser writes them." example:"https://portal.acme.example"`
	Trusted bool   `json:"trusted,omitempty" nullable:"true" doc:"Admit it without a proof."`
}

type putSiteIn struct {
	Sited
	Preconditions
	Body siteBody
}

type proofOut struct {
	ETag string `header:"ETag" doc:"The tenant's revision, for If-Match."`
	Body Proof
}

func (a *API) putSite(ctx context.Context, in *putSiteIn) (*proofOut, error) {
	if in.Body.Trusted && !callerOf(ctx).may(DomainsTrust) {
		return nil, problem(http.StatusForbidden, "scope_missing", "This token has no scope "+DomainsTrust+", which trusted needs.", "leave trusted out and prove the site, or ask for a token that has the scope")
	}
	if message, hint := a.Rules().CheckSite(in.App, in.Body.Origin); message != "" {
		if hint != "" {
			message += ": " + hint
		}
		return nil, invalid([]Mistake{{Location: "body.origin", Detail: message}})
	}
	_, there, revision, err := a.there(ctx, in.Label, in.Preconditions)
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, refused(store.ErrNotFound, in.Label)
	}
	t, err := a.Domains.Claim(ctx, actor(ctx), in.Label, in.App, in.Body.Origin, in.Body.Trusted, revision)
	if err != nil {
		return nil, refusedAt(err, in.Label, revision)
	}
	if d := t.Domains[indexOf(t, in.App)]; d.VerifiedAt == 0 {
		// It may be published already. Whether or not, the claim stands.
		if _, err := a.Domains.Check(ctx, actor(ctx), in.Label, in.App); err == nil {
			if again, err := a.Store.Tenant(ctx, in.Label); err == nil && indexOf(again, in.App) >= 0 {
				t = again
			}
		}
	}
	return &proofOut{ETag: etag(t.Revision), Body: proof(t.Domains[indexOf(t, in.App)])}, nil
}

func indexOf(t store.Tenant, app string) int {
	return slices.IndexFunc(t.Domains, func(d store.Domain) bool { return d.App == app })
}

type deleteSiteIn struct {
	Sited
	IfMatch
}

func (a *API) deleteSite(ctx context.Context, in *deleteSiteIn) (*struct{}, error) {
	t, there, revision, err := a.there(ctx, in.Label, Preconditions{IfMatch: in.IfMatch})
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, refused(store.ErrNotFound, in.Label)
	case indexOf(t, in.App) < 0:
		return nil, noSite(in.Label, in.App)
	}
	if _, err := a.Store.RemoveDomain(ctx, actor(ctx), in.Label, in.App, revision); err != nil {
		return nil, refusedAt(err, in.Label, revision)
	}
	return nil, nil
}

func noSite(label, app string) *Problem {
	return problem(http.StatusNotFound, "no_such_site", "Tenant "+label+" has no site of its own for "+app+".", "PUT one to the same path")
}

// Checked is a site, and what a look for its proof has found.
type Checked struct {
	Proof
	Texts  []string `json:"texts" nullable:"false" doc:"What was found at the record's name."`
	Detail string   `json:"detail,omitempty" doc:"Why there is no proof."`
}

type checkOut struct {
	Body Checked
}

func (a *API) checkSite(ctx context.Context, in *Sited) (*checkOut, error) {
	t, err := a.Store.Tenant(ctx, in.Label)
	if err != nil {
		return nil, refused(err, in.Label)
	}
	if indexOf(t, in.App) < 0 {
		return nil, noSite(in.Label, in.App)
	}
	f, err := a.Domains.Check(ctx, actor(ctx), in.Label, in.App)
	if errors.Is(err, store.ErrNotFound) {
		return nil, noSite(in.Label, in.App)
	}
	if err != nil {
		return nil, refused(err, in.Label)
	}
	out := Checked{Proof: proof(f.Domain), Texts: f.Texts}
	if out.Texts == nil {
		out.Texts = []string{}
	}
	if f.Err != nil {
		out.Detail = f.Err.Error()
	}
	return &checkOut{Body: out}, nil
}
