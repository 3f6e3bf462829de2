package admin_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"onedoor/admin"
	"onedoor/store"
	"onedoor/tenant"
)

func (b *bed) audit(query string) []admin.Entry {
	b.t.Helper()
	type page struct {
		Entries []admin.Entry `json:"entries"`
		Next    string        `json:"next"`
	}
	return into[page](b.ask("GET", "/v1/audit"+query, "").is(200, "")).Entries
}

func TestEveryChangeIsInTheAuditLog(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{"notes":"one"}`).is(201, "")
	b.ask("PATCH", "/v1/tenants/acme", `{"notes":"two"}`).is(200, "")
	b.ask("PUT", "/v1/tenants/globex", `{}`).is(201, "")
	b.ask("DELETE", "/v1/tenants/acme", "").is(204, "")
	var all []string
	for _, e := range b.audit("") {
		all = append(all, e.Action+" "+e.Subject+" "+e.Actor)
	}
	if got, want := strings.Join(all, "; "), "tenant.remove tenant/acme admin.token; tenant.add tenant/globex admin.token; tenant.set tenant/acme admin.token; tenant.add tenant/acme admin.token"; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	acme := b.audit("?tenant=acme")
	if len(acme) != 3 || acme[0].After != nil || !strings.Contains(string(acme[1].Before), "one") || !strings.Contains(string(acme[1].After), "two") {
		t.Errorf("%+v", acme)
	}
	type page struct {
		Entries []admin.Entry `json:"entries"`
		Next    string        `json:"next"`
	}
	first := into[page](b.ask("GET", "/v1/audit?limit=3", "").is(200, ""))
	rest := into[page](b.ask("GET", "/v1/audit?limit=3&cursor="+first.Next, "").is(200, ""))
	if len(first.Entries) != 3 || len(rest.Entries) != 1 || rest.Next != "" {
		t.Errorf("%+v, %+v", first, rest)
	}
	if e := into[admin.Entry](b.ask("GET", fmt.Sprintf("/v1/audit/%d", acme[1].ID), "").is(200, "")); e.Action != "tenant.set" || !strings.Contains(string(e.Before), "one") {
		t.Errorf("%+v", e)
	}
	b.ask("GET", "/v1/audit/999", "").is(404, "no_such_entry")
	b.ask("GET", "/v1/audit/0", "").is(422, "invalid").at("path.id")
	b.ask("GET", "/v1/audit?tenant=acme&subject=token/1", "").is(422, "invalid").at("query.subject")
	b.ask("GET", "/v1/audit?cursor=AAAA", "").is(422, "cursor_invalid")
}

func TestTheAuditLogIsReadByWhoAndWhen(t *testing.T) {
	b := makeBed(t)
	began := b.now()
	secret := into[admin.NewToken](b.ask("POST", "/v1/tokens", `{"name":"anna","scopes":["tenants:write"]}`).is(201, "")).Secret
	b.pass(time.Hour)
	b.ask("PUT", "/v1/tenants/acme", `{}`, "Authorization", "Bearer "+secret).is(201, "")
	b.pass(time.Hour)
	b.ask("PUT", "/v1/tenants/globex", `{}`).is(201, "")
	at := func(d time.Duration) string { return began.Add(d).UTC().Format(time.RFC3339Nano) }
	for _, tt := range []struct{ query, want string }{
		{"actor=anna", "tenant/acme"},
		{"actor=bert", ""},
		{"actor=anna&tenant=globex", ""},
		{"since=" + at(time.Hour), "tenant/globex tenant/acme"},
		{"since=" + at(time.Hour+time.Millisecond), "tenant/globex"},
		{"since=" + at(time.Minute) + "&until=" + at(2*time.Hour), "tenant/acme"},
		{"until=" + at(0), ""},
	} {
		var got []string
		for _, e := range b.audit("?" + tt.query) {
			got = append(got, e.Subject)
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.query, got, tt.want)
		}
	}
	b.ask("GET", "/v1/audit?since=yesterday", "").is(422, "invalid").at("query.since")
	b.ask("GET", "/v1/audit?actor=a%0Ab", "").is(422, "invalid").at("query.actor")
}

func TestASiteIsUsedOnceItIsProven(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme/sites/atlas", `{"origin":"https://portal.acme.example"}`).is(404, "no_such_tenant")
	b.ask("PUT", "/v1/tenants/acme", `{}`).is(201, "")
	g := b.ask("PUT", "/v1/tenants/acme/sites/atlas", `{"origin":"https://portal.acme.example"}`).is(200, "")
	p := into[admin.Proof](g)
	if p.State != "waiting" || p.Record == nil || p.Record.Name != "_onedoor-challenge.portal.acme.example" || p.Record.Type != "TXT" || !strings.HasPrefix(p.Record.Text, "onedoor-domain-verification=") || g.Header.Get("ETag") == "" {
		t.Errorf("%s", g.body)
	}
	admitted := func() string {
		t.Helper()
		x, err := b.db.Tenant(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		return x.Sites["atlas"]
	}
	check := func() map[string]any {
		t.Helper()
		return into[map[string]any](b.ask("POST", "/v1/tenants/acme/sites/atlas/check", "").is(200, ""))
	}
	if c := check(); c["state"] != "waiting" || !strings.Contains(fmt.Sprint(c["detail"]), "no TXT record") || admitted() != "" {
		t.Errorf("%v", c)
	}
	b.texts[p.Record.Name] = []string{"something else"}
	if c := check(); c["state"] != "waiting" || fmt.Sprint(c["texts"]) != "[something else]" || admitted() != "" {
		t.Errorf("%v", c)
	}
	b.texts[p.Record.Name] = []string{"something else", p.Record.Text}
	if c := check(); c["state"] != "admitted" || c["detail"] != nil || admitted() != "https://portal.acme.example" {
		t.Errorf("%v", c)
	}
	if x := b.ask("GET", "/v1/tenants/acme", "").tenant(); x.Sites["atlas"] != "https://portal.acme.example" || x.Proofs["atlas"].State != "admitted" {
		t.Errorf("%+v", x)
	}
	// A PUT of the tenant that says nothing of sites leaves them.
	b.ask("PUT", "/v1/tenants/acme", `{"notes":"x"}`).is(200, "")
	if admitted() == "" {
		t.Error("the site is gone")
	}
	// Another tenant's claim waits, whatever the DNS says for the first.
	b.ask("PUT", "/v1/tenants/globex", `{"sites":{"atlas":"https://portal.acme.example"}}`).is(201, "")
	hers := b.ask("GET", "/v1/tenants/globex", "").tenant().Proofs["atlas"]
	b.texts[p.Record.Name] = []string{p.Record.Text, hers.Record.Text}
	b.ask("POST", "/v1/tenants/globex/sites/atlas/check", "").is(409, "site_taken")

	etag := b.ask("GET", "/v1/tenants/acme", "").Header.Get("ETag")
	b.ask("DELETE", "/v1/tenants/acme/sites/atlas", "", "If-Match", `"1"`).is(412, "precondition_failed")
	b.ask("DELETE", "/v1/tenants/acme/sites/atlas", "", "If-Match", etag).is(204, "")
	if admitted() != "" {
		t.Error("the site is there still")
	}
	b.ask("DELETE", "/v1/tenants/acme/sites/atlas", "").is(404, "no_such_site")
	b.ask("POST", "/v1/tenants/acme/sites/atlas/check", "").is(404, "no_such_site")
	b.ask("POST", "/v1/tenants/globex/sites/atlas/check", "").is(200, "") // free now
}

func TestASiteThatIsPublishedBeforeIsAdmittedAtOnce(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{"sites":{"atlas":"https://portal.acme.example"}}`).is(201, "")
	r := b.ask("GET", "/v1/tenants/acme", "").tenant().Proofs["atlas"].Record
	b.texts[r.Name] = []string{r.Text}
	if p := into[admin.Proof](b.ask("PUT", "/v1/tenants/acme/sites/atlas", `{"origin":"https://portal.acme.example"}`).is(200, "")); p.State != "admitted" {
		t.Errorf("%+v", p)
	}
}

