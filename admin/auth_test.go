package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/admin"
	"onedoor/store"
)

func TestNobodyComesInWithoutAToken(t *testing.T) {
	b := makeBed(t)
	for name, field := range map[string]string{
		"no token": "", "another scheme": "Basic YTpi", "no secret": "Bearer ", "another token": "Bearer onedoor_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"part of the token": "Bearer " + bootstrap[:10], "the token with more": "Bearer " + bootstrap + "x", "the bare token": bootstrap,
	} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			for _, path := range []string{"/v1/tenants", "/v1/tenants/acme", "/v1/audit", "/v1/tokens", "/v1/tenants:export"} {
				if g := b.ask("GET", path, "", "Authorization", field).is(401, "token_invalid"); !strings.HasPrefix(g.Header.Get("WWW-Authenticate"), `Bearer realm="onedoor"`) {
					t.Errorf("%v", g.Header)
				}
			}
			b.ask("PUT", "/v1/tenants/acme", "{}", "Authorization", field).is(401, "token_invalid")
		})
	}
	b.t = t
	b.ask("GET", "/v1/tenants", "", "Authorization", "bearer "+bootstrap).is(200, "") // RFC 9110 §11.1: a scheme has no case
	none := makeBed(t, func(o *admin.Options) { o.Token = nil })
	none.ask("GET", "/v1/tenants", "", "Authorization", "Bearer").is(401, "token_invalid")
	none.ask("GET", "/v1/tenants", "", "Authorization", "Bearer ").is(401, "token_invalid")
}

