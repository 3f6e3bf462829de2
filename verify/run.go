package verify

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"onedoor/store"
)

// Store keeps what fails, and which of the replicas looks.
type Store interface {
	PutVerdict(ctx context.Context, v store.Verdict) (news bool, err error)
	ClearVerdict(ctx context.Context, tenant, app string) (news bool, err error)
	Verdicts(ctx context.Context, q store.VerdictQuery) ([]store.Verdict, error)
	PruneVerdicts(ctx context.Context, before int64) error
	TakeVerifyRound(ctx context.Context, holder string, now, until int64) (r store.VerifyRound, taken bool, err error)
	KeepVerifyRound(ctx context.Context, holder string, until int64, r store.VerifyRound) (kept bool, err error)
}

// Labels are the tenants to look at, in the order of their labels.
type Labels interface {
	// After returns up to n labels that come after that one; none: that was all.
	After(ctx context.Context, label string, n int) ([]string, error)
	Count(ctx context.Context) (int64, error)
}

// RunOptions are how the verification goes on.
type RunOptions struct {
	*Verifier
	Store   Store
	Labels  Labels
	Log     *slog.Logger
	Replica string // which one this is

	Every       time.Duration // once around all tenants
	Rate        float64       // tenants in a second at most
	Concurrency int           // tenants at one time at most

	lease time.Duration // for tests
}

// Runner looks at all tenants, again and again, on one of many replicas.
type Runner struct {
	RunOptions
	pace *pace

	mu      sync.Mutex
	failing map[place]store.Verdict // of the replica that looks
	leading bool
	state   store.VerifyRound
	looking []*looking // in the order of their labels, from the first that has not ended
	lost    bool       // in this round a verdict could not be written

	counts   map[Outcome]*atomic.Int64
	findings atomic.Int64
	lasted   atomic.Int64 // milliseconds of the last round
	ended    atomic.Int64 // when it did, unix seconds
	told     int          // lines about tenants in this round; under mu
	silent   int          // those left out
}

type place struct{ tenant, app string }

const (
	leaseTime = 30 * time.Second
	page      = 200
	// maxFailing bounds what is remembered of failing tenants; of more, each look
	// asks the store.
	maxFailing = 100_000
	// maxTold bounds the lines of a round about single tenants: where the provider
	// has lost a client, all of them fail.
	maxTold = 20
)

// NewRunner makes one; [Runner.Run] runs it.
func NewRunner(o RunOptions) *Runner {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Concurrency = max(o.Concurrency, 1)
	o.lease = cmp.Or(o.lease, leaseTime)
	r := &Runner{RunOptions: o, pace: newPace(), failing: map[place]store.Verdict{}, counts: map[Outcome]*atomic.Int64{}}
	for _, outcome := range Outcomes {
		r.counts[outcome] = &atomic.Int64{}
	}
	return r
}

// Run verifies until ctx ends. While another replica does it, it waits.
func (r *Runner) Run(ctx context.Context) {
	for ctx.Err() == nil {
		now := r.Now()
		state, taken, err := r.Store.TakeVerifyRound(ctx, r.Replica, now.Unix(), now.Add(r.lease).Unix())
		if err != nil && ctx.Err() == nil {
			r.Log.Warn("tenants are not verified: the database does not answer", slog.String("error", err.Error()))
		}
		if err == nil && taken {
			if err := r.lead(ctx, state); err != nil && ctx.Err() == nil && !errors.Is(err, errTaken) {
				r.Log.Warn("the verification of tenants was broken off", slog.String("error", err.Error()))
			}
			r.leave()
		}
		wait(ctx, r.lease/3)
	}
}

var errTaken = errors.New("another replica has taken over")

// lead goes around, from where the one before has left, until ctx ends or
// another takes over.
func (r *Runner) lead(ctx context.Context, state store.VerifyRound) error {
	if err := r.remember(ctx); err != nil {
		return err
	}
	r.set(state)
	r.ended.Store(state.Ended) // by whomever: where no round ends any more, the metric says so
	ctx, stop := context.WithCancelCause(ctx)
	var holding sync.WaitGroup
	defer holding.Wait()
	defer stop(nil)
	holding.Go(func() { r.hold(ctx, stop) })
	for {
		began := time.Unix(state.Began, 0)
		if state.After == "" || r.Now().Sub(began) > 2*r.Every {
			wait(ctx, min(began.Add(r.Every).Sub(r.Now()), r.Every)) // the one before may have had another clock
			state.Began, state.After = r.Now().Unix(), ""
			r.set(state)
		}
		if err := r.round(ctx, &state); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return err
		}
	}
}

