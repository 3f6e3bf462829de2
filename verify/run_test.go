package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"onedoor/store"
	"onedoor/tenant"
)

func openStore(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), t.TempDir()+"/onedoor.db", store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

type someLabels []string

func (l someLabels) After(_ context.Context, label string, n int) ([]string, error) {
	i, found := slices.BinarySearch(l, label)
	if found {
		i++
	}
	return l[i:min(i+n, len(l))], nil
}

func (l someLabels) Count(context.Context) (int64, error) { return int64(len(l)), nil }

// lines is a log that can be waited for.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) await(t *testing.T, text string) {
	t.Helper()
	l.beyond(t, text, 0)
}

// beyond waits until the log has a text more than n times.
func (l *lines) beyond(t *testing.T, text string, n int) {
	t.Helper()
	tick, late := time.NewTicker(5*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for l.count(text) <= n {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the log has no %q:\n%s", text, l.b.String())
		}
	}
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (b *bed) runner(db *store.DB, log *lines, replica string, labels ...string) *Runner {
	return NewRunner(RunOptions{
		Verifier: b.verifier(), Store: db, Labels: someLabels(labels), Log: slog.New(slog.NewTextHandler(log, nil)), Replica: replica,
		Every: 20 * time.Millisecond, Rate: 1000, Concurrency: 2, lease: 3 * time.Second,
	})
}

func (b *bed) serve(f http.HandlerFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.site = f
}

func run(t *testing.T, r *Runner) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	t.Cleanup(stop)
	return stop
}

