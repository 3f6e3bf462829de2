package journal

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"onedoor/gateway"
	"onedoor/gateway/gatewaytest"
	"onedoor/store"
	"onedoor/tenant"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is doors whose journals write into one database.
type desk struct {
	*gatewaytest.Bed
	t        *testing.T
	db       *store.DB
	file     string
	records  Records
	journals []*Journal
	log      gatewaytest.Log
	told     atomic.Int64 // requests that the journals were to take down
	stop     func()       // writes what is left

	mu  sync.Mutex
	now time.Time
}

// newDesk makes one; each writer, where there are some, stands between a
// journal and the database.
func newDesk(t *testing.T, doors int, between func(Store) Store) *desk {
	t.Helper()
	d := &desk{t: t, file: filepath.Join(t.TempDir(), "onedoor.db"), now: time.Now()}
	var err error
	if d.db, err = store.Open(t.Context(), d.file, store.Options{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.db.Close() })
	d.records = Records{Store: d.db, Now: d.clock}
	var to Store = d.db
	if between != nil {
		to = between(d.db)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for i := range doors {
		j := New(Options{
			Store: to, Replica: fmt.Sprintf("door-%d", i), Log: d.log.Logger(), Now: d.clock, Keep: time.Hour, Most: 1000,
			Window: 30 * time.Minute, Unredeemed: 10, every: 5 * time.Millisecond,
		})
		d.journals = append(d.journals, j)
		running.Go(func() { j.Run(ctx) })
	}
	d.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
	})
	t.Cleanup(d.stop)
	d.Bed = gatewaytest.New(t, gatewaytest.Options{Doors: doors, Now: d.clock, Observe: func(door int) gateway.Options {
		return gateway.Options{Observe: func(e *gateway.Event) { d.observe(door, e) }}
	}})
	return d
}

func (d *desk) clock() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.now
}

func (d *desk) pass(by time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.now = d.now.Add(by)
}

func (d *desk) observe(door int, e *gateway.Event) {
	if e.Leg != "" || e.Rule != "" {
		d.told.Add(1)
	}
	d.journals[door].Observe(e)
}

// settle waits until all that the doors did is written: a record can be there
// while its last leg is still on the way.
func (d *desk) settle() {
	d.t.Helper()
	gatewaytest.Until(d.t, "the legs to be written", func() bool {
		if !d.Idle() {
			return false
		}
		var taken int64
		for _, j := range d.journals {
			taken += j.written.Load() + j.dropped.Load() + j.thinned.Load()
		}
		return taken == d.told.Load()
	})
}

// show waits for a record that is as ok says.
func (d *desk) show(id string, ok func(Login) bool) (l Login) {
	d.t.Helper()
	gatewaytest.Until(d.t, "the record of "+id, func() bool {
		var err error
		l, err = d.records.Show(d.t.Context(), id)
		return err == nil && ok(l)
	})
	return l
}

// find is what is found once everything is written.
func (d *desk) find(q Query, n int) []Login {
	d.t.Helper()
	d.settle()
	list, err := d.records.Find(d.t.Context(), q)
	if err != nil || len(list) != n {
		d.t.Fatalf("%d records, want %d: %+v %v", len(list), n, list, err)
	}
	return list
}

func reference(a gatewaytest.Answer) string { return a.Header.Get("X-Request-Id") }

func legs(l Login) string {
	var all []string
	for _, g := range l.Legs {
		all = append(all, fmt.Sprintf("%s by %s: %s", g.Leg, g.Replica, g.Outcome))
	}
	return strings.Join(all, ", ")
}