func TestTrustNeedsAScopeOfItsOwn(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{}`).is(201, "")
	clerk := b.token("clerk", admin.TenantsWrite, admin.TenantsRead)
	b.ask("PUT", "/v1/tenants/acme/sites/atlas", `{"origin":"https://portal.corp.internal","trusted":true}`, "Authorization", "Bearer "+clerk).is(403, "scope_missing")
	p := into[admin.Proof](b.ask("PUT", "/v1/tenants/acme/sites/atlas", `{"origin":"https://portal.corp.internal","trusted":true}`).is(200, ""))
	if p.State != "trusted" || p.Record != nil {
		t.Errorf("%+v", p)
	}
	if e := b.audit("?tenant=acme")[0]; e.Action != "domain.set" || !strings.Contains(string(e.After), `"trusted":true`) || e.Actor != "admin.token" {
		t.Errorf("%+v", e)
	}
	for body, at := range map[string]string{
		`{"origin":"https://globex.example.com"}`:        "body.origin", // another tenant's
		`{"origin":"https://auth.example.com"}`:          "body.origin", // the door's
		`{"origin":"https://x.acme.example/"}`:           "body.origin",
		`{"origin":"javascript:alert(1)"}`:               "body.origin",
		`{"origin":"https://portal.acme.example","x":1}`: "body.x",
		`{}`: "body",
		`{"origin":"https://com","trusted":true}`:       "body.origin",
		`{"origin":"https://192.0.2.1","trusted":true}`: "body.origin",
		`{"origin":"https://a@b.acme.example"}`:         "body.origin",
		`{"origin":"https://PORTAL.acme.example"}`:      "body.origin",
		`{"origin":"https://portal.acme.example:443"}`:  "body.origin",
		`{"origin":"https://{tenant}.acme.example"}`:    "body.origin",
	} {
		b.ask("PUT", "/v1/tenants/acme/sites/atlas", body).is(422, "invalid").at(at)
	}
	b.ask("PUT", "/v1/tenants/acme/sites/none", `{"origin":"https://x.acme.example"}`).is(422, "invalid").at("body.origin")
}

func TestABatchIsAllOrNothing(t *testing.T) {
	b := makeBed(t)
	lines := "{\"label\":\"acme\",\"notes\":\"n\"}\n\n{\"label\":\"globex\",\"status\":\"suspended\",\"sites\":{\"atlas\":\"https://portal.globex.example\"}}\n"
	send := func(body string, header ...string) got {
		return b.ask("POST", "/v1/tenants:import", body, append([]string{"Content-Type", "application/x-ndjson"}, header...)...)
	}
	dry := into[admin.Imported](b.ask("POST", "/v1/tenants:import?dry_run=true", lines, "Content-Type", "application/x-ndjson").is(200, ""))
	if dry.Added != 2 || !dry.DryRun {
		t.Errorf("%+v", dry)
	}
	b.ask("GET", "/v1/tenants/acme", "").is(404, "no_such_tenant")
	if got := into[admin.Imported](send(lines).is(200, "")); got.Added != 2 || got.Changed+got.Unchanged != 0 {
		t.Errorf("%+v", got)
	}
	revision, _ := b.db.Revision(t.Context())
	if got := into[admin.Imported](send(lines).is(200, "")); got.Unchanged != 2 || got.Revision != revision {
		t.Errorf("%+v", got)
	}
	if got := into[admin.Imported](b.ask("POST", "/v1/tenants:import", `[{"label":"acme","notes":"m"},{"label":"hooli"}]`).is(200, "")); got.Added != 1 || got.Changed != 1 {
		t.Errorf("%+v", got)
	}
	if x := b.ask("GET", "/v1/tenants/globex", "").tenant(); x.Status != "suspended" || x.Proofs["atlas"].State != "waiting" {
		t.Errorf("%+v", x)
	}
	// Every row that is wrong is named, and nothing is kept.
	bad := "{\"label\":\"new\"}\n{\"label\":\"WWW\"}\n\nnot json\n{\"label\":\"www\"}\n{\"label\":\"ok\",\"parameters\":{\"state\":\"x\"}}\n{\"label\":\"ok2\",\"Label\":\"evil\"}\n"
	g := send(bad).is(422, "invalid").at("body[1].label", "body[2]", "body[3].label", "body[4].parameters.state", "body[5].Label")
	var at []int
	for _, m := range g.problem().Errors {
		at = append(at, m.Line)
	}
	if fmt.Sprint(at) != "[2 4 5 6 7]" {
		t.Errorf("lines %v: %s", at, g.body)
	}
	b.ask("GET", "/v1/tenants/new", "").is(404, "no_such_tenant")
	// What only the registry knows is told by row, too.
	b.ask("DELETE", "/v1/tenants/hooli", "").is(204, "")
	g = send("{\"label\":\"new\"}\n{\"label\":\"hooli\"}\n{\"label\":\"acme\",\"id\":\"t_0123456789abcdef\"}\n").is(409, "rows_refused").at("body[1]", "body[2]")
	if !strings.Contains(g.problem().Errors[0].Detail, "rests") || g.problem().Errors[1].Line != 3 {
		t.Errorf("%s", g.body)
	}
	b.ask("GET", "/v1/tenants/new", "").is(404, "no_such_tenant")
	send("{\"label\":\"same\"}\n{\"label\":\"same\"}\n").is(409, "rows_refused").at("body[1]")

	send("").is(400, "body_malformed")
	send("\n\n").is(422, "invalid").at("body")
	send(strings.Repeat("{\"label\":\"a\"}\n", 1001)).is(422, "invalid").at("body")
	b.ask("POST", "/v1/tenants:import", "{}").is(400, "body_malformed").at("body")
	b.ask("POST", "/v1/tenants:import", "{}", "Content-Type", "text/csv").is(415, "body_type")
	send(strings.Repeat(" ", 5<<20)).is(413, "body_too_large")
}

func TestAnExportIsAnImport(t *testing.T) {
	from, to := makeBed(t), makeBed(t)
	var rows []string
	for i := range 1500 {
		rows = append(rows, fmt.Sprintf(`{"label":"t-%04d","notes":"n %d","status":"%s"}`, i, i, []string{"active", "suspended"}[i%2]))
	}
	rows[3] = `{"label":"t-0003","issuer":"/realms/atlas","parameters":{"kc_idp_hint":"x"},"sites":{"atlas":"https://portal.acme.example"}}`
	for _, part := range [][]string{rows[:1000], rows[1000:]} {
		from.ask("POST", "/v1/tenants:import", strings.Join(part, "\n"), "Content-Type", "application/x-ndjson").is(200, "")
	}
	out := from.ask("GET", "/v1/tenants:export", "")
	if out.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%v", out.Header)
	}
	lines := bytes.SplitAfter(bytes.TrimSuffix(out.body, []byte("\n")), []byte("\n"))
	if len(lines) != 1500 {
		t.Fatalf("%d lines", len(lines))
	}
	for _, part := range [][][]byte{lines[:1000], lines[1000:]} {
		to.ask("POST", "/v1/tenants:import", string(bytes.Join(part, nil)), "Content-Type", "application/x-ndjson").is(200, "")
	}
	if again := to.ask("GET", "/v1/tenants:export", ""); !bytes.Equal(again.body, out.body) {
		t.Error("what came in is not what went out")
	}
	if some := from.ask("GET", "/v1/tenants:export?prefix=t-00&status=suspended", ""); bytes.Count(some.body, []byte("\n")) != 49 {
		t.Errorf("%d lines", bytes.Count(some.body, []byte("\n")))
	}
}

// A patch without If-Match loses nothing to another that is made meanwhile.
func TestPatchesAtOnceAllCount(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{}`).is(201, "")
	done := make(chan int)
	for i := range 4 {
		go func() {
			r, _ := http.NewRequestWithContext(t.Context(), "PATCH", b.url+"/v1/tenants/acme", strings.NewReader(fmt.Sprintf(`{"parameters":{"p%d":"x"}}`, i)))
			r.Header.Set("Authorization", "Bearer "+bootstrap)
			r.Header.Set("Content-Type", "application/merge-patch+json")
			resp, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				done <- 0
				return
			}
			resp.Body.Close()
			done <- resp.StatusCode
		}()
	}
	for range 4 {
		if status := <-done; status != 200 {
			t.Errorf("status %d", status)
		}
	}
	x, err := b.db.Tenant(t.Context(), "acme")
	if err != nil || len(x.Parameters) != 4 {
		t.Errorf("%+v, %v", x, err)
	}
}

