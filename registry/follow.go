package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"onedoor/tenant"
)

const (
	// pollEvery is how often the source is asked whether anything changed, should
	// nobody have said so.
	pollEvery = 500 * time.Millisecond
	// askTimeout bounds one question.
	askTimeout = 5 * time.Second
	// loadTimeout bounds the time between two parts of a load.
	loadTimeout = 30 * time.Second
	// Between failures the pauses double from minPause to maxPause.
	minPause = 100 * time.Millisecond
	maxPause = time.Second
	// page is how many changes are asked for at once.
	page = 1000
	// progressEvery is how often a load that takes long says how far it is.
	progressEvery = 2 * time.Second
	// loadStep is how many tenants are read between two looks at the clock.
	loadStep = 4096
)

// following is what Run alone uses.
type following struct {
	mark     string // of the revision, see Source.Mark
	doubtful bool   // the source was out of reach since the mark was compared
	failing  bool   // the last attempt failed
	stale    bool   // and it was said that answers have ended
	reload   bool   // what is there must be read anew
	resized  int64  // octets that Options.Resized was told
}

// Run loads the tenants and follows their changes until ctx ends. A source that
// is out of reach is asked again and again, and said to be so in the log.
func (r *Registry) Run(ctx context.Context) {
	pause := minPause
	for {
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		r.say(err)
		wait := pollEvery
		if err != nil {
			// Replicas that lost the same database do not all ask at once.
			wait = pause/2 + rand.N(pause/2+1)
			pause = min(2*pause, maxPause)
		} else {
			pause = minPause
		}
		if !sleep(ctx, wait, r.changed, err != nil) {
			return
		}
	}
}

// Changed tells Run to look at once. It may be called too often, too late or not
// at all.
func (r *Registry) Changed() {
	select {
	case r.changed <- struct{}{}:
	default: // one look will see both
	}
}

// sleep waits, and less where there are changes. After a failure it waits for a
// moment at least.
func sleep(ctx context.Context, wait time.Duration, changed <-chan struct{}, failed bool) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	if failed {
		changed = nil
	}
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-changed:
	}
	return true
}

// say writes what has changed about the connection, once.
func (r *Registry) say(err error) {
	switch {
	case err != nil && !r.failing:
		r.o.Log.Warn("the registry cannot follow the database, and tries again", slog.String("error", err.Error()), slog.Duration("age", r.Age().Round(time.Millisecond)))
	case err == nil && r.failing:
		r.o.Log.Info("the registry follows the database again", slog.Int64("revision", r.Revision()))
	}
	if stale := err != nil && r.tables.Load() != nil && r.Age() > r.o.StaleAfter; stale != r.stale {
		if r.stale = stale; stale {
			r.o.Log.Error("no tenant is served: "+ErrStale.Error(), slog.String("error", err.Error()), slog.Duration("stale_after", r.o.StaleAfter))
		}
	}
	r.failing = err != nil
}

// follow asks once whether anything changed, and takes it over.
func (r *Registry) follow(ctx context.Context) error {
	if r.tables.Load() == nil || r.reload {
		return r.load(ctx)
	}
	began := time.Since(r.start)
	err := r.catchUp(ctx)
	if err != nil {
		r.doubtful = true
		return err
	}
	if r.reload {
		return r.load(ctx)
	}
	r.confirmed.Store(int64(began)) // not later: what came since was not asked for
	return nil
}

// catchUp takes over what changed. It sets reload where changes cannot tell what
// is true now.
func (r *Registry) catchUp(ctx context.Context) error {
	mine := r.revision.Load()
	theirs, err := ask(ctx, r.o.Source.Revision)
	if err != nil {
		return fmt.Errorf("its revision: %w", err)
	}
	if theirs < mine {
		r.o.Log.Warn("the database has gone back, as after the restoration of a backup: all tenants are read anew", slog.Int64("revision", theirs), slog.Int64("before", mine))
		r.reload = true
		return nil
	}
	if theirs == mine && !r.doubtful {
		return nil
	}
	// Is it the past that we know? A backup may have been restored and changed.
	switch was, err := r.markOf(ctx, mine); {
	case err != nil:
		return err
	case was != r.mark:
		r.o.Log.Warn("the database has another past than before, as after the restoration of a backup: all tenants are read anew", slog.Int64("revision", mine))
		r.reload = true
		return nil
	}
	for after := mine; after < theirs; {
		changes, err := ask(ctx, func(ctx context.Context) ([]Change, error) { return r.o.Source.Since(ctx, after, page) })
		if err != nil {
			return fmt.Errorf("changes after revision %d: %w", after, err)
		}
		if len(changes) == 0 {
			break // the rest were no tenants
		}
		for _, c := range changes {
			r.apply(c)
			after = max(after, c.Revision)
		}
		theirs = max(theirs, after)
	}
	if err := r.findRoom(ctx); err != nil {
		return err
	}
	if theirs > mine {
		mark, err := r.markOf(ctx, theirs)
		if err != nil {
			return err // the changes are there, and will be applied once more
		}
		r.mark = mark
		r.revision.Store(theirs)
	}
	r.doubtful = false
	r.resize(false)
	return nil
}

func (r *Registry) markOf(ctx context.Context, revision int64) (string, error) {
	mark, err := ask(ctx, func(ctx context.Context) (string, error) { return r.o.Source.Mark(ctx, revision) })
	if err != nil {
		return "", fmt.Errorf("who made revision %d: %w", revision, err)
	}
	return mark, nil
}

