package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"onedoor/store"
	"onedoor/tenant"
)

// Tenant is a tenant as the API shows it.
type Tenant struct {
	ID         string            `json:"id" doc:"Given when the tenant is added, and never another's." example:"t_0123456789abcdef"`
	Label      string            `json:"label" doc:"The tenant's name in its site's host." example:"acme"`
	Status     string            `json:"status" enum:"active,suspended" doc:"No login of a suspended tenant goes on."`
	Issuer     string            `json:"issuer" doc:"The issuer path that knows the tenant's people; empty for any." example:"/realms/atlas"`
	Sites      map[string]string `json:"sites" doc:"The tenant's own origins by app, in place of the app's template; used once they are admitted."`
	Parameters map[string]string `json:"parameters" doc:"Parameters that are added to its authorization requests."`
	Notes      string            `json:"notes" doc:"For people."`
	Proofs     map[string]Proof  `json:"proofs" doc:"How each of the sites stands."`
	Revision   int64             `json:"revision" doc:"The registry's revision at the last change of this tenant; its ETag."`
	CreatedAt  time.Time         `json:"created_at"`
	UpdatedAt  time.Time         `json:"updated_at"`
}

// TenantBody is what of a tenant can be chosen.
type TenantBody struct {
	ID         string     `json:"id,omitempty" nullable:"true" pattern:"^t_[0-9a-f]{16}$" doc:"Leave it out: one is given. It is here so that a registry can move with its IDs; where the tenant is there, it must be its ID."`
	Status     string     `json:"status,omitempty" nullable:"true" enum:"active,suspended" default:"active" doc:"No login of a suspended tenant goes on."`
	Issuer     string     `json:"issuer,omitempty" nullable:"true" maxLength:"255" pattern:"^[!-~]*$" doc:"One of provider.issuers; empty for any." example:"/realms/atlas"`
	Sites      Sites      `json:"sites,omitempty" doc:"Own origins by app. Left out, they stay as they are; otherwise these replace them: each new one waits for its proof in the DNS."`
	Parameters Parameters `json:"parameters,omitempty" doc:"Parameters that are added to the tenant's authorization requests."`
	Notes      string     `json:"notes,omitempty" nullable:"true" maxLength:"1000" pattern:"^[^\\x00]*$" doc:"For people."`
}

const (
	originPattern = `^https?://[a-z0-9.:\[\]-]+$`
	appPattern    = "^[a-z0-9-]+$"
)

// Sites are origins by app.
type Sites map[string]string

// Schema describes them in OpenAPI.
func (Sites) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: "object", Nullable: true, MaxProperties: new(store.MaxDomains),
		AdditionalProperties: valueSchema(huma.Schema{Type: "string", MaxLength: new(store.MaxOrigin), Pattern: originPattern, PatternDescription: "scheme, host and port, as a browser writes them"}),
		Extensions:           map[string]any{"propertyNames": map[string]any{"pattern": appPattern, "maxLength": store.MaxApp}},
		Examples:             []any{map[string]any{"atlas": "https://portal.acme.example"}},
	}
}

// Parameters are values by name.
type Parameters map[string]string

// Schema describes them in OpenAPI.
func (Parameters) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: "object", Nullable: true, MaxProperties: new(16),
		AdditionalProperties: valueSchema(huma.Schema{Type: "string", MinLength: new(1), MaxLength: new(250), Pattern: `^[^\x00-\x1F\x7F]*$`, PatternDescription: "text without control characters"}),
		Extensions:           map[string]any{"propertyNames": map[string]any{"pattern": "^[a-z][a-z0-9_-]*$", "maxLength": 64}},
		Examples:             []any{map[string]any{"kc_idp_hint": "acme"}},
	}
}

// valueSchema is the schema of an object's values, with what huma says of wrong
// ones: it does not prepare that by itself.
func valueSchema(s huma.Schema) *huma.Schema {
	s.PrecomputeMessages()
	return &s
}