func FuzzImport(f *testing.F) {
	f.Add(`{"label":"acme"}`, true)
	f.Add(`[{"label":"acme","sites":{"atlas":"https://portal.acme.example"}}]`, false)
	f.Add("{\"label\":\"a\"}\n{\"label\":\"A\",\"Label\":\"b\"}", true)
	f.Add(`[{"label":"acme","parameters":{"state":"x"},"notes":"\u0000\ud800"}]`, false)
	b := makeBed(f)
	f.Fuzz(func(t *testing.T, body string, lines bool) {
		b.t = t
		ct := "application/json"
		if lines {
			ct = "application/x-ndjson"
		}
		before, err := b.db.TenantCount(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g := b.ask("POST", "/v1/tenants:import", body, "Content-Type", ct)
		after, err := b.db.TenantCount(t.Context())
		if err != nil || g.StatusCode >= 500 || (g.StatusCode != 200 && after != before) {
			t.Fatalf("%q: %d %s, %d tenants, then %d, %v", body, g.StatusCode, g.body, before, after, err)
		}
		list, err := b.db.Tenants(t.Context(), store.TenantQuery{Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list { // what was kept would be taken again
			if p := b.rules.Validate(x.Tenant); len(p) > 0 {
				t.Fatalf("%q: %v", body, p)
			}
		}
	})
}

// A row's removal would stop nothing while the configuration lists the label.
func TestATenantThatTheConfigurationListsIsNotRemoved(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", "{}").is(201, "")
	for _, registry := range []tenant.Registry{
		tenant.Listed{Labels: tenant.Labels{"acme": {}}},
		tenant.Any{Registry: tenant.Listed{Labels: tenant.Labels{"acme": {}}}},
	} {
		b.rules.Registry = registry
		b.ask("DELETE", "/v1/tenants/acme", "").is(409, "label_listed")
	}
	b.rules.Registry = tenant.Listed{Labels: tenant.Labels{"globex": {}}}
	b.ask("DELETE", "/v1/tenants/acme", "").is(204, "")
}