// ask bounds the time of one question.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	return question(ctx)
}

// apply takes over one change. To apply it once more changes nothing.
func (r *Registry) apply(c Change) {
	all := r.tables.Load()
	if c.Removed {
		all.remove(c.Tenant)
		return
	}
	if !all.put(c.Tenant, r.o.Limit) {
		r.leaveOut(all, c.Tenant.Label)
	}
}

// findRoom reads all tenants anew when there is room for those that were left
// out.
func (r *Registry) findRoom(ctx context.Context) error {
	if all := r.tables.Load(); !all.full.Load() || all.tenants.count.Load() >= r.o.Limit {
		return nil
	}
	n, err := ask(ctx, r.o.Source.Count)
	if err != nil {
		return fmt.Errorf("how many tenants there are: %w", err)
	}
	r.reload = n <= r.o.Limit
	return nil
}

// leaveOut says that memory has an end.
func (r *Registry) leaveOut(all *tables, label string) {
	if all.full.Swap(true) {
		return
	}
	r.o.Log.Error("there are more tenants than tenants.limit: those that were left out get 503", slog.Int64("limit", r.o.Limit), slog.String("first", label))
}

// put takes over a tenant. False says that there is no room for it: then it is
// not there at all, for it may have been suspended.
func (t *tables) put(now tenant.Tenant, limit int64) bool {
	var room [128]byte
	key := append(room[:0], now.Label...)
	was, there := t.tenants.get(key)
	if !there && t.tenants.count.Load() >= limit {
		return false
	}
	var before map[string]string
	if there && was[0]&flagMore != 0 {
		before = decode(now.Label, was).Sites
	}
	var value [64]byte
	if !t.tenants.put(key, encode(value[:0], now)) {
		t.tenants.remove(key)
		return false
	}
	// A site is found as soon as its tenant says that it is its own.
	for app, origin := range now.Sites {
		if before[app] != origin && !t.sites.put(siteKey(nil, app, origin), key) {
			return false
		}
	}
	for app, origin := range before {
		if now.Sites[app] != origin {
			t.dropSite(app, origin, now.Label)
		}
	}
	return true
}

// remove forgets a tenant, unless its label is another's by now.
func (t *tables) remove(gone tenant.Tenant) {
	value, there := t.tenants.getString(gone.Label)
	if !there {
		return
	}
	was := decode(gone.Label, value)
	if was.ID != gone.ID {
		return
	}
	t.tenants.remove([]byte(gone.Label))
	for app, origin := range was.Sites {
		t.dropSite(app, origin, gone.Label)
	}
}

// dropSite forgets a site, unless it is another tenant's by now.
func (t *tables) dropSite(app, origin, label string) {
	key := siteKey(nil, app, origin)
	if owner, ok := t.sites.get(key); ok && string(owner) == label {
		t.sites.remove(key)
	}
}

// load reads all tenants beside those that are there, and puts them in their
// place in one step.
func (r *Registry) load(ctx context.Context) error {
	began := time.Now()
	asked := time.Since(r.start)
	next := newTables()
	revision, err := r.read(ctx, next)
	if err != nil {
		return err
	}
	if r.mark, err = r.markOf(ctx, revision); err != nil {
		return err
	}
	next.tenants.trim()
	next.sites.trim()
	r.revision.Store(revision)
	first := r.tables.Swap(next) == nil
	r.confirmed.Store(int64(asked)) // of the new ones, so not before
	if first {
		close(r.loaded)
	}
	r.reload, r.doubtful = false, false
	r.resize(true)
	r.o.Log.Info("the registry has all tenants", slog.Int64("tenants", r.Size()), slog.Int64("revision", revision),
		slog.Int64("octets", r.Octets()), slog.Duration("took", time.Since(began).Round(time.Millisecond)))
	return nil
}

var errSlow = errors.New("the database stopped answering in the middle")

// read fills the tables, and gives up where nothing comes for loadTimeout.
func (r *Registry) read(ctx context.Context, into *tables) (int64, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	patience := time.AfterFunc(loadTimeout, func() { giveUp(errSlow) })
	defer patience.Stop()
	var (
		n, total int64
		next     = time.Now().Add(progressEvery)
	)
	revision, err := r.o.Source.Each(ctx, func(t tenant.Tenant) error {
		if n++; n%loadStep == 0 {
			patience.Reset(loadTimeout)
			if size := into.octets(); size > r.resized+r.resized/4 {
				r.resized = size
				r.o.Resized(size)
			}
			if now := time.Now(); now.After(next) {
				next = now.Add(progressEvery)
				if total == 0 {
					total, _ = r.o.Source.Count(ctx) // how far it is, is a comfort and no more
				}
				r.o.Log.Info("the registry is being loaded", slog.Int64("tenants", n), slog.Int64("of", max(n, total)))
			}
		}
		if !into.put(t, r.o.Limit) {
			r.leaveOut(into, t.Label)
		}
		return nil
	})
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errSlow) {
		err = cause
	}
	if err != nil {
		return 0, fmt.Errorf("all tenants: %w", err)
	}
	return revision, nil
}

// resize tells how much memory there is now, where that differs by an eighth.
func (r *Registry) resize(always bool) {
	size := r.Octets()
	if diff := size - r.resized; always || 8*diff > r.resized || -8*diff > r.resized {
		r.resized = size
		r.o.Resized(size)
	}
}