func show(t store.Tenant) Tenant {
	out := Tenant{
		ID: t.ID, Label: t.Label, Status: string(t.Status), Issuer: t.Issuer, Notes: t.Notes, Revision: t.Revision,
		Sites: map[string]string{}, Parameters: t.Parameters, Proofs: map[string]Proof{},
		CreatedAt: moment(t.CreatedAt), UpdatedAt: moment(t.UpdatedAt),
	}
	if out.Parameters == nil {
		out.Parameters = map[string]string{}
	}
	for _, d := range t.Domains {
		out.Sites[d.App] = d.Origin
		out.Proofs[d.App] = proof(d)
	}
	return out
}

func moment(unix int64) time.Time { return time.Unix(unix, 0).UTC() }

// put is the row that the body asks for.
func (b TenantBody) put(label string) store.TenantPut {
	p := store.TenantPut{Tenant: store.Tenant{
		Tenant: tenant.Tenant{ID: b.ID, Label: label, Status: tenant.Status(b.Status), Issuer: b.Issuer, Parameters: b.Parameters},
		Notes:  b.Notes,
	}}
	if p.Status == "" {
		p.Status = tenant.Active
	}
	if b.Sites != nil {
		p.Domains = []store.Domain{}
		for app, origin := range b.Sites {
			p.Domains = append(p.Domains, store.Domain{App: app, Origin: origin})
		}
	}
	return p
}

// mistakes are what the configuration says against a tenant. at begins each
// location.
func mistakes(d *tenant.Directory, label string, b TenantBody, at string) []Mistake {
	p := b.put(label)
	p.Sites = b.Sites
	var all []Mistake
	for _, m := range d.Validate(p.Tenant.Tenant) {
		detail := m.Message
		if m.Hint != "" {
			detail += ": " + m.Hint
		}
		location := at + "." + m.Path
		switch m.Path {
		case "":
			location = at
		case "label":
			if at == "body" {
				location = "path.label"
			}
		}
		all = append(all, Mistake{Location: location, Detail: detail})
	}
	return all
}

// invalid is a problem of several mistakes.
func invalid(all []Mistake) *Problem {
	p := problem(http.StatusUnprocessableEntity, "invalid", "", "")
	p.Errors = all
	p.sum()
	return p
}

// Labelled names a tenant.
type Labelled struct {
	Label string `path:"label" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" patternDescription:"lower-case letters, digits and hyphens, 1 to 63, no hyphen at either end" doc:"The tenant's label." example:"acme"`
}

type tenantOut struct {
	Status int
	ETag   string `header:"ETag" doc:"The tenant's revision, for If-Match."`
	Body   Tenant
}

func shown(t store.Tenant, status int) *tenantOut {
	return &tenantOut{Status: status, ETag: etag(t.Revision), Body: show(t)}
}

const tagTenants = "tenants"

func (a *API) tenants() {
	register(a, operation{
		id: "list-tenants", method: http.MethodGet, path: "/v1/tenants", tag: tagTenants, scope: TenantsRead,
		summary: "List tenants, by label", doc: "A page at a time: `next` is the cursor of the one that follows, and is left out on the last.",
	}, a.listTenants)
	register(a, operation{
		id: "get-tenant", method: http.MethodGet, path: "/v1/tenants/{label}", tag: tagTenants, scope: TenantsRead,
		summary: "Show a tenant", problems: []int{http.StatusNotFound},
		responses: map[string]*huma.Response{"304": {Description: "It is at the ETag of If-None-Match still."}},
	}, a.getTenant)
	register(a, operation{
		id: "put-tenant", method: http.MethodPut, path: "/v1/tenants/{label}", tag: tagTenants, scope: TenantsWrite,
		summary: "Add a tenant, or replace it", bodyLimit: 64 << 10,
		doc:       "The same request twice is as good as once. The tenant can log in within a second, on every replica.",
		problems:  bodyProblems(http.StatusConflict, http.StatusPreconditionFailed),
		responses: map[string]*huma.Response{"201": a.tenantResponse("It was added.")},
	}, a.putTenant)
	register(a, operation{
		id: "patch-tenant", method: http.MethodPatch, path: "/v1/tenants/{label}", tag: tagTenants, scope: TenantsWrite,
		summary: "Change some of a tenant", bodyLimit: 64 << 10, doc: "A JSON merge patch (RFC 7396): what is left out stays, null takes it away.",
		problems: bodyProblems(http.StatusNotFound, http.StatusConflict, http.StatusPreconditionFailed),
		body:     a.patchBody(),
	}, a.patchTenant)
	register(a, operation{
		id: "delete-tenant", method: http.MethodDelete, path: "/v1/tenants/{label}", tag: tagTenants, scope: TenantsWrite,
		summary: "Remove a tenant", doc: "Its logins stop, and its label rests: nobody else can have it for a while.",
		problems: []int{http.StatusNotFound, http.StatusPreconditionFailed},
	}, a.deleteTenant)
}

