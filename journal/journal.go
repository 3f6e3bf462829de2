// Package journal keeps what happened to each login: its legs, when they were,
// how it ended, which rule refused it and how near it was. The legs of a login
// come to several replicas; each writes down what it saw, under the login id,
// and the store joins them.
//
// A record holds no code, state, token, cookie or query. Writing one can
// neither slow nor fail a login: legs wait in a bounded memory, and where there
// is no room they are dropped and counted. Reading starts at [Journal.Observe];
// record.go is what readers of a record see, funnel.go who went lost on the way.
package journal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"onedoor/gateway"
	"onedoor/store"
)

// Store keeps logins for a Journal.
type Store interface {
	AddLegs(ctx context.Context, legs []store.LoginLeg) error
	PruneLogins(ctx context.Context, before, most int64) error
	Funnels(ctx context.Context, q store.FunnelQuery) ([]store.Funnel, error)
	Warn(ctx context.Context, tenant, app string, at int64) (bool, error)
}

// Options of a Journal.
type Options struct {
	Store   Store
	Replica string // which one this is
	Log     *slog.Logger
	Now     func() time.Time

	Keep time.Duration // how long a login is kept after it was last heard of
	Most int64         // how many are kept

	// Window and Unredeemed say when somebody is warned: when in a window so
	// many came back from the provider, and no app redeemed a code. 0: never.
	Window     time.Duration
	Unredeemed int

	every time.Duration // how often legs are written; for tests
}

// Journal writes down what it is told.
type Journal struct {
	Options
	joined, alone, refused *rate.Limiter

	mu      sync.Mutex
	waiting []gateway.Event
	spare   []gateway.Event // the memory of those that were written, to be used again
	full    chan struct{}   // there is a batch

	written, dropped, thinned atomic.Int64
	failing                   bool // for Run alone
}

const (
	// maxWaiting bounds the legs in memory, some 400 octets each. The memory is
	// taken when it is needed.
	maxWaiting = 10_000
	// batch is how many are written without waiting for the time.
	batch = 500

	writeEvery = time.Second
)

// How many legs are written down in a second: those of logins; those that could
// not be joined to one, as in relay mode; and refusals that belong to none, of
// which anybody can have as many as he likes. The rest is counted: a flood fills
// no disk, and does not drive out the records of what went on beside it.
const (
	joinedEachSecond  = 500
	aloneEachSecond   = 100
	refusedEachSecond = 20
	atOnce            = 20 // times that
)

// New makes a Journal; [Journal.Run] writes what it is told.
func New(o Options) *Journal {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.every == 0 {
		o.every = writeEvery
	}
	limit := func(eachSecond int) *rate.Limiter { return rate.NewLimiter(rate.Limit(eachSecond), atOnce*eachSecond) }
	return &Journal{
		Options: o, full: make(chan struct{}, 1),
		joined: limit(joinedEachSecond), alone: limit(aloneEachSecond), refused: limit(refusedEachSecond),
	}
}

// Observe takes a request down. It never waits.
func (j *Journal) Observe(e *gateway.Event) {
	if e.Leg == "" && e.Rule == "" {
		return // neither part of a login nor a page with a reference
	}
	limit := j.joined
	switch {
	case e.Login.IsZero() && e.Outcome() == gateway.OK:
		limit = j.alone
	case e.Login.IsZero():
		limit = j.refused
	}
	if !limit.AllowN(e.Time, 1) {
		j.thinned.Add(1)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.waiting) >= maxWaiting {
		j.dropped.Add(1)
		return
	}
	if j.waiting == nil {
		j.waiting, j.spare = j.spare, nil
	}
	j.waiting = append(j.waiting, *e)
	if len(j.waiting) == batch {
		select {
		case j.full <- struct{}{}:
		default:
		}
	}
}

// Run writes until ctx ends, and then what is left.
func (j *Journal) Run(ctx context.Context) {
	write := time.NewTicker(j.every)
	defer write.Stop()
	prune := time.NewTicker(pruneEvery)
	defer prune.Stop()
	watch := time.NewTicker(max(j.Window/4, time.Second))
	defer watch.Stop()
	j.prune(ctx)
	for {
		select {
		case <-ctx.Done():
			end, stop := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer stop()
			j.write(end)
			return
		case <-write.C:
			j.write(ctx)
		case <-j.full:
			j.write(ctx)
		case <-prune.C:
			j.prune(ctx)
		case <-watch.C:
			j.watch(ctx)
		}
	}
}

const (
	pruneEvery = 10 * time.Minute
	farewell   = 3 * time.Second // for writing what is left at the end
)

// write writes what waits. What the store does not take waits on; what comes in
// the meantime may find no room.
func (j *Journal) write(ctx context.Context) {
	j.mu.Lock()
	events := j.waiting
	j.waiting = nil
	j.mu.Unlock()
	if len(events) == 0 {
		return
	}
	legs := make([]store.LoginLeg, len(events))
	for i := range events {
		legs[i] = row(&events[i], j.Replica)
	}
	err := j.Store.AddLegs(ctx, legs)
	j.tell(err)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.written.Add(int64(len(legs)))
		if cap(events) <= 2*batch {
			clear(events)
			j.spare = events[:0]
		}
		return
	}
	room := maxWaiting - len(j.waiting)
	kept := events[max(0, len(events)-room):] // the newest
	j.dropped.Add(int64(len(events) - len(kept)))
	j.waiting = append(kept, j.waiting...)
}

// tell writes one line when the store does not take legs, and one when it does
// again.
func (j *Journal) tell(err error) {
	switch {
	case err != nil && !j.failing:
		j.Log.Warn("logins are not recorded", slog.String("error", err.Error()))
	case err == nil && j.failing:
		j.Log.Info("logins are recorded again", slog.Int64("dropped", j.dropped.Load()))
	}
	j.failing = err != nil
}

func (j *Journal) prune(ctx context.Context) {
	if err := j.Store.PruneLogins(ctx, j.Now().Add(-j.Keep).UnixMilli(), j.Most); err != nil && ctx.Err() == nil {
		j.Log.Warn("old records of logins were not pruned", slog.String("error", err.Error()))
	}
}

// Collectors are the Journal's own metrics.
func (j *Journal) Collectors() []prometheus.Collector {
	count := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	return []prometheus.Collector{
		count("onedoor_records_written_total", "Legs of logins that were recorded.", &j.written),
		count("onedoor_records_dropped_total", "Legs for which there was no room, or that the database did not take.", &j.dropped),
		count("onedoor_records_thinned_total", "Legs that were not recorded because there were too many in a second.", &j.thinned),
	}
}