func TestALoginIsOneRecordWhicheverReplicasItsLegsCameTo(t *testing.T) {
	d := newDesk(t, 3, nil)
	login := d.Whole(gatewaytest.Pusher, "acme")
	l := d.find(Query{}, 1)[0]
	l = d.show(l.ID, func(l Login) bool { return len(l.Legs) == 4 })
	if want := "pushed by door-0: ok, authorize by door-1: ok, callback by door-1: ok, token by door-2: ok"; legs(l) != want {
		t.Errorf("its legs are %s, want %s", legs(l), want)
	}
	if l.Outcome != Done || l.Tenant != "acme" || l.App != gatewaytest.Pusher || len(l.ID) != 32 || l.Rule != "" {
		t.Errorf("%+v", l)
	}
	if want := "asked sent came_back returned tried redeemed"; strings.Join(l.Stages, " ") != want {
		t.Errorf("it came to %v", l.Stages)
	}
	for _, leg := range l.Legs { // each reference leads to the whole
		if other, err := d.records.Show(t.Context(), leg.Request); err != nil || other.ID != l.ID {
			t.Errorf("%s leads to %q, %v", leg.Request, other.ID, err)
		}
	}
	d.stop()
	d.holdsNothingOf(append(login.Secrets, d.Verifiers()...))
}

// holdsNothingOf looks for secrets in the database's files.
func (d *desk) holdsNothingOf(secrets []string) {
	d.t.Helper()
	if len(secrets) < 8 {
		d.t.Fatal("the test looks for too little")
	}
	for _, name := range []string{d.file, d.file + "-wal"} {
		data, err := os.ReadFile(name)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, s := range secrets {
			if strings.Contains(string(data), s) {
				d.t.Errorf("%s holds %q", filepath.Base(name), s)
			}
		}
	}
}

func TestARefusalIsFoundByTheReferenceOfItsPageAndSaysHowNearItWas(t *testing.T) {
	d := newDesk(t, 2, nil)
	page := d.Get(0, "/authorize?client_id=shop&response_type=code&redirect_uri=https://acme.example.com/callback/")
	if !strings.Contains(page.Body, reference(page)) {
		t.Fatalf("the page does not show its reference:\n%s", page.Body)
	}
	l := d.show(reference(page), func(Login) bool { return true })
	if len(l.Legs) != 1 {
		t.Fatalf("%+v", l)
	}
	g := l.Legs[0]
	if l.Outcome != Failed || l.App != gatewaytest.Shop || g.Rule != "redirect_uri.unknown" || g.Got != "https://acme.example.com/callback/" ||
		!strings.Contains(g.Want, "https://{tenant}.example.com/callback") || !slices.Equal(g.Differs, []tenant.Difference{tenant.InSlash}) {
		t.Errorf("%+v", l)
	}

	begun := d.Begin(0, gatewaytest.Shop, "globex")
	begun.Return(1, "")
	begun.Redeem(0, "a-wrong-secret-of-the-app")
	failed := d.find(Query{Failed: true, Tenant: "globex"}, 1)[0]
	if failed.Rule != "invalid_client" || failed.Outcome != Failed {
		t.Errorf("%+v", failed)
	}
	if l := d.show(failed.ID, func(l Login) bool { return len(l.Legs) == 3 }); l.Legs[2].ProviderStatus != http.StatusUnauthorized || l.Legs[2].ProviderError != "invalid_client" {
		t.Errorf("%+v", l)
	}
	begun.Redeem(1, gatewaytest.Secret) // the same code, with the right one: Go's client does so
	d.show(failed.ID, func(l Login) bool { return l.Outcome == Done })
	d.find(Query{Failed: true, Tenant: "globex"}, 0)
	d.find(Query{Rule: "invalid_client"}, 1)
	d.stop()
	d.holdsNothingOf(begun.Secrets)
}

func TestAPageThatBelongsToNoLoginIsARecordToo(t *testing.T) {
	d := newDesk(t, 1, nil)
	for rule, page := range map[string]gatewaytest.Answer{
		"host.unknown":     d.Get(0, "/", "Host", "evil.example"),
		"state.seal":       d.Get(0, "/onedoor/callback?code=hunter22&state=hunter22"),
		"tenant.unknown":   d.Get(0, "/tenants/acmee/callback?code=hunter22"),
		"tenant.suspended": d.Get(0, "/tenants/wayne/callback?code=hunter22"),
		"path.unknown":     d.Get(0, "/onedoor/elsewhere"),
	} {
		l := d.show(reference(page), func(Login) bool { return true })
		if l.Rule != rule || l.ID != reference(page) || l.Outcome != Failed {
			t.Errorf("%+v, want the rule %s", l, rule)
		}
	}
	d.find(Query{Tenant: "wayne", Failed: true}, 1)
	d.find(Query{Tenant: "acmee", Failed: true}, 1) // by what was typed
	d.Get(0, "/a/page/of/the/provider")
	d.stop()
	if list, err := d.records.Find(t.Context(), Query{}); err != nil || len(list) != 5 {
		t.Errorf("%d records, %v", len(list), err)
	}
}