func TestATenantThatBeginsToFailIsToldOnceAndWhenItIsWellAgain(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	fine := b.site
	r := b.runner(db, log, "one", "acme", "globex")
	run(t, r)
	log.await(t, "all tenants were verified")
	b.serve(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) })
	log.await(t, "outcome=site.not_found")
	list, err := db.Verdicts(t.Context(), store.VerdictQuery{})
	if err != nil || len(list) != 1 || list[0].Tenant != "acme" || list[0].App != "atlas" || list[0].Fix == "" {
		t.Fatalf("%+v, %v", list, err)
	}
	if got := gauge(t, r, "onedoor_verify_failing", "site.not_found"); got != 1 {
		t.Errorf("the metric says %v", got)
	}
	for range 3 { // rounds
		log.beyond(t, "all tenants were verified", log.count("all tenants were verified"))
	}
	if n := log.count("a tenant's login would fail"); n != 1 {
		t.Errorf("told %d times", n)
	}
	b.serve(fine)
	log.await(t, "a tenant's login would work again")
	if list, err := db.Verdicts(t.Context(), store.VerdictQuery{}); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestWhatIsKnownStaysWhileTheProviderIsDown(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	if _, err := db.PutVerdict(t.Context(), store.Verdict{Tenant: "acme", App: "atlas", Outcome: "site.dns", At: 1}); err != nil {
		t.Fatal(err)
	}
	b.provider = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }
	run(t, b.runner(db, log, "one", "acme"))
	log.await(t, "all tenants were verified")
	if list, err := db.Verdicts(t.Context(), store.VerdictQuery{}); err != nil || len(list) != 1 || list[0].Since != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestATenantThatIsGoneIsNoFailure(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	if _, err := db.PutVerdict(t.Context(), store.Verdict{Tenant: "umbrella", App: "atlas", Outcome: "site.dns", At: 1}); err != nil {
		t.Fatal(err)
	}
	run(t, b.runner(db, log, "one", "acme", "removed-a-moment-ago"))
	log.await(t, "all tenants were verified")
	if list, err := db.Verdicts(t.Context(), store.VerdictQuery{}); err != nil || len(list) > 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

// leaving is a registry whose tenants can all go at once.
type leaving struct {
	tenant.List
	gone atomic.Bool
}

func (l *leaving) ByLabel(ctx context.Context, label string) (tenant.Tenant, error) {
	if l.gone.Load() {
		return tenant.Tenant{}, tenant.ErrUnknown
	}
	return l.List.ByLabel(ctx, label)
}

func TestATenantThatGoesWhileItIsLookedAtIsNoFailure(t *testing.T) {
	b := newBed(t, tenant.Transparent)
	registry := &leaving{List: b.Registry.(tenant.List)}
	b.Registry = registry
	b.serve(func(w http.ResponseWriter, r *http.Request) {
		registry.gone.Store(true)
		http.NotFound(w, r)
	})
	if got := b.verifier().Begin().Look(t.Context(), "acme"); len(got) != 1 || got[0].Outcome != TenantUnknown || got[0].Tenant != "acme" {
		t.Errorf("%+v", got)
	}
}

func TestOneReplicaVerifiesAndAnotherGoesOnWhereItStopped(t *testing.T) {
	b, db := newBed(t, tenant.Transparent), openStore(t)
	began := time.Now().Unix()
	if _, _, err := db.TakeVerifyRound(t.Context(), "dead", began, began+1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.KeepVerifyRound(t.Context(), "dead", began+1, store.VerifyRound{Began: began, After: "acme"}); err != nil {
		t.Fatal(err)
	}
	log, other := &lines{}, &lines{}
	one, two := b.runner(db, log, "one", "acme", "globex"), b.runner(db, other, "two", "acme", "globex")
	one.Every, two.Every = time.Hour, time.Hour
	run(t, one)
	log.await(t, "all tenants were verified")
	run(t, two)
	if log.count("tenants=2") != 1 || len(b.visits) != 0 {
		t.Errorf("acme was looked at again:\n%s", log.b.String())
	}
	if now, taken, err := db.TakeVerifyRound(t.Context(), "two", time.Now().Unix(), time.Now().Unix()+3); err != nil || taken {
		t.Errorf("%+v, %v, %v", now, taken, err)
	}
	if got := gauge(t, two, "onedoor_verify_slowdown", ""); got >= 0 {
		t.Errorf("a replica that does not verify says %v", got)
	}
}

// takeOver is a round that a replica has left, as the next one finds it.
func takeOver(t *testing.T, db *store.DB, r store.VerifyRound) {
	t.Helper()
	long := time.Now().Unix() - 100
	if _, _, err := db.TakeVerifyRound(t.Context(), "dead", long, long+1); err != nil {
		t.Fatal(err)
	}
	if _, err := db.KeepVerifyRound(t.Context(), "dead", long+1, r); err != nil {
		t.Fatal(err)
	}
}

func TestWhoTakesOverMissesNobodyWhoWasBeingLookedAt(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	release := make(chan struct{})
	defer sync.OnceFunc(func() { close(release) })()
	b.site = func(http.ResponseWriter, *http.Request) { <-release }
	r := b.runner(db, log, "one", "acme", "globex")
	run(t, r)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for r.counts[Suspended].Load() == 0 { // that is globex
		<-tick.C
	}
	for range 3 {
		if err := r.keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state, err := db.VerifyRound(t.Context()); err != nil || state.After != "" {
			t.Fatalf("while acme is looked at, it is written that all up to %q were: %v", state.After, err)
		}
	}
}

// Else nobody would notice that no round ends any more.
func TestWhoTakesOverSaysWhenTheLastRoundEnded(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	takeOver(t, db, store.VerifyRound{Began: time.Now().Unix(), Ended: 1_700_000_000, After: "aaa"})
	release := make(chan struct{})
	defer sync.OnceFunc(func() { close(release) })()
	came := make(chan struct{}, 1)
	b.site = func(http.ResponseWriter, *http.Request) { came <- struct{}{}; <-release }
	r := b.runner(db, log, "one", "acme")
	run(t, r)
	<-came
	if got := gauge(t, r, "onedoor_verify_round_ended_timestamp_seconds", ""); got != 1_700_000_000 {
		t.Errorf("the metric says %v", got)
	}
}

func TestAReplicaWhoseClockIsBehindLosesNoFailure(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	takeOver(t, db, store.VerifyRound{Began: time.Now().Unix() + 3600, After: "aaa"})
	b.site = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
	r := b.runner(db, log, "one", "acme")
	r.Every = time.Hour
	run(t, r)
	log.await(t, "all tenants were verified")
	if list, err := db.Verdicts(t.Context(), store.VerdictQuery{}); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestAFindingStaysWhileNobodyHasAskedTheControlAgain(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	takeOver(t, db, store.VerifyRound{Began: time.Now().Unix(), After: "zzz"})
	if _, err := db.PutVerdict(t.Context(), store.Verdict{App: "atlas", Outcome: string(ProviderOpen), At: 1}); err != nil {
		t.Fatal(err)
	}
	r := b.runner(db, log, "one", "acme")
	r.Every = time.Hour
	run(t, r)
	log.await(t, "all tenants were verified")
	if list, err := db.Verdicts(t.Context(), store.VerdictQuery{}); err != nil || len(list) != 1 || list[0].Since != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// away is a registry that cannot be asked.
type away struct{}

func (away) ByLabel(context.Context, string) (tenant.Tenant, error) {
	return tenant.Tenant{}, errors.New("the database does not answer")
}

func (away) BySite(context.Context, string, string) (tenant.Tenant, error) {
	return tenant.Tenant{}, errors.New("the database does not answer")
}

func TestWhatIsKnownStaysWhileTheRegistryCannotBeAsked(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	b.Registry = away{}
	if _, err := db.PutVerdict(t.Context(), store.Verdict{Tenant: "acme", App: "atlas", Outcome: "site.dns", At: 1}); err != nil {
		t.Fatal(err)
	}
	run(t, b.runner(db, log, "one", "acme"))
	log.await(t, "all tenants were verified")
	if list, err := db.Verdicts(t.Context(), store.VerdictQuery{}); err != nil || len(list) != 1 || list[0].Since != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// deaf is a store that takes no verdict.
type deaf struct{ *store.DB }

func (deaf) PutVerdict(context.Context, store.Verdict) (bool, error) {
	return false, errors.New("the disk is full")
}

func TestWhatIsKnownStaysWhileTheDatabaseTakesNoVerdict(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	if _, err := db.PutVerdict(t.Context(), store.Verdict{Tenant: "acme", App: "atlas", Outcome: "site.not_found", At: 1}); err != nil {
		t.Fatal(err)
	}
	b.site = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
	r := b.runner(db, log, "one", "acme")
	r.Store = deaf{db}
	run(t, r)
	log.await(t, "all tenants were verified")
	if list, err := db.Verdicts(t.Context(), store.VerdictQuery{}); err != nil || len(list) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
}

// Whoever makes many tenants fail at once hides no finding behind them.
func TestAFindingIsToldHoweverManyTenantsFail(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	var labels []string
	list := tenant.List{}
	for i := range maxTold + 5 {
		labels = append(labels, fmt.Sprintf("t%02d", i))
		list = append(list, tenant.Tenant{ID: labels[i], Label: labels[i], Status: tenant.Active})
	}
	b.Registry = list
	b.accepts = func(string) bool { return true }
	b.site = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
	run(t, b.runner(db, log, "one", labels...))
	log.await(t, "all tenants were verified")
	if log.count("codes can be stolen") != 1 || log.count("outcome=provider.open") != 1 {
		t.Error(log.b.String())
	}
}

func TestOfTwoFindingsAtAnAppTheWorseIsKept(t *testing.T) {
	got := worst([]Finding{{App: "wiki", Outcome: ProviderLoose}, {App: "atlas", Outcome: ProviderLoose}, {App: "atlas", Outcome: ProviderOpen}})
	if len(got) != 2 || got[0].Outcome != ProviderOpen || got[1].App != "wiki" {
		t.Errorf("%+v", got)
	}
}

func TestManyTenantsThatBeginToFailAtOnceAreFewLines(t *testing.T) {
	b, db, log := newBed(t, tenant.Transparent), openStore(t), &lines{}
	var labels []string
	list := tenant.List{}
	for i := range 50 {
		labels = append(labels, fmt.Sprintf("t%02d", i))
		list = append(list, tenant.Tenant{ID: labels[i], Label: labels[i], Status: tenant.Active})
	}
	b.Registry = list
	b.accepts = func(string) bool { return false }
	r := b.runner(db, log, "one", labels...)
	r.Rate, r.Concurrency = 1000, 8
	r.Every = 200 * time.Millisecond
	run(t, r)
	log.await(t, "all tenants were verified")
	if n := log.count("a tenant's login would fail"); n != maxTold || log.count("tenants=30") != 1 {
		t.Errorf("%d lines:\n%s", n, log.b.String())
	}
}

func TestTheProvidersPeopleComeFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace()
		look := func(took time.Duration) { p.took(Verdict{Outcome: OK, provider: took}) }
		step := 100 * time.Millisecond
		walk := func(n int, took time.Duration) time.Duration {
			began := time.Now()
			for range n {
				wait(t.Context(), p.next(step))
				look(took)
			}
			return time.Since(began)
		}
		if took := walk(101, 10*time.Millisecond); took != 10*time.Second {
			t.Errorf("100 steps of %s took %s", step, took)
		}
		if took := walk(20, 500*time.Millisecond); took < 20*time.Second {
			t.Errorf("while the provider is slow, 20 steps took %s", took)
		}
		walk(100, 10*time.Millisecond)
		if took := walk(100, 10*time.Millisecond); took > 11*time.Second {
			t.Errorf("when it is well again, 100 steps took %s", took)
		}
		p.took(Verdict{Outcome: Unclear, stalled: true})
		p.took(Verdict{Outcome: Unclear, stalled: true})
		if d := p.next(step); d < firstPause {
			t.Errorf("after no answer the pause is %s", d)
		}
		look(10 * time.Millisecond)
		p.next(step)
		if d := p.next(step); d > 10*time.Second {
			t.Errorf("after an answer the pause is %s", d)
		}
		for range 100 {
			p.took(Verdict{stalled: true})
		}
		if p.pause != maxPause {
			t.Errorf("the longest pause is %s", p.pause)
		}
	})
}

func TestARoundIsSpreadOverItsTimeAndNoFasterThanItsRate(t *testing.T) {
	r := NewRunner(RunOptions{Verifier: New(Options{}), Every: 10 * time.Minute, Rate: 20})
	for tenants, want := range map[int64]time.Duration{
		0: maxStep, 2: maxStep, 6000: 100 * time.Millisecond, 10_000: 60 * time.Millisecond, 1_000_000: 50 * time.Millisecond,
	} {
		if got := r.step(tenants); got != want {
			t.Errorf("%d tenants: a step of %s, want %s", tenants, got, want)
		}
	}
}

// gauge is a metric's value, -1 where it is not there.
func gauge(t *testing.T, r *Runner, name, outcome string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(r.Collectors()...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			value := ""
			for _, l := range m.GetLabel() {
				value = l.GetValue()
			}
			if f.GetName() == name && value == outcome {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}