// hold keeps the lease, and writes down how far the round has come.
func (r *Runner) hold(ctx context.Context, stop context.CancelCauseFunc) {
	for {
		wait(ctx, r.lease/3)
		if ctx.Err() != nil {
			return
		}
		if err := r.keep(ctx); err != nil {
			stop(err)
			return
		}
	}
}

func (r *Runner) set(state store.VerifyRound) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state = state
}

func (r *Runner) keep(ctx context.Context) error {
	r.mu.Lock()
	state := r.state
	r.mu.Unlock()
	kept, err := r.Store.KeepVerifyRound(ctx, r.Replica, r.Now().Add(r.lease).Unix(), state)
	if err == nil && !kept {
		err = errTaken
	}
	return err
}

// round looks at every tenant that it has not come to yet, evenly over the time.
func (r *Runner) round(ctx context.Context, state *store.VerifyRound) error {
	began := r.Now()
	count, err := r.Labels.Count(ctx)
	if err != nil {
		return err
	}
	step := r.step(count)
	if whole := time.Duration(count) * step; whole > r.Every+time.Minute {
		r.Log.Warn("there are more tenants than can be verified in verify.every at verify.rate", slog.Int64("tenants", count), slog.String("takes", whole.Round(time.Second).String()))
	}
	look := r.Begin()
	r.mu.Lock()
	r.told, r.silent, r.lost, r.looking = 0, 0, false, nil
	r.mu.Unlock()
	var looks sync.WaitGroup
	defer looks.Wait()
	slots := make(chan struct{}, r.Concurrency)
	after, looked := state.After, int64(0)
	for {
		labels, err := r.Labels.After(ctx, after, page)
		if err != nil {
			return err
		}
		if len(labels) == 0 {
			break
		}
		for _, label := range labels {
			wait(ctx, r.pace.next(step))
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			l := r.come(label)
			looks.Go(func() {
				defer func() { <-slots }()
				if r.lookAt(ctx, look, label) {
					r.gone(l)
				}
			})
			after = label
			looked++
		}
	}
	looks.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if state.After != "" { // another replica has looked at the rest
		looked = max(looked, count)
		r.keepFindings(ctx)
	}
	return r.end(ctx, look, state, looked, began)
}

// step is the time from one tenant to the next.
func (r *Runner) step(count int64) time.Duration {
	step := r.Every
	if count > 0 {
		step = r.Every / time.Duration(count)
	}
	least := time.Duration(float64(time.Second) / max(r.Rate, 0.001))
	// A few tenants need not wait for each other: the last one's verdict is as old
	// as the round is long.
	return max(min(step, maxStep), least)
}

const maxStep = 5 * time.Second

// end ends a round.
func (r *Runner) end(ctx context.Context, look *Round, state *store.VerifyRound, looked int64, began time.Time) error {
	findings := look.Findings()
	r.findings.Store(int64(len(findings)))
	for _, f := range worst(findings) {
		r.fail(ctx, Verdict{App: f.App, Outcome: f.Outcome, Detail: f.Detail, Fix: f.Fix}, slog.LevelError, "codes can be stolen: the provider does not match redirect URIs exactly")
	}
	if why := look.Blind(); why != "" {
		r.Log.Warn("a negative control could not be asked", slog.String("cause", why))
		r.keepFindings(ctx)
	}
	r.mu.Lock()
	silent := r.silent
	r.mu.Unlock()
	if silent > 0 {
		r.Log.Warn("and there was news of more tenants: onedoor tenant verify --failing", slog.Int("tenants", silent))
	}
	r.mu.Lock()
	lost := r.lost
	r.mu.Unlock()
	if !lost { // else what was not seen in this round may have been, and was not written
		if err := r.Store.PruneVerdicts(ctx, state.Began); err != nil {
			return err
		}
		r.forget(state.Began)
	}
	r.lasted.Store(r.Now().Sub(began).Milliseconds())
	r.ended.Store(r.Now().Unix())
	state.Ended, state.Looked, state.After = r.Now().Unix(), looked, ""
	r.Log.Info("all tenants were verified", slog.Int64("tenants", looked), slog.Int("failing", r.failures()), slog.Int64("took_ms", r.Now().Sub(began).Milliseconds()))
	r.set(*state)
	return r.keep(ctx)
}