func TestATokenDoesWhatItsScopesName(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{"sites":{"atlas":"https://portal.acme.example"}}`).is(201, "")
	operations := []struct{ scope, method, path, body string }{
		{admin.TenantsRead, "GET", "/v1/tenants", ""},
		{admin.TenantsRead, "GET", "/v1/tenants/acme", ""},
		{admin.TenantsRead, "GET", "/v1/tenants:export", ""},
		{admin.TenantsWrite, "PUT", "/v1/tenants/acme", "{}"},
		{admin.TenantsWrite, "PATCH", "/v1/tenants/acme", "{}"},
		{admin.TenantsWrite, "POST", "/v1/tenants:import?dry_run=true", `[{"label":"globex"}]`},
		{admin.TenantsWrite, "PUT", "/v1/tenants/acme/sites/atlas", `{"origin":"https://portal.acme.example"}`},
		{admin.TenantsWrite, "POST", "/v1/tenants/acme/sites/atlas/check", ""},
		{admin.AuditRead, "GET", "/v1/audit", ""},
		{admin.TracesRead, "GET", "/v1/traces", ""},
		{admin.TracesRead, "GET", "/v1/traces/nobodys", ""},
		{admin.TracesRead, "GET", "/v1/legs?since=2026-11-22T10:00:00Z", ""},
		{admin.TracesRead, "GET", "/v1/funnel", ""},
		{admin.TenantsRead, "GET", "/v1/verifications", ""},
		{admin.TokensRead, "GET", "/v1/tokens", ""},
		{admin.TokensWrite, "DELETE", "/v1/tokens/0123456789abcdef", ""},
	}
	for i, scope := range admin.Scopes() {
		secret := b.token(fmt.Sprintf("t%d", i), scope)
		for _, op := range operations {
			g := b.ask(op.method, op.path, op.body, "Authorization", "Bearer "+secret)
			if may := g.StatusCode != 403; may != (op.scope == scope) {
				t.Errorf("%s with %s: status %d", op.method+" "+op.path, scope, g.StatusCode)
			}
			if op.scope != scope {
				g.is(403, "scope_missing")
				if want := `error="insufficient_scope", scope="` + op.scope + `"`; !strings.Contains(g.Header.Get("WWW-Authenticate"), want) {
					t.Errorf("%v, want %s", g.Header, want)
				}
			}
		}
	}
}

func TestATokenIsShownOnceAndEnds(t *testing.T) {
	b := makeBed(t)
	g := b.ask("POST", "/v1/tokens", `{"name":"back-office","scopes":["tenants:write","tenants:read"],"expires_at":"`+b.now().Add(time.Hour).Format(time.RFC3339)+`"}`).is(201, "")
	made := into[admin.NewToken](g)
	if len(made.Secret) < 43 || !strings.HasPrefix(made.Secret, "onedoor_") || g.Header.Get("Location") != "/v1/tokens/"+made.ID {
		t.Errorf("%s", g.body)
	}
	hers := []string{"Authorization", "Bearer " + made.Secret}
	b.ask("PUT", "/v1/tenants/acme", `{}`, hers...).is(201, "")
	for _, path := range []string{"/v1/tokens", "/v1/audit"} {
		g := b.ask("GET", path, "").is(200, "")
		if !strings.Contains(string(g.body), "back-office") || strings.Contains(string(g.body), made.Secret) || strings.Contains(string(g.body), "hash") {
			t.Errorf("%s: %s", path, g.body)
		}
	}
	if e := b.audit("?tenant=acme")[0]; e.Actor != "back-office" || e.Via != "api" {
		t.Errorf("%+v", e)
	}
	b.ask("POST", "/v1/tokens", `{"name":"back-office","scopes":["tenants:read"]}`).is(409, "token_exists")
	b.pass(time.Hour - time.Second)
	b.ask("GET", "/v1/tenants/acme", "", hers...).is(200, "")
	b.pass(time.Second)
	b.ask("GET", "/v1/tenants/acme", "", hers...).is(401, "token_invalid")

	secret := b.token("short-lived", admin.TenantsRead)
	hers[1] = "Bearer " + secret
	b.ask("GET", "/v1/tenants/acme", "", hers...).is(200, "")
	type tokens struct {
		Tokens []admin.Token `json:"tokens"`
	}
	list := into[tokens](b.ask("GET", "/v1/tokens", "").is(200, "")).Tokens
	if len(list) != 2 {
		t.Fatalf("%+v", list)
	}
	for _, x := range list {
		b.ask("DELETE", "/v1/tokens/"+x.ID, "").is(204, "")
	}
	b.ask("GET", "/v1/tenants/acme", "", hers...).is(401, "token_invalid") // at once
	b.ask("DELETE", "/v1/tokens/"+list[0].ID, "").is(404, "no_such_token")
}

func TestNoSecretIsInTheDatabase(t *testing.T) {
	b := makeBed(t)
	secret := b.token("x", admin.TenantsRead)
	list, err := b.db.Tokens(t.Context())
	if err != nil || len(list) != 1 || strings.Contains(fmt.Sprintf("%+v", list), secret[8:]) || len(list[0].Hash) != 64 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestATokenGivesNoMoreThanItHas(t *testing.T) {
	b := makeBed(t)
	secret := b.token("clerk", admin.TokensWrite, admin.TenantsRead)
	hers := []string{"Authorization", "Bearer " + secret}
	b.ask("POST", "/v1/tokens", `{"name":"a","scopes":["tenants:read"]}`, hers...).is(201, "")
	b.ask("POST", "/v1/tokens", `{"name":"b","scopes":["tenants:read","tenants:write"]}`, hers...).is(403, "scope_missing")
	for body, at := range map[string]string{
		`{"name":"c","scopes":[]}`:                "body.scopes",
		`{"name":"c","scopes":[{}]}`:              "body.scopes[0]",
		`{"name":"c","scopes":[{},{}]}`:           "body.scopes[0] body.scopes[1]",
		`{"name":"c","scopes":["all"]}`:           "body.scopes[0]",
		`{"name":"c"}`:                            "body",
		`{"name":"","scopes":["tenants:read"]}`:   "body.name body.name",
		`{"name":"a\nb","scopes":["audit:read"]}`: "body.name",
		`{"name":"c","scopes":["tenants:read"],"expires_at":"2001-01-01T00:00:00Z"}`: "body.expires_at",
		`{"name":"c","scopes":["tenants:read"],"expires_at":"soon"}`:                 "body.expires_at",
		`{"name":"c","scopes":["tenants:read"],"secret":"mine"}`:                     "body.secret",
	} {
		b.ask("POST", "/v1/tokens", body).is(422, "invalid").at(strings.Fields(at)...)
	}
}

func TestATokenOutlivesNotTheOneThatMadeIt(t *testing.T) {
	b := makeBed(t)
	in := func(d time.Duration) string { return b.now().Add(d).UTC().Format(time.RFC3339) }
	lent := into[admin.NewToken](b.ask("POST", "/v1/tokens", `{"name":"lent","scopes":["tokens:write"],"expires_at":"`+in(time.Hour)+`"}`).is(201, "")).Secret
	hers := []string{"Authorization", "Bearer " + lent}
	b.ask("POST", "/v1/tokens", `{"name":"a","scopes":["tokens:write"]}`, hers...).is(403, "token_outlives")
	b.ask("POST", "/v1/tokens", `{"name":"a","scopes":["tokens:write"],"expires_at":null}`, hers...).is(403, "token_outlives")
	b.ask("POST", "/v1/tokens", `{"name":"a","scopes":["tokens:write"],"expires_at":"`+in(2*time.Hour)+`"}`, hers...).is(403, "token_outlives")
	b.ask("POST", "/v1/tokens", `{"name":"a","scopes":["tokens:write"],"expires_at":"`+in(time.Hour)+`"}`, hers...).is(201, "")
}

func TestNoTokenGoesByTheNameOfTheConfigurations(t *testing.T) {
	b := makeBed(t)
	b.ask("POST", "/v1/tokens", `{"name":"admin.token","scopes":["tenants:read"]}`).is(422, "invalid").at("body.name")
}

func TestWhoAsksTooOftenWaits(t *testing.T) {
	b := makeBed(t, func(o *admin.Options) { o.Rate = 2 })
	secret := b.token("busy", admin.TenantsRead)
	hers := []string{"Authorization", "Bearer " + secret}
	for range 4 { // the burst
		b.ask("GET", "/v1/tenants", "", hers...).is(200, "")
	}
	if g := b.ask("GET", "/v1/tenants", "", hers...).is(429, "too_many_requests"); g.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", g.Header.Get("Retry-After"))
	}
	b.ask("GET", "/v1/tenants", "").is(200, "") // another token has its own
	b.pass(time.Second)
	b.ask("GET", "/v1/tenants", "", hers...).is(200, "")
}

func TestWhoGuessesTokensWaitsAndKeepsNobodyOut(t *testing.T) {
	b := makeBed(t)
	known := b.token("known", admin.TenantsRead)
	b.ask("GET", "/v1/tenants", "", "Authorization", "Bearer "+known).is(200, "")
	guess := func(i int) got {
		return b.ask("GET", "/v1/tenants", "", "Authorization", fmt.Sprintf("Bearer onedoor_%043d", i))
	}
	for i := range 50 {
		guess(i).is(401, "token_invalid")
	}
	if g := guess(51).is(429, "too_many_bad_tokens"); g.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	// Behind one proxy all come from one address.
	b.ask("GET", "/v1/tenants", "", "Authorization", "Bearer "+known).is(200, "")
	b.pass(time.Second)
	guess(52).is(401, "token_invalid")
}

func TestOnlyNamesThatAreOursAreAnswered(t *testing.T) {
	b := makeBed(t, func(o *admin.Options) { o.Hosts = []string{"onedoor", "admin.example.com"} })
	for host, ok := range map[string]bool{
		"localhost": true, "LOCALHOST:9001": true, "127.0.0.1": true, "127.0.0.1:1": true, "127.1.2.3": true, "[::1]:9001": true,
		"onedoor:9001": true, "admin.example.com": true, "Admin.Example.Com": true,
		"evil.example": false, "evil.example:9001": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"192.0.2.1": false, "10.0.0.1:9001": false, "[2001:db8::1]": false, "sub.admin.example.com": false, "xonedoor": false, "0.0.0.0": false,
	} {
		want, code := 200, ""
		if !ok {
			want, code = 421, "host_unknown"
		}
		b.ask("GET", "/v1/tenants", "", "Host", host).is(want, code)
		if !ok { // before any token is looked at
			b.ask("GET", "/v1/openapi.json", "", "Host", host, "Authorization", "").is(421, "host_unknown")
		}
	}
}

func TestADatabaseThatIsDownIsSaidSo(t *testing.T) {
	b := makeBed(t)
	secret := b.token("x", admin.TenantsRead, admin.TenantsWrite)
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, header := range [][]string{nil, {"Authorization", "Bearer " + secret}} {
		for _, op := range [][3]string{
			{"GET", "/v1/tenants", ""},
			{"GET", "/v1/tenants/acme", ""},
			{"PUT", "/v1/tenants/acme", "{}"},
			{"PATCH", "/v1/tenants/acme", "{}"},
			{"DELETE", "/v1/tenants/acme", ""},
			{"POST", "/v1/tenants:import", `[{"label":"a"}]`},
			{"GET", "/v1/tenants:export", ""},
			{"PUT", "/v1/tenants/acme/sites/atlas", `{"origin":"https://portal.acme.example"}`},
		} {
			g := b.ask(op[0], op[1], op[2], header...).is(503, "database_unavailable")
			if g.Header.Get("Retry-After") == "" || strings.Contains(string(g.body), "sql") {
				t.Errorf("%v %s", g.Header, g.body)
			}
		}
	}
}

func TestMetricsNeedTheirScope(t *testing.T) {
	b := makeBed(t, func(o *admin.Options) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
	})
	if g := b.ask("GET", "/metrics", ""); string(g.body) != "up 1\n" {
		t.Errorf("%s", g.body)
	}
	b.ask("GET", "/metrics", "", "Authorization", "").is(401, "token_invalid")
	b.ask("GET", "/metrics", "", "Authorization", "Bearer "+b.token("x", admin.TenantsRead)).is(403, "scope_missing")
	if g := b.ask("GET", "/metrics", "", "Authorization", "Bearer "+b.token("prometheus", admin.MetricsRead)); g.StatusCode != 200 {
		t.Errorf("%s", g.body)
	}
}

func TestOpenMetricsNeedNoTokenAndNothingElseIsOpen(t *testing.T) {
	b := makeBed(t, func(o *admin.Options) {
		o.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("up 1\n")) })
		o.OpenMetrics = true
	})
	if g := b.ask("GET", "/metrics", "", "Authorization", ""); string(g.body) != "up 1\n" {
		t.Errorf("%s", g.body)
	}
	b.ask("GET", "/metrics", "", "Authorization", "", "Host", "rebound.example").is(421, "host_unknown")
	b.ask("GET", "/v1/tenants", "", "Authorization", "").is(401, "token_invalid")
}

func TestACallerInThisProcessNeedsNoToken(t *testing.T) {
	b := makeBed(t, func(o *admin.Options) { o.Token = nil })
	r := httptest.NewRequest("PUT", "http://localhost/v1/tenants/acme", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r.WithContext(admin.As(r.Context(), admin.Caller{Name: "anna", Via: "cli", Scopes: admin.Scopes()})))
	if w.Code != 201 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	entries, err := b.db.Audit(t.Context(), store.AuditQuery{})
	if err != nil || entries[0].Actor != (store.Actor{Name: "anna", Via: "cli"}) {
		t.Errorf("%+v, %v", entries, err)
	}
}

// The scope that an operation needs stands in the document, and its token's
// secret nowhere.
func TestEveryOperationSaysItsScope(t *testing.T) {
	b := makeBed(t)
	type document struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			Security  []map[string][]string `json:"security"`
			Responses map[string]any        `json:"responses"`
		} `json:"paths"`
	}
	g := b.ask("GET", "/v1/openapi.json", "", "Authorization", "")
	var d document
	if err := json.Unmarshal(g.body, &d); err != nil {
		t.Fatal(err)
	}
	if d.OpenAPI != "3.1.0" || len(d.Paths) < 8 {
		t.Errorf("%s", g.body)
	}
	for path, methods := range d.Paths {
		for method, op := range methods {
			if len(op.Security) != 1 || len(op.Security[0]["token"]) != 1 || !slices.Contains(admin.Scopes(), op.Security[0]["token"][0]) {
				t.Errorf("%s %s: %v", method, path, op.Security)
			}
			for _, status := range []string{"401", "403", "421", "422", "429", "503"} {
				if op.Responses[status] == nil {
					t.Errorf("%s %s: nothing is said of %s", method, path, status)
				}
			}
		}
	}
	if strings.Contains(string(g.body), "ErrorModel") {
		t.Error("the document shows an error that is none of ours")
	}
}