func (a *API) tenantResponse(description string) *huma.Response {
	schema := a.huma.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Tenant](), true, "")
	return &huma.Response{
		Description: description,
		Headers:     map[string]*huma.Param{"ETag": {Schema: &huma.Schema{Type: "string"}}},
		Content:     map[string]*huma.MediaType{"application/json": {Schema: schema}},
	}
}

// Page says which part of a list is wanted.
type Page struct {
	Cursor string `query:"cursor" maxLength:"200" pattern:"^[A-Za-z0-9_-]+$" doc:"The next of the page before."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"How many at most."`
}

// after is what the cursor stands for. It is opaque to callers, so that what it
// holds can become another thing.
func (p Page) after() (string, *Problem) {
	text, err := base64.RawURLEncoding.DecodeString(p.Cursor)
	if err != nil {
		return "", badCursor()
	}
	return string(text), nil
}

func badCursor() *Problem {
	p := problem(http.StatusUnprocessableEntity, "cursor_invalid", "query.cursor: this is no cursor of this list.", "take next of the page before, or leave it out to begin")
	return p.at("query.cursor")
}

func cursor(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

type tenantsIn struct {
	Page
	Prefix string `query:"prefix" maxLength:"63" pattern:"^[a-z0-9-]+$" doc:"Those whose label begins so."`
	Status string `query:"status" enum:"active,suspended" doc:"Those of that status."`
}

type tenantsOut struct {
	Body struct {
		Tenants []Tenant `json:"tenants" nullable:"false"`
		Next    string   `json:"next,omitempty" doc:"The cursor of the next page."`
	}
}

func (a *API) listTenants(ctx context.Context, in *tenantsIn) (*tenantsOut, error) {
	after, p := in.after()
	if p != nil {
		return nil, p
	}
	if after != "" && !tenant.ValidLabel(after) {
		return nil, badCursor()
	}
	list, err := a.Store.Tenants(ctx, store.TenantQuery{After: after, Prefix: in.Prefix, Status: tenant.Status(in.Status), Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	var out tenantsOut
	out.Body.Tenants = make([]Tenant, len(list))
	for i, t := range list {
		out.Body.Tenants[i] = show(t)
	}
	if len(list) == in.Limit {
		out.Body.Next = cursor(list[len(list)-1].Label)
	}
	return &out, nil
}

type getIn struct {
	Labelled
	IfNoneMatch string `header:"If-None-Match" minLength:"1" pattern:"^(\\*|(W/)?\"[!#-~]*\"( *, *(W/)?\"[!#-~]*\")*)$" patternDescription:"* or entity tags in quotes" doc:"Answer 304 where the tenant is at this ETag still."`
}

func (a *API) getTenant(ctx context.Context, in *getIn) (*tenantOut, error) {
	t, err := a.Store.Tenant(ctx, in.Label)
	if err != nil {
		return nil, refused(err, in.Label)
	}
	if in.IfNoneMatch != "" && matches(in.IfNoneMatch, t.Revision, true) {
		return shown(t, http.StatusNotModified), nil
	}
	return shown(t, http.StatusOK), nil
}

// there reads the tenant that is to be changed, and what it must be at.
func (a *API) there(ctx context.Context, label string, c Preconditions) (t store.Tenant, there bool, revision int64, err error) {
	t, err = a.Store.Tenant(ctx, label)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return t, false, 0, err
	}
	there = err == nil
	revision, p := c.revision(t, there)
	if p != nil {
		return t, there, 0, p
	}
	return t, there, revision, nil
}

type putIn struct {
	Labelled
	Preconditions
	Body TenantBody
}

func (a *API) putTenant(ctx context.Context, in *putIn) (*tenantOut, error) {
	now, there, revision, err := a.there(ctx, in.Label, in.Preconditions)
	if err != nil {
		return nil, err
	}
	if !there {
		return a.write(ctx, in.Label, in.Body, mistakes(a.Rules(), in.Label, in.Body, "body"), revision, http.StatusCreated)
	}
	return a.write(ctx, in.Label, in.Body, a.newMistakes(now, in.Body), revision, http.StatusOK)
}

// newMistakes are those that a tenant does not have already: an app that was
// taken out of the configuration, or a label that is reserved now, is no reason
// to keep a tenant from being suspended. Only a value that stays is excused: what
// is said of an app that is gone is said of any origin, and the app may come back.
func (a *API) newMistakes(now store.Tenant, next TenantBody) []Mistake {
	rules, is := a.Rules(), bodyOf(now)
	had := mistakes(rules, now.Label, is, "body")
	return slices.DeleteFunc(mistakes(rules, now.Label, next, "body"), func(m Mistake) bool {
		return slices.Contains(had, m) && stays(is, next, m.Location)
	})
}

// stays says whether what a mistake is about is the same in both.
func stays(is, next TenantBody, location string) bool {
	member, name, _ := strings.Cut(strings.TrimPrefix(location, "body."), ".")
	switch {
	case member == "issuer":
		return is.Issuer == next.Issuer
	case member == "sites":
		return is.Sites[name] == next.Sites[name]
	case member == "parameters" && name != "":
		return is.Parameters[name] == next.Parameters[name]
	case member == "parameters":
		return maps.Equal(is.Parameters, next.Parameters)
	}
	return true // the label
}

// bodyOf is the body that would make a tenant what it is.
func bodyOf(t store.Tenant) TenantBody {
	x := show(t)
	return TenantBody{Status: x.Status, Issuer: x.Issuer, Sites: x.Sites, Parameters: x.Parameters, Notes: x.Notes}
}

func (a *API) write(ctx context.Context, label string, b TenantBody, wrong []Mistake, revision int64, status int) (*tenantOut, error) {
	if len(wrong) > 0 {
		return nil, invalid(wrong)
	}
	put := b.put(label)
	put.IfRevision = revision
	list, err := a.Store.PutTenants(ctx, actor(ctx), []store.TenantPut{put})
	if err != nil {
		return nil, refusedAt(err, label, revision)
	}
	return shown(list[0], status), nil
}

type deleteIn struct {
	Labelled
	IfMatch
}

func (a *API) deleteTenant(ctx context.Context, in *deleteIn) (*struct{}, error) {
	_, there, revision, err := a.there(ctx, in.Label, Preconditions{IfMatch: in.IfMatch})
	switch {
	case err != nil:
		return nil, err
	case !there:
		return nil, refused(store.ErrNotFound, in.Label)
	case a.Rules().Lists(in.Label): // its logins would go on
		return nil, problem(http.StatusConflict, "label_listed", "The configuration's tenants.list has "+in.Label+" too, and would go on admitting it.",
			"take it out of tenants.list first, or suspend the tenant")
	}
	if err := a.Store.RemoveTenant(ctx, actor(ctx), in.Label, revision); err != nil {
		return nil, refusedAt(err, in.Label, revision)
	}
	return nil, nil
}

// TransformSchema lets the status be null, as what may be left out may be.
func (TenantBody) TransformSchema(_ huma.Registry, s *huma.Schema) *huma.Schema {
	s.Properties["status"].Enum = append(s.Properties["status"].Enum, nil)
	return s
}