// lookAt looks at one tenant and writes down what has changed; false where there
// was no time.
func (r *Runner) lookAt(ctx context.Context, look *Round, label string) bool {
	verdicts := look.Look(ctx, label)
	if ctx.Err() != nil {
		return false
	}
	seen := map[string]bool{}
	for _, v := range verdicts {
		r.counts[v.Outcome].Add(1)
		r.pace.took(v)
		seen[v.App] = true
		switch {
		case v.Outcome == TenantUnknown: // removed since its label was read
			r.well(ctx, v)
		case v.Outcome.Failing():
			r.fail(ctx, v, slog.LevelWarn, "a tenant's login would fail")
		case v.Outcome == Unclear && v.App == "": // at which app does not matter
			r.again(ctx, v)
			for _, app := range r.Directory().Apps {
				r.again(ctx, Verdict{Tenant: label, App: app.Name})
			}
		case v.Outcome == Unclear:
			r.again(ctx, v)
		default:
			r.well(ctx, v)
		}
	}
	if !seen[""] {
		r.well(ctx, Verdict{Tenant: label})
	}
	return ctx.Err() == nil
}

// now is when something was seen, by this replica's clock, and in no case before
// the round began by that of the one that began it.
func (r *Runner) now() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(r.Now().Unix(), r.state.Began)
}

func (r *Runner) fail(ctx context.Context, v Verdict, level slog.Level, text string) {
	now := r.now()
	row := store.Verdict{Tenant: v.Tenant, App: v.App, Outcome: string(v.Outcome), Detail: v.Detail, Fix: v.Fix, Since: now, At: now}
	news, err := r.Store.PutVerdict(ctx, row)
	if err != nil {
		r.Log.Warn("a verdict was not kept", slog.String("tenant", v.Tenant), slog.String("error", err.Error()))
		r.lose()
		return
	}
	r.mu.Lock()
	at := place{v.Tenant, v.App}
	before, known := r.failing[at]
	if known && !news {
		row.Since = before.Since
	}
	if known || len(r.failing) < maxFailing {
		r.failing[at] = row
	}
	r.mu.Unlock()
	if news && (v.Tenant == "" || r.tell()) { // a finding is told however many tenants there are news of
		r.Log.LogAttrs(ctx, level, text, slog.String("tenant", v.Tenant), slog.String("app", v.App), slog.String("outcome", string(v.Outcome)), slog.String("detail", v.Detail), slog.String("fix", v.Fix))
	}
}

// tell says whether there is room for one more line in this round.
func (r *Runner) tell() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told++; r.told > maxTold {
		r.silent++
		return false
	}
	return true
}

// again keeps what is known of a tenant that could not be looked at.
func (r *Runner) again(ctx context.Context, v Verdict) {
	r.mu.Lock()
	row, known := r.failing[place{v.Tenant, v.App}]
	r.mu.Unlock()
	if !known {
		return
	}
	row.At = r.now()
	if _, err := r.Store.PutVerdict(ctx, row); err != nil {
		r.lose()
		return
	}
	r.mu.Lock()
	r.failing[place{v.Tenant, v.App}] = row
	r.mu.Unlock()
}

func (r *Runner) lose() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lost = true
}

// keepFindings keeps those of the round before where a control could not be
// asked: that says nothing.
func (r *Runner) keepFindings(ctx context.Context) {
	r.mu.Lock()
	var all []place
	for at := range r.failing {
		if at.tenant == "" {
			all = append(all, at)
		}
	}
	r.mu.Unlock()
	for _, at := range all {
		r.again(ctx, Verdict{App: at.app})
	}
}

func (r *Runner) well(ctx context.Context, v Verdict) {
	at := place{v.Tenant, v.App}
	r.mu.Lock()
	row, known := r.failing[at]
	full := len(r.failing) >= maxFailing
	r.mu.Unlock()
	if !known && !full {
		return
	}
	news, err := r.Store.ClearVerdict(ctx, v.Tenant, v.App)
	if err != nil {
		return // the next round will
	}
	r.mu.Lock()
	delete(r.failing, at)
	r.mu.Unlock()
	if news && r.tell() {
		r.Log.Info("a tenant's login would work again", slog.String("tenant", v.Tenant), slog.String("app", v.App), slog.String("outcome", row.Outcome), slog.String("after", (time.Duration(r.Now().Unix()-row.Since)*time.Second).String()))
	}
}

// remember reads what failed before.
func (r *Runner) remember(ctx context.Context) error {
	known := map[place]store.Verdict{}
	q := store.VerdictQuery{Limit: 1000}
	for len(known) < maxFailing {
		rows, err := r.Store.Verdicts(ctx, q)
		if err != nil {
			return err
		}
		for _, v := range rows {
			known[place{v.Tenant, v.App}] = v
			q.AfterTenant, q.AfterApp = v.Tenant, v.App
		}
		if len(rows) < q.Limit {
			break
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failing, r.leading = known, true
	return nil
}

// forget does what PruneVerdicts does.
func (r *Runner) forget(before int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for at, v := range r.failing {
		if v.At < before {
			delete(r.failing, at)
		}
	}
}

func (r *Runner) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.leading, r.failing = false, map[place]store.Verdict{}
}

func (r *Runner) failures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failing)
}

func wait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
