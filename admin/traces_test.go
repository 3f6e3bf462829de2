package admin_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"onedoor/admin"
	"onedoor/journal"
	"onedoor/store"
)

// logged writes a leg of a login into the database.
func (b *bed) logged(id, request, label string, stages int64, leg journal.Leg) {
	b.t.Helper()
	body, err := json.Marshal(leg)
	if err != nil {
		b.t.Fatal(err)
	}
	at := b.now().UnixMilli()
	l := store.LoginLeg{
		Login:   store.Login{ID: id, Joined: len(id) == 32, Tenant: label, App: "atlas", Stages: stages, BeganAt: at, UpdatedAt: at},
		Request: request, At: at, Body: string(body),
	}
	if leg.Rule+leg.ProviderError != "" {
		l.FailedAt, l.Rule = at, leg.Rule+leg.ProviderError
	}
	if err := b.db.AddLegs(b.t.Context(), []store.LoginLeg{l}); err != nil {
		b.t.Fatal(err)
	}
}

type traces struct {
	Traces []journal.Login
	Next   string
}

func TestTracesAreFoundPageByPage(t *testing.T) {
	b := makeBed(t)
	const done = store.LoginAsked | store.LoginSent | store.LoginCameBack | store.LoginReturned | store.LoginTried | store.LoginRedeemed | store.LoginDone
	for i := range 25 {
		b.logged(fmt.Sprintf("%032d", i), fmt.Sprintf("ok%d", i), "acme", done, journal.Leg{Leg: "token"})
		if i%2 == 0 { // two of one moment
			b.pass(time.Second)
		}
	}
	b.logged(strings.Repeat("f", 32), "wrong", "acme", store.LoginTried, journal.Leg{Leg: "token", ProviderError: "invalid_client"})
	seen, query := map[string]bool{}, url.Values{"limit": {"4"}, "tenant": {"acme"}}
	for pages := 0; ; pages++ {
		page := into[traces](b.ask("GET", "/v1/traces?"+query.Encode(), "").is(200, ""))
		for _, l := range page.Traces {
			if seen[l.ID] {
				t.Fatalf("%s is on two pages", l.ID)
			}
			seen[l.ID] = true
		}
		if page.Next == "" {
			break
		}
		query.Set("cursor", page.Next)
	}
	if len(seen) != 26 {
		t.Errorf("%d traces were seen, want 26", len(seen))
	}
	failed := into[traces](b.ask("GET", "/v1/traces?failed=true&app=atlas", "").is(200, ""))
	if len(failed.Traces) != 1 || failed.Traces[0].Rule != "invalid_client" || failed.Traces[0].Outcome != journal.Failed {
		t.Errorf("%+v", failed)
	}
	since := url.QueryEscape(b.now().Add(-time.Second).UTC().Format(time.RFC3339))
	if some := into[traces](b.ask("GET", "/v1/traces?since="+since, "").is(200, "")); len(some.Traces) == 0 || len(some.Traces) > 4 {
		t.Errorf("%d traces of the last second", len(some.Traces))
	}
	b.ask("GET", "/v1/traces?cursor=AAAA", "").is(422, "cursor_invalid")
	nul := base64.RawURLEncoding.EncodeToString([]byte("1 a\x00")) // no text of PostgreSQL's
	b.ask("GET", "/v1/traces?cursor="+nul, "").is(422, "cursor_invalid")
	b.ask("GET", "/v1/traces?since=yesterday", "").is(422, "invalid")
	b.ask("GET", "/v1/traces?tenant=A%27", "").is(422, "invalid")
	b.ask("GET", "/v1/traces", "", "Authorization", "Bearer "+b.token("x", admin.TenantsRead)).is(403, "scope_missing")
	b.ask("GET", "/v1/traces", "", "Authorization", "Bearer "+b.token("support", admin.TracesRead)).is(200, "")
}

