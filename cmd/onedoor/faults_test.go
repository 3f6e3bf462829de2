package main

import (
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/oidc"
	"onedoor/seal"
)

// TestAReplicaThatIsGoneInMidLoginIsReplacedByAnother: a login lives in the
// browser, and what does not fit there in the database.
func TestAReplicaThatIsGoneInMidLoginIsReplacedByAnother(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	for _, state := range []string{"short", strings.Repeat("s", 5000)} {
		a, b := startReplica(t, file, nil), startReplica(t, file, nil)
		l := a.begin(state)
		a.stop()
		if answer := l.callback(b); answer.location == nil || answer.location.Query().Get("state") != state {
			t.Fatalf("%d %s", answer.status, answer.body)
		}
		b.stop()
		c := startReplica(t, file, nil)
		if answer := l.token(c); answer.status != http.StatusOK {
			t.Errorf("%d %s", answer.status, answer.body)
		}
		c.stop()
	}
}

// TestClocksThatDifferByAMinuteLoseNoLogin takes a login from the door whose
// clock is behind to that whose clock is ahead and back, and the other way.
func TestClocksThatDifferByAMinuteLoseNoLogin(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	behind := startReplica(t, file, func() time.Time { return time.Now().Add(-30 * time.Second) })
	ahead := startReplica(t, file, func() time.Time { return time.Now().Add(29 * time.Second) })
	long := strings.Repeat("s", 5000)
	for _, state := range []string{"short", long} {
		behind.begin(state).finish(ahead, behind)
		ahead.begin(state).finish(behind, ahead)
	}
	// And a key that one of them makes in between.
	l := ahead.begin(long)
	if code, _, errs := command(t, "key", "rotate", "-c", file); code != 0 {
		t.Fatal(errs)
	}
	for _, r := range []*replica{behind, ahead} {
		until(t, "the new key to be known", func() bool { return strings.Contains(r.log.String(), "sealing keys changed") })
	}
	l.finish(behind, ahead)
	behind.begin(long).finish(ahead, behind)
}

// TestLoginsGoOnWithoutTheDatabase: what a door holds in memory is enough, but
// for a state that has to be kept; and that is said so that an app can understand
// it (RFC 6749 §4.1.2.1: a status code of 503 cannot be returned by a redirect).
func TestLoginsGoOnWithoutTheDatabase(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	r := startReplica(t, file, nil)
	before, kept := r.begin("before"), r.begin(strings.Repeat("s", 5000))
	if err := r.db.Close(); err != nil { // as far away as a database can be
		t.Fatal(err)
	}
	before.finish(r, r)
	r.begin("during").finish(r, r)
	a := r.ask(http.MethodGet, "/r/auth?"+url.Values{
		"response_type": {"code"}, "client_id": {"atlas"}, "redirect_uri": {"http://acme.localhost/cb"}, "state": {strings.Repeat("s", 5000)},
	}.Encode(), nil, nil)
	if a.location == nil || a.location.Host != "acme.localhost" || a.location.Query().Get("error") != oidc.TemporarilyUnavailable || len(a.location.Query().Get("state")) != 5000 {
		t.Errorf("a long state: %d %v", a.status, a.location)
	}
	if a := kept.callback(r); a.status != http.StatusServiceUnavailable || a.location != nil {
		t.Errorf("a state that is kept where nobody can look: %d %v", a.status, a.location)
	}
	// The same browser brings the same answer to a door that can.
	kept.finish(startReplica(t, file, nil), startReplica(t, file, nil))
}

func TestASlowProviderIsToldAndHoldsNobodyElseUp(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml("limits: {provider_requests: 2, provider_timeout: 1s}\n"))
	r := startReplica(t, file, nil)
	release := make(chan struct{})
	var arrived, most atomic.Int64
	p.holding(func(q *http.Request) {
		if q.URL.Path == "/slow" {
			most.Store(max(most.Load(), arrived.Add(1)))
			defer arrived.Add(-1)
			select {
			case <-release:
			case <-q.Context().Done():
			}
		}
	})
	const many = 20
	answers := make(chan int, many)
	for range many {
		go func() { answers <- r.ask(http.MethodGet, "/slow", nil, nil).status }()
	}
	got := map[int]int{}
	for range many {
		got[<-answers]++
	}
	if got[http.StatusGatewayTimeout] == 0 || got[http.StatusServiceUnavailable] == 0 || got[http.StatusGatewayTimeout]+got[http.StatusServiceUnavailable] != many {
		t.Errorf("answers %v", got)
	}
	if most.Load() > 2 {
		t.Errorf("%d requests at the provider at once", most.Load())
	}
	close(release)
	r.begin("afterwards").finish(r, r)
	// The limit changes with the file.
	change(t, file, p.yaml("limits: {provider_requests: 64, provider_timeout: 1s}\n"))
	r.reloads(1)
	if got := r.current.Load().cfg.Limits.ProviderRequests; got != 64 {
		t.Errorf("limit %d", got)
	}
}

// TestADoorThatLostTheDatabaseHonoursNoKeyForLong: a key that was revoked
// meanwhile opens nothing there, at redirect URIs without a tenant as well.
func TestADoorThatLostTheDatabaseHonoursNoKeyForLong(t *testing.T) {
	p := newIDP(t)
	file := write(t, strings.Replace(p.yaml(""), "callbacks: [/cb]", "callbacks: [/cb], redirect_uris: [\"http://one.localhost/cb\"]", 1))
	c := &ticking{t: time.Now()}
	r := startReplica(t, file, c.now)
	exact := func() answer {
		return r.ask(http.MethodGet, "/r/auth?"+url.Values{
			"response_type": {"code"}, "client_id": {"atlas"}, "redirect_uri": {"http://one.localhost/cb"}, "state": {"s"},
		}.Encode(), nil, nil)
	}
	begun := exact()
	if begun.location == nil {
		t.Fatalf("%d %s", begun.status, begun.body)
	}
	back := &login{t: t, state: "s", cookies: begun.cookies, next: begun.location}
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	c.forward(10 * time.Minute)
	if a := exact(); a.location == nil {
		t.Errorf("for as long as tenants.stale_after: %d %s", a.status, a.body)
	}
	c.forward(5*time.Minute + time.Second)
	for what, a := range map[string]answer{"a new login": exact(), "one that was begun": back.callback(r)} {
		if a.status != http.StatusServiceUnavailable || a.location != nil {
			t.Errorf("%s: %d %v", what, a.status, a.location)
		}
	}
	until(t, "the log to say so", func() bool {
		return strings.Contains(r.log.String(), "no login goes on: "+seal.ErrStale.Error()) && strings.Contains(r.log.String(), "rule=seal.keys")
	})
	other := startReplica(t, file, c.now) // which has the database
	if a := back.callback(other); a.location == nil || a.location.Host != "one.localhost" || a.location.Query().Get("state") != "s" {
		t.Errorf("at another door: %d %v %s", a.status, a.location, a.body)
	}
}
