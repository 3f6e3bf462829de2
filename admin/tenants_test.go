package admin_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"onedoor/admin"
)

func TestATenantIsAddedChangedAndRemoved(t *testing.T) {
	b := makeBed(t)
	b.ask("GET", "/v1/tenants/acme", "").is(404, "no_such_tenant")
	made := b.ask("PUT", "/v1/tenants/acme", `{"notes":"signed up at three"}`).is(201, "")
	x := made.tenant()
	if x.Label != "acme" || x.Status != "active" || x.ID == "" || x.Notes != "signed up at three" || made.Header.Get("ETag") != fmt.Sprintf(`"%d"`, x.Revision) {
		t.Errorf("%s", made.body)
	}
	// The same again is as good as once.
	again := b.ask("PUT", "/v1/tenants/acme", `{"notes":"signed up at three"}`).is(200, "").tenant()
	if again.Revision != x.Revision || again.ID != x.ID {
		t.Errorf("%+v, then %+v", x, again)
	}
	b.pass(time.Minute)
	y := b.ask("PUT", "/v1/tenants/acme", `{"status":"suspended","issuer":"/realms/acme","parameters":{"kc_idp_hint":"acme"}}`).is(200, "").tenant()
	if y.Status != "suspended" || y.Notes != "" || y.Parameters["kc_idp_hint"] != "acme" || y.ID != x.ID || !y.UpdatedAt.After(x.UpdatedAt) || !y.CreatedAt.Equal(x.CreatedAt) {
		t.Errorf("%+v", y)
	}
	if got := b.ask("GET", "/v1/tenants/acme", "").is(200, "").tenant(); got.Revision != y.Revision {
		t.Errorf("%+v", got)
	}
	b.ask("DELETE", "/v1/tenants/acme", "").is(204, "")
	b.ask("DELETE", "/v1/tenants/acme", "").is(404, "no_such_tenant")
	if p := b.ask("PUT", "/v1/tenants/acme", `{}`).is(409, "label_resting").problem(); !strings.Contains(p.Detail, "until 20") {
		t.Errorf("%+v", p)
	}
	// Whoever knows the ID can have that tenant back.
	if z := b.ask("PUT", "/v1/tenants/acme", `{"id":"`+x.ID+`"}`).is(201, "").tenant(); z.ID != x.ID {
		t.Errorf("%+v", z)
	}
}