func TestATraceIsShownByItsIDAndByTheReferenceOfAPage(t *testing.T) {
	b := makeBed(t)
	id := strings.Repeat("a", 32)
	b.logged(id, "reference1", "acme", store.LoginAsked|store.LoginSent, journal.Leg{Leg: "authorize", Status: 303})
	b.pass(time.Second)
	b.logged(id, "reference2", "acme", store.LoginCameBack, journal.Leg{Leg: "callback", Status: 400, Rule: "state.browser"})
	for _, by := range []string{id, "reference1", "reference2"} {
		l := into[journal.Login](b.ask("GET", "/v1/traces/"+by, "").is(200, ""))
		if l.ID != id || len(l.Legs) != 2 || l.Legs[1].Rule != "state.browser" || l.Outcome != journal.Failed {
			t.Errorf("%s: %+v", by, l)
		}
	}
	b.ask("GET", "/v1/traces/nobodys", "").is(404, "trace_unknown")
	b.ask("GET", "/v1/traces/A_B", "").is(422, "invalid")
}

type near struct {
	journal.Login
	Near []string
}

// One mistyped tenant is what people look for longest.
func TestATraceOfAnUnknownTenantNamesThoseThatAreNear(t *testing.T) {
	b := makeBed(t)
	for _, label := range []string{"acme", "acne", "acme-labs", "globex", "initech", "north-wind"} {
		b.ask("PUT", "/v1/tenants/"+label, "{}").is(201, "")
	}
	for asked, want := range map[string]string{"acmee": "acme", "amce": "acme", "globx": "globex", "northwind": "north-wind", "initech": "initech", "zzz": "", "portal.example.com": ""} {
		b.logged("r"+asked[:3], "r"+asked[:3], "", store.LoginAsked, journal.Leg{Leg: "authorize", Rule: "tenant.unknown", Got: asked})
		got := into[near](b.ask("GET", "/v1/traces/r"+asked[:3], "").is(200, ""))
		if first := append(got.Near, "")[0]; first != want {
			t.Errorf("near %s are %v, want %q first", asked, got.Near, want)
		}
		b.pass(time.Second)
	}
	// Whoever may not read tenants would read them so: anybody can ask the door for
	// any label.
	secret := b.token("support", admin.TracesRead)
	if got := into[near](b.ask("GET", "/v1/traces/racm", "", "Authorization", "Bearer "+secret).is(200, "")); len(got.Near) > 0 {
		t.Errorf("a token for traces alone is told of %v", got.Near)
	}
}

func TestTheLegsAndTheFunnelAreShown(t *testing.T) {
	b := makeBed(t)
	for i := range 5 {
		b.logged(fmt.Sprintf("%032d", i), fmt.Sprintf("r%d", i), "acme", store.LoginAsked|store.LoginSent|store.LoginCameBack|store.LoginReturned, journal.Leg{Leg: "callback"})
	}
	since := url.QueryEscape(b.now().UTC().Format(time.RFC3339))
	legs := into[struct{ Legs []journal.Part }](b.ask("GET", "/v1/legs?since="+since, "").is(200, ""))
	if len(legs.Legs) != 5 || legs.Legs[0].Tenant != "acme" || legs.Legs[0].Leg.Leg != "callback" {
		t.Errorf("%+v", legs)
	}
	b.ask("GET", "/v1/legs", "").is(422, "invalid")
	for _, query := range []string{"", "?by=app", "?tenant=acme&app=atlas"} {
		funnel := into[struct{ Funnels []journal.Funnel }](b.ask("GET", "/v1/funnel"+query, "").is(200, ""))
		if len(funnel.Funnels) != 1 || funnel.Funnels[0].Returned != 5 || !funnel.Funnels[0].Lost {
			t.Errorf("%s: %+v", query, funnel)
		}
	}
	b.pass(25 * time.Hour)
	if late := into[struct{ Funnels []journal.Funnel }](b.ask("GET", "/v1/funnel", "").is(200, "")); len(late.Funnels) != 0 {
		t.Errorf("%+v", late)
	}
}