func TestWhatAProviderAnswersInTheOrdinaryCourseIsNoFailure(t *testing.T) {
	d := newDesk(t, 1, nil)
	d.Begin(0, gatewaytest.Shop, "acme").Return(0, "login_required")
	d.Begin(0, gatewaytest.Shop, "globex").Return(0, "access_denied")
	d.find(Query{Failed: true}, 1)
	if l := d.find(Query{Tenant: "acme"}, 1)[0]; l.Outcome != Open || l.Rule != "" {
		t.Errorf("%+v", l)
	}
}

func TestALoginThatNobodyRedeemsIsFoundOnceItIsLate(t *testing.T) {
	d := newDesk(t, 1, nil)
	d.Begin(0, gatewaytest.Shop, "acme").Return(0, "")
	l := d.show(d.find(Query{}, 1)[0].ID, func(l Login) bool { return len(l.Legs) == 2 })
	if l.Outcome != Open {
		t.Errorf("%+v", l)
	}
	d.find(Query{Failed: true}, 0)
	d.pass(Patience + time.Second)
	if l := d.find(Query{Failed: true}, 1)[0]; l.Outcome != Unredeemed {
		t.Errorf("%+v", l)
	}
}

func TestRelayModeIsRecordedLegByLeg(t *testing.T) {
	d := newDesk(t, 2, nil)
	d.Whole(gatewaytest.Relay, "acme")
	for _, l := range d.find(Query{Tenant: "acme", App: gatewaytest.Relay}, 3) {
		if l.Outcome != Alone && l.Outcome != Done {
			t.Errorf("%+v", l)
		}
	}
	d.pass(time.Hour)
	d.find(Query{Failed: true}, 0)
	list, err := d.records.Funnels(t.Context(), store.FunnelQuery{Until: d.clock().UnixMilli()})
	if err != nil || len(list) != 1 || list[0].Asked != 1 || list[0].CameBack != 1 || list[0].Redeemed != 1 {
		t.Errorf("%+v %v", list, err)
	}
}

func TestALogoutIsARecordOfItsOwn(t *testing.T) {
	d := newDesk(t, 2, nil)
	d.Get(0, "/logout?client_id=shop&post_logout_redirect_uri=https://acme.example.com/")
	if l := d.find(Query{Tenant: "acme"}, 1)[0]; strings.Join(l.Stages, " ") != "logout_asked" || l.Outcome != Open {
		t.Errorf("%+v", l)
	}
}

func TestTheTailHasEveryLegWithItsLogin(t *testing.T) {
	d := newDesk(t, 3, nil)
	begun := d.clock()
	d.Whole(gatewaytest.Shop, "acme")
	var tail []Part
	gatewaytest.Until(t, "three legs", func() bool {
		var err error
		tail, err = d.records.Tail(t.Context(), begun.Add(-time.Second), 0)
		return err == nil && len(tail) == 3
	})
	for i, leg := range []gateway.Leg{gateway.LegAuthorize, gateway.LegCallback, gateway.LegToken} {
		found := slices.IndexFunc(tail, func(p Part) bool { return p.Leg.Leg == leg })
		if found < 0 || tail[found].Login != tail[0].Login || tail[found].Tenant != "acme" {
			t.Errorf("leg %d: %+v", i, tail)
		}
	}
}

// away is a store that does not answer while it is down.
type away struct {
	Store
	mu   sync.Mutex
	down bool
	hold chan struct{} // where set, AddLegs waits for it
}

func (a *away) set(down bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = down
}

func (a *away) AddLegs(ctx context.Context, legs []store.LoginLeg) error {
	a.mu.Lock()
	down, hold := a.down, a.hold
	a.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if down {
		return errors.New("the database is away")
	}
	return a.Store.AddLegs(ctx, legs)
}