func TestAPatchChangesWhatItNames(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{"notes":"n","issuer":"/realms/atlas","parameters":{"a":"1","b":"2"},"sites":{"atlas":"https://portal.acme.example"}}`).is(201, "")
	for _, tt := range []struct {
		patch string
		want  func(admin.Tenant) bool
	}{
		{`{"status":"suspended"}`, func(x admin.Tenant) bool {
			return x.Status == "suspended" && x.Notes == "n" && len(x.Parameters) == 2 && len(x.Sites) == 1
		}},
		{`{"status":null}`, func(x admin.Tenant) bool { return x.Status == "active" }},
		{`{"parameters":{"a":null,"c":"3"}}`, func(x admin.Tenant) bool {
			return len(x.Parameters) == 2 && x.Parameters["b"] == "2" && x.Parameters["c"] == "3"
		}},
		{`{"parameters":null,"notes":null}`, func(x admin.Tenant) bool { return len(x.Parameters) == 0 && x.Notes == "" && len(x.Sites) == 1 }},
		{`{"sites":{"atlas":null}}`, func(x admin.Tenant) bool { return len(x.Sites) == 0 && x.Issuer == "/realms/atlas" }},
		{`{}`, func(x admin.Tenant) bool { return x.Issuer == "/realms/atlas" }},
	} {
		got := b.ask("PATCH", "/v1/tenants/acme", tt.patch, "Content-Type", "application/merge-patch+json").is(200, "")
		if !tt.want(got.tenant()) {
			t.Errorf("%s: %s", tt.patch, got.body)
		}
	}
	b.ask("PATCH", "/v1/tenants/globex", `{}`).is(404, "no_such_tenant")
	b.ask("PATCH", "/v1/tenants/acme", `[]`).is(422, "invalid").at("body")
	b.ask("PATCH", "/v1/tenants/acme", `{"label":"globex"}`).is(422, "invalid").at("body.label")
	b.ask("PATCH", "/v1/tenants/acme", `{"id":"t_0123456789abcdef"}`).is(422, "invalid").at("body.id")
	b.ask("PATCH", "/v1/tenants/acme", `{"parameters":{"a":7}}`).is(422, "invalid").at("body.parameters.a")
	b.ask("PATCH", "/v1/tenants/acme", `{"parameters":{"state":"x"}}`).is(422, "invalid").at("body.parameters.state")
	b.ask("PATCH", "/v1/tenants/acme", `{"`).is(400, "body_malformed")
	b.ask("PATCH", "/v1/tenants/acme", ``).is(400, "body_malformed")
	b.ask("PATCH", "/v1/tenants/acme", `{}`, "Content-Type", "text/plain").is(415, "body_type")
}

func TestAChangeIsBoundToWhatWasRead(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{}`, "If-Match", "*").is(412, "precondition_failed")
	b.ask("PUT", "/v1/tenants/acme", `{}`, "If-Match", `"7"`).is(412, "precondition_failed")
	first := b.ask("PUT", "/v1/tenants/acme", `{}`, "If-None-Match", "*").is(201, "").Header.Get("ETag")
	b.ask("PUT", "/v1/tenants/acme", `{}`, "If-None-Match", "*").is(412, "precondition_failed")
	b.ask("PUT", "/v1/tenants/acme", `{"notes":"1"}`, "If-None-Match", first).is(412, "precondition_failed")
	second := b.ask("PUT", "/v1/tenants/acme", `{"notes":"1"}`, "If-Match", first).is(200, "").Header.Get("ETag")
	for _, method := range []string{"PUT", "PATCH", "DELETE"} {
		body := map[string]string{"PUT": `{"notes":"2"}`, "PATCH": `{"notes":"2"}`}[method]
		b.ask(method, "/v1/tenants/acme", body, "If-Match", first).is(412, "precondition_failed")
		b.ask(method, "/v1/tenants/acme", body, "If-Match", "W/"+second).is(412, "precondition_failed")
		for _, bad := range []string{"17", `"17`, `"1" "2"`, `"a"b"`, ","} {
			b.ask(method, "/v1/tenants/acme", body, "If-Match", bad).is(422, "invalid").at("header.If-Match")
		}
	}
	if g := b.askAs("PUT", "/v1/tenants/acme", `{}`, http.Header{"If-Match": {""}}); g.StatusCode != 422 {
		t.Errorf("an empty If-Match: %s", g.body)
	}
	if g := b.askAs("PUT", "/v1/tenants/acme", `{"notes":"1"}`, http.Header{"If-Match": {first, second}}); g.StatusCode != 200 {
		t.Errorf("If-Match in two fields: %s", g.body)
	}
	b.ask("PATCH", "/v1/tenants/acme", `{"notes":"3"}`, "If-Match", first+", "+second).is(200, "")
	b.ask("DELETE", "/v1/tenants/acme", "", "If-Match", "*").is(204, "")

	etag := b.ask("PUT", "/v1/tenants/globex", `{}`).is(201, "").Header.Get("ETag")
	if g := b.ask("GET", "/v1/tenants/globex", "", "If-None-Match", etag).is(304, ""); len(g.body) != 0 {
		t.Errorf("%s", g.body)
	}
	b.ask("GET", "/v1/tenants/globex", "", "If-None-Match", `"0"`).is(200, "")
}

func TestEveryMistakeOfATenantIsNamed(t *testing.T) {
	b := makeBed(t)
	for _, tt := range []struct {
		name, label, body string
		at                []string
	}{
		{"a status that is none", "acme", `{"status":"gone"}`, []string{"body.status"}},
		{"a member that is none", "acme", `{"colour":"red"}`, []string{"body.colour"}},
		{"a member in another case", "acme", `{"Status":"active"}`, []string{"body.Status"}},
		{"a wrong type", "acme", `{"notes":7}`, []string{"body.notes"}},
		{"an array", "acme", `[]`, []string{"body"}},
		{"a NUL", "acme", `{"notes":"a\u0000b"}`, []string{"body.notes"}},
		{"long notes", "acme", `{"notes":"` + strings.Repeat("x", 1001) + `"}`, []string{"body.notes"}},
		{"a label with capitals", "Acme", `{}`, []string{"path.label"}},
		{"a label with a dot", "a.b", `{}`, []string{"path.label"}},
		{"a label that is too long", strings.Repeat("a", 64), `{}`, []string{"path.label"}},
		{"a reserved label", "www", `{}`, []string{"path.label"}},
		{"an issuer that is none", "acme", `{"issuer":"/realms/x"}`, []string{"body.issuer"}},
		{"an app that is none", "acme", `{"sites":{"x":"https://portal.acme.example"}}`, []string{"body.sites.x"}},
		{"the door's own origin", "acme", `{"sites":{"atlas":"https://auth.example.com"}}`, []string{"body.sites.atlas"}},
		{"another tenant's site", "acme", `{"sites":{"atlas":"https://globex.example.com"}}`, []string{"body.sites.atlas"}},
		{"a site without TLS", "acme", `{"sites":{"atlas":"http://portal.acme.example"}}`, []string{"body.sites.atlas"}},
		{"a site with a path", "acme", `{"sites":{"atlas":"https://portal.acme.example/x"}}`, []string{"body.sites.atlas"}},
		{"parameters of the protocol, and more", "acme", `{"status":"active","issuer":"x","parameters":{"state":"x","redirect_uri":"y"}}`, []string{"body.issuer", "body.parameters.redirect_uri", "body.parameters.state"}},
		{"a parameter without a value", "acme", `{"parameters":{"a":""}}`, []string{"body.parameters.a"}},
		{"a parameter with a line break", "acme", `{"parameters":{"a":"b\nc"}}`, []string{"body.parameters.a"}},
		{"a site that is too long", "acme", `{"sites":{"atlas":"https://` + strings.Repeat("a", 400) + `.example"}}`, []string{"body.sites.atlas"}},
		{"two mistakes of form", "acme", `{"status":"x","notes":7}`, []string{"body.notes", "body.status"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b.t = t
			b.ask("PUT", "/v1/tenants/"+tt.label, tt.body).is(422, "invalid").at(tt.at...)
		})
	}
	b.t = t
	b.ask("PUT", "/v1/tenants/acme", `{"status"`).is(400, "body_malformed").at("body")
	b.ask("PUT", "/v1/tenants/acme", ``).is(400, "body_malformed")
	if p := b.ask("PUT", "/v1/tenants/acme", `{}`, "Content-Type", "text/plain").is(415, "body_type").problem(); !strings.Contains(p.Hint, "application/json") {
		t.Errorf("the hint %q does not say which type is right", p.Hint)
	}
	b.ask("PUT", "/v1/tenants/acme", strings.Repeat(" ", 65<<10)+`{}`).is(413, "body_too_large")
	b.ask("PUT", "/v1/tenants/acme?force=1", `{}`).is(422, "invalid").at("query.force")
	b.ask("GET", "/v1/tenants/acme", "").is(404, "no_such_tenant") // nothing of all that was kept
}

func TestTenantsAreListedPageByPage(t *testing.T) {
	b := makeBed(t)
	for i := range 7 {
		status := []string{"active", "suspended"}[i%2]
		b.ask("PUT", fmt.Sprintf("/v1/tenants/t-%d", i), `{"status":"`+status+`"}`).is(201, "")
	}
	b.ask("PUT", "/v1/tenants/zeta", `{}`).is(201, "")
	type page struct {
		Tenants []admin.Tenant `json:"tenants"`
		Next    string         `json:"next"`
	}
	list := func(query string) (labels []string) {
		t.Helper()
		for next := ""; ; {
			p := into[page](b.ask("GET", "/v1/tenants?"+query+next, "").is(200, ""))
			for _, x := range p.Tenants {
				labels = append(labels, x.Label)
			}
			if p.Next == "" {
				return labels
			}
			next = "&cursor=" + p.Next
		}
	}
	for query, want := range map[string]string{
		"limit=3":                            "t-0 t-1 t-2 t-3 t-4 t-5 t-6 zeta",
		"limit=4":                            "t-0 t-1 t-2 t-3 t-4 t-5 t-6 zeta",
		"limit=1000":                         "t-0 t-1 t-2 t-3 t-4 t-5 t-6 zeta",
		"limit=2&prefix=t-":                  "t-0 t-1 t-2 t-3 t-4 t-5 t-6",
		"limit=2&status=suspended":           "t-1 t-3 t-5",
		"limit=1&prefix=z&status=active":     "zeta",
		"limit=1&prefix=none&status=active":  "",
		"limit=1&prefix=zeta&status=active&": "zeta",
	} {
		if got := strings.Join(list(query), " "); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	for query, at := range map[string]string{
		"limit=0": "query.limit", "limit=1001": "query.limit", "limit=x": "query.limit", "status=gone": "query.status",
		"prefix=A": "query.prefix", "cursor=!": "query.cursor", "page=2": "query.page",
		"status=": "query.status", "cursor": "query.cursor", "limit=1&limit=2": "query.limit", "limit=%zz": "query",
	} {
		b.ask("GET", "/v1/tenants?"+query, "").is(422, "invalid").at(at)
	}
	for _, c := range []string{"x", "QQ", "AAAA"} {
		b.ask("GET", "/v1/tenants?cursor="+c, "").is(422, "cursor_invalid").at("query.cursor")
	}
}

func TestOnlyTheMethodsThatThereAre(t *testing.T) {
	b := makeBed(t)
	for path, want := range map[string]string{
		"/v1/tenants": "GET, HEAD", "/v1/tenants/acme": "DELETE, GET, HEAD, PATCH, PUT", "/v1/tenants:import": "POST", "/v1/tokens/0123456789abcdef": "DELETE",
	} {
		if g := b.ask("TRACE", path, "").is(405, "method_not_allowed"); g.Header.Get("Allow") != want {
			t.Errorf("%s: Allow %q, want %q", path, g.Header.Get("Allow"), want)
		}
	}
	for _, path := range []string{"/", "/v1", "/v1/tenants/", "/v1/tenants//acme", "/v1//tenants", "/v1/../v1/tenants", "/v2/tenants", "/metrics"} {
		b.ask("GET", path, "").is(404, "no_such_path")
	}
	if g := b.ask("OPTIONS", "/v1/tenants", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "GET"); g.StatusCode != 405 || g.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%d %v", g.StatusCode, g.Header)
	}
	for _, g := range []got{b.ask("GET", "/v1/tenants", ""), b.ask("GET", "/x", ""), b.ask("GET", "/v1/tenants", "", "Authorization", "")} {
		if g.Header.Get("Cache-Control") != "no-store" || g.Header.Get("X-Content-Type-Options") != "nosniff" || g.Header.Get("Set-Cookie") != "" {
			t.Errorf("%d %v", g.StatusCode, g.Header)
		}
	}
	if g := b.ask(http.MethodHead, "/v1/tenants", ""); g.StatusCode != 200 || len(g.body) != 0 {
		t.Errorf("%d %s", g.StatusCode, g.body)
	}
}

// A configuration that has moved on keeps nobody from suspending a tenant.
func TestATenantThatNoLongerFitsCanStillBeSuspended(t *testing.T) {
	b := makeBed(t)
	b.ask("PUT", "/v1/tenants/acme", `{"issuer":"/realms/atlas","sites":{"atlas":"https://portal.acme.example"}}`).is(201, "")
	b.rules.Apps[0].Name, b.rules.Issuers, b.rules.Reserved = "other", nil, []string{"acme", "www"}
	b.ask("PATCH", "/v1/tenants/acme", `{"status":"suspended"}`).is(200, "")
	b.ask("PATCH", "/v1/tenants/acme", `{"issuer":"/realms/other"}`).is(422, "invalid").at("body.issuer")
	b.ask("PATCH", "/v1/tenants/acme", `{"sites":{"atlas":"http://auth.example.com"}}`).is(422, "invalid").at("body.sites.atlas") // another value is not excused
	b.ask("PATCH", "/v1/tenants/acme", `{"notes":"x","sites":{"atlas":"https://portal.acme.example"}}`).is(200, "")
	b.ask("PATCH", "/v1/tenants/acme", `{"sites":{"more":"https://elsewhere.acme.example"}}`).is(422, "invalid").at("body.sites.more")
	b.ask("PUT", "/v1/tenants/acme", `{"status":"suspended","sites":{}}`).is(200, "")
	b.ask("PUT", "/v1/tenants/www", `{}`).is(422, "invalid").at("path.label")
}

// PostgreSQL has no place for other octets than those of text: what holds them
// would be its error, and look as if it did not answer.
func TestOctetsThatAreNoTextAreRefused(t *testing.T) {
	b := makeBed(t)
	for _, c := range []string{"acme", "\x00/shop", "acme/\xff", "Acme/shop", "/"} {
		b.ask("GET", "/v1/verifications?cursor="+base64.RawURLEncoding.EncodeToString([]byte(c)), "").is(422, "cursor_invalid")
	}
	b.ask("GET", "/v1/audit?actor=%ff", "").is(422, "invalid").at("query.actor")
	for _, c := range []string{"acme/shop", "acme/", "/shop"} {
		b.ask("GET", "/v1/verifications?cursor="+base64.RawURLEncoding.EncodeToString([]byte(c)), "").is(200, "")
	}
}
