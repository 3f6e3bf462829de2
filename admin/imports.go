package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"onedoor/store"
	"onedoor/tenant"
)

// MaxRows bounds an import's batch.
const MaxRows = 1000

const jsonLines = "application/x-ndjson"

// Row is a tenant in an import or export.
type Row struct {
	Label string `json:"label" maxLength:"63" pattern:"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$" patternDescription:"lower-case letters, digits and hyphens, 1 to 63, no hyphen at either end" example:"acme"`
	TenantBody
}

var typeOfRow = reflect.TypeFor[Row]()

// Imported is what an import did.
type Imported struct {
	Added     int   `json:"added"`
	Changed   int   `json:"changed"`
	Unchanged int   `json:"unchanged" doc:"Those that were so already."`
	Revision  int64 `json:"revision" doc:"The registry's afterwards."`
	DryRun    bool  `json:"dry_run"`
}

func (a *API) imports() {
	registry := a.huma.OpenAPI().Components.Schemas
	row := registry.Schema(typeOfRow, true, "")
	lines := func() *huma.MediaType {
		return &huma.MediaType{Schema: &huma.Schema{Type: "string", Description: "One row a line."}}
	}
	register(a, operation{
		id: "import-tenants", method: http.MethodPost, path: "/v1/tenants:import", tag: tagTenants, scope: TenantsWrite,
		summary: "Add or replace up to a thousand tenants",
		doc: "All of them or none: every row that is wrong is named, by its index and in a body of JSON lines by its line. " +
			"Each row does what PUT does, so the same batch twice is as good as once.",
		bodyLimit: maxBody, problems: bodyProblems(http.StatusConflict),
		body: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/json": {Schema: &huma.Schema{Type: "array", Items: row, MinItems: new(1), MaxItems: new(MaxRows)}},
			jsonLines:          lines(),
		}},
	}, a.importTenants)
	register(a, operation{
		id: "export-tenants", method: http.MethodGet, path: "/v1/tenants:export", tag: tagTenants, scope: TenantsRead,
		summary: "Stream every tenant", doc: "One row a line, by label, as an import takes them. Each page of a thousand is of one moment; the whole is not. An answer that is cut off has no end: clients see its connection break.",
		responses: map[string]*huma.Response{"200": {Description: "The rows.", Content: map[string]*huma.MediaType{jsonLines: lines()}}},
	}, a.exportTenants)
}

type importIn struct {
	DryRun      bool   `query:"dry_run" doc:"Say what would happen, and keep nothing."`
	ContentType string `header:"Content-Type" hidden:"true"`
	RawBody     []byte
}

type importOut struct {
	Body Imported
}

// mediaType is a Content-Type without its parameters; "" is JSON.
func mediaType(field string) string {
	if field == "" {
		return "application/json"
	}
	t, _, err := mime.ParseMediaType(field)
	if err != nil {
		return field
	}
	return t
}

func (a *API) importTenants(ctx context.Context, in *importIn) (*importOut, error) {
	rows, lines, p := a.readRows(in)
	if p != nil {
		return nil, p
	}
	puts := make([]store.TenantPut, len(rows))
	for i, r := range rows {
		puts[i] = r.put(r.Label)
	}
	did, err := a.Store.ImportTenants(ctx, actor(ctx), puts, in.DryRun)
	if err != nil {
		return nil, rowsRefused(err, lines)
	}
	return &importOut{Imported{Added: did.Added, Changed: did.Changed, Unchanged: did.Unchanged, Revision: did.Revision, DryRun: in.DryRun}}, nil
}

// readRows reads the batch and holds each row against the document and the
// configuration. lines are the rows' lines, where they have one each.
func (a *API) readRows(in *importIn) (rows []Row, lines []int, p *Problem) {
	texts, lines, p := split(in)
	if p != nil {
		return nil, nil, p
	}
	rules := a.Rules()
	var wrong []Mistake
	rows = make([]Row, len(texts))
	for i, text := range texts {
		for _, m := range a.readRow(rules, text, &rows[i], fmt.Sprintf("body[%d]", i)) {
			m.Line = lineOf(lines, i)
			wrong = append(wrong, m)
		}
	}
	if len(wrong) > 0 {
		return nil, nil, invalid(wrong)
	}
	return rows, lines, nil
}

func lineOf(lines []int, i int) int {
	if lines == nil {
		return 0
	}
	return lines[i]
}