func TestADatabaseThatIsAwayFailsNoLoginAndLosesNoRecordForAWhile(t *testing.T) {
	var gate *away
	d := newDesk(t, 2, func(s Store) Store {
		gate = &away{Store: s, down: true}
		return gate
	})
	for range 3 {
		d.Whole(gatewaytest.Shop, "acme")
	}
	gatewaytest.Until(t, "the line", func() bool { return d.log.Count("logins are not recorded") == 2 }) // one of each replica
	gate.set(false)
	d.find(Query{Tenant: "acme"}, 3)
	gatewaytest.Until(t, "the end of it", func() bool { return d.log.Count("logins are recorded again") == 2 })
	if n := d.log.Count("logins are not recorded"); n != 2 {
		t.Errorf("%d lines say that logins are not recorded", n)
	}
	for _, j := range d.journals {
		if j.dropped.Load() != 0 {
			t.Errorf("%d legs were dropped", j.dropped.Load())
		}
	}
}

// A store that hangs costs a bounded memory and no time.
func TestAStoreThatHangsHoldsUpNobody(t *testing.T) {
	hang := make(chan struct{})
	gate := &away{hold: hang, down: true}
	j := New(Options{Store: nothing{gate}, every: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	ran.Go(func() { j.Run(ctx) })
	e := &gateway.Event{Leg: gateway.LegCallback, Status: 303, Request: "r"}
	told := make(chan struct{})
	go func() {
		defer close(told)
		for i := range 10 * maxWaiting {
			e.Time = time.Unix(int64(i), 0) // so that none is thinned
			e.Login = gateway.LoginID{1, byte(i)}
			j.Observe(e)
		}
	}()
	select {
	case <-told:
	case <-time.After(20 * time.Second):
		t.Fatal("whoever tells of a leg waits for the store")
	}
	j.mu.Lock()
	waiting := len(j.waiting)
	j.mu.Unlock()
	if waiting > maxWaiting || j.dropped.Load() < 8*maxWaiting {
		t.Errorf("%d legs wait, %d were dropped", waiting, j.dropped.Load())
	}
	close(hang)
	cancel()
	ran.Wait()
}

// nothing is a store that only takes legs.
type nothing struct{ *away }

func (nothing) PruneLogins(context.Context, int64, int64) error { return nil }

func (nothing) Funnels(context.Context, store.FunnelQuery) ([]store.Funnel, error) { return nil, nil }

func (nothing) Warn(context.Context, string, string, int64) (bool, error) { return false, nil }

// A flood of refusals does not drive out the records of logins.
func TestAFloodOfRefusalsIsThinned(t *testing.T) {
	d := newDesk(t, 1, nil)
	j := d.journals[0]
	at := d.clock()
	for i := range 10_000 {
		d.observe(0, &gateway.Event{Time: at, Request: fmt.Sprintf("r%d", i), Status: 400, Rule: "state.seal", Leg: gateway.LegCallback})
	}
	d.Whole(gatewaytest.Shop, "acme")
	d.find(Query{Tenant: "acme"}, 1)
	if kept := 10_000 - j.thinned.Load(); kept > refusedEachSecond*atOnce+refusedEachSecond {
		t.Errorf("%d of 10,000 refusals were kept", kept)
	}
}

func TestOldRecordsGo(t *testing.T) {
	d := newDesk(t, 1, nil)
	d.Whole(gatewaytest.Shop, "acme")
	d.find(Query{}, 1)
	d.pass(59 * time.Minute)
	d.journals[0].prune(t.Context())
	d.find(Query{}, 1)
	d.pass(2 * time.Minute)
	d.journals[0].prune(t.Context())
	d.find(Query{}, 0)
}

// Taking a leg down is on every login's way.
func BenchmarkObserve(b *testing.B) {
	j := New(Options{Store: nothing{}})
	e := &gateway.Event{Leg: gateway.LegCallback, Login: gateway.LoginID{1}, Status: 303, Request: "r"}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		e.Time = time.Unix(int64(i), 0)
		j.Observe(e)
		if len(j.waiting) == batch { // what Run does beside it
			j.waiting, j.spare = nil, j.waiting[:0]
		}
	}
}