// split parts the body into its rows.
func split(in *importIn) (texts []json.RawMessage, lines []int, p *Problem) {
	switch mediaType(in.ContentType) {
	case "application/json":
		if err := json.Unmarshal(in.RawBody, &texts); err != nil {
			return nil, nil, problem(http.StatusBadRequest, "body_malformed", "The body is no JSON array: "+err.Error()+".", "send an array of tenants, or "+jsonLines).at("body")
		}
	case jsonLines:
		n := 0
		for line := range bytes.Lines(in.RawBody) {
			if n++; len(bytes.TrimSpace(line)) > 0 {
				texts, lines = append(texts, bytes.TrimSpace(line)), append(lines, n)
			}
		}
	default:
		return nil, nil, problem(http.StatusUnsupportedMediaType, "body_type", "The body is of another media type.", "send application/json or "+jsonLines)
	}
	if len(texts) == 0 || len(texts) > MaxRows {
		return nil, nil, invalid([]Mistake{{Location: "body", Detail: fmt.Sprintf("%d rows: from 1 to %d make a batch", len(texts), MaxRows)}})
	}
	return texts, lines, nil
}

func (a *API) readRow(rules *tenant.Directory, text json.RawMessage, row *Row, at string) []Mistake {
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		return []Mistake{{Location: at, Detail: "is not JSON: " + err.Error()}}
	}
	registry := a.huma.OpenAPI().Components.Schemas
	var said huma.ValidateResult
	path := huma.NewPathBuffer(make([]byte, 0, 64), 0)
	path.Push(at)
	huma.Validate(registry, registry.Schema(typeOfRow, true, ""), path, huma.ModeWriteToServer, value, &said)
	if all := theirs(said); len(all) > 0 {
		return all
	}
	if err := json.Unmarshal(text, row); err != nil {
		return []Mistake{{Location: at, Detail: err.Error()}}
	}
	return mistakes(rules, row.Label, row.TenantBody, at)
}

// rowsRefused names each row that the store refused.
func rowsRefused(err error, lines []int) error {
	var rows store.RowErrors
	if !errors.As(err, &rows) {
		return refused(err, "")
	}
	p := problem(http.StatusConflict, "rows_refused", "", "mend those rows, or leave them out, and send the batch again; nothing of it was kept")
	for _, row := range rows {
		detail := row.Error()
		var one *Problem
		if errors.As(refused(row, row.Label), &one) {
			if detail = one.Detail; one.Hint != "" {
				detail = strings.TrimSuffix(detail, ".") + ": " + one.Hint
			}
		}
		p.Errors = append(p.Errors, Mistake{Location: fmt.Sprintf("body[%d]", row.Index), Line: lineOf(lines, row.Index), Detail: detail})
	}
	p.sum()
	return p
}

type exportIn struct {
	Prefix string `query:"prefix" maxLength:"63" pattern:"^[a-z0-9-]+$" doc:"Those whose label begins so."`
	Status string `query:"status" enum:"active,suspended" doc:"Those of that status."`
}

type exportOut struct {
	ContentType string `header:"Content-Type"`
	Body        func(huma.Context)
}

func (a *API) exportTenants(ctx context.Context, in *exportIn) (*exportOut, error) {
	q := store.TenantQuery{Prefix: in.Prefix, Status: tenant.Status(in.Status), Limit: MaxRows}
	page, err := a.Store.Tenants(ctx, q) // the first page may still become a problem
	if err != nil {
		return nil, err
	}
	return &exportOut{ContentType: jsonLines, Body: func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		deadlines := http.NewResponseController(w)
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		for {
			_ = deadlines.SetWriteDeadline(deadline(answerTime)) // in process there is none
			for _, t := range page {
				if err := out.Encode(exported(t)); err != nil {
					panic(http.ErrAbortHandler)
				}
			}
			if len(page) < MaxRows {
				return
			}
			q.After = page[len(page)-1].Label
			if page, err = a.Store.Tenants(ctx, q); err != nil {
				_ = a.unavailable(ctx, err)
				panic(http.ErrAbortHandler)
			}
		}
	}}, nil
}

func exported(t store.Tenant) Row {
	row := Row{Label: t.Label, TenantBody: bodyOf(t)}
	row.ID = t.ID
	if len(row.Sites) == 0 {
		row.Sites = nil
	}
	return row
}
