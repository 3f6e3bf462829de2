package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"onedoor/admin"
	"onedoor/config"
	"onedoor/seal"
	"onedoor/store"
)

const (
	// keyNotice is how long after a key has become known it begins to seal: by
	// then every other replica knows it, too.
	keyNotice = 10 * time.Second

	// keySkew is how far the clocks of two replicas may be apart.
	keySkew = time.Minute

	// keyGrace is how much longer than without the database a door may seal with
	// a key that has a successor: it learns late, and its clock may be wrong.
	keyGrace = 5 * time.Minute

	// keyPoll is how often the keys are read besides: a call of the database's
	// may be lost with its connection. It confirms them, too, so it is far less
	// than the least tenants.stale_after.
	keyPoll = time.Second
	// keyAsk is how long one such reading may take: one that hangs must not keep
	// the next from a database that is back.
	keyAsk = 5 * time.Second

	// keyWork is how often a replica looks which keys are to go and to come.
	keyWork = 30 * time.Second

	// keyLooks bound how often a value that names an unknown key makes a replica
	// look for it, in a second: anybody can write such a value.
	keyLooks = 10
	// keyLookTime is how long such a value waits for the database.
	keyLookTime = 2 * time.Second
)

// keyTimes are how long keys are needed, by the configuration of the moment.
type keyTimes struct {
	stale       time.Duration // how long a door serves without the database
	login, code time.Duration // how long what they sealed lives
	rotate      time.Duration // how old the newest may grow; 0: any age
}

func keyTimesOf(cfg *config.Config) keyTimes {
	return keyTimes{cfg.Tenants.StaleAfter, cfg.Seal.LoginTTL, cfg.Seal.CodeTTL, cfg.Seal.RotateEvery}
}

// kept is how long a key stays after its successor was made: until the longest
// life of what it sealed last is over. A code is sealed with a newer key and
// still needs the verifier of the one that its login began with.
func (t keyTimes) kept() time.Duration { return t.stale + keyGrace + t.login + t.code }

// shown is what the admin API tells of them.
func (t keyTimes) shown() admin.KeyTimes { return admin.KeyTimes{Notice: keyNotice, Kept: t.kept()} }

// keyring keeps a ring as the database has it, and the database as it should be:
// old keys go and new ones come, by whichever replica is the first to see it.
type keyring struct {
	*seal.Ring
	db    *store.DB
	log   *slog.Logger
	now   func() time.Time
	times func() keyTimes

	turn  chan struct{} // holds one token; whoever has it may read and set keys
	known []knownKey    // the newest first; what the ring has
	start time.Time     // by now; its monotonic reading, so that a wall clock that jumps changes no age
	read  atomic.Int64  // when they were last read with success, in nanoseconds after start

	told   chan struct{} // by changed; holds one
	looks  *rate.Limiter
	flight singleflight.Group

	// What run alone uses: what it has said already.
	failing, stale, untidy bool
}

// knownKey is a key and when it may seal.
type knownKey struct {
	id        byte
	createdAt int64
	from      time.Time
}

// openKeyring reads the keys that all replicas share, and makes one where there
// is none.
func openKeyring(ctx context.Context, db *store.DB, log *slog.Logger, times func() keyTimes, now func() time.Time) (*keyring, error) {
	k := &keyring{db: db, log: log, now: now, times: times, looks: rate.NewLimiter(keyLooks, keyLooks), turn: make(chan struct{}, 1), told: make(chan struct{}, 1)}
	k.turn <- struct{}{}
	k.start = now()
	stored, err := db.SealKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := k.introduce(stored, true)
	if k.Ring, err = seal.NewRing(now, keys...); err != nil {
		return nil, err
	}
	k.OnUnknown(k.lookFor)
	k.OnUse(k.confirmed)
	return k, nil
}

// age is how long ago the database confirmed the keys.
func (k *keyring) age() time.Duration { return k.now().Sub(k.start) - time.Duration(k.read.Load()) }

// confirmed says whether the keys may be believed. A key may be revoked while the
// database is out of reach: it is honoured no longer than a tenant that was
// suspended, and at every redirect URI, whether it has a tenant or not.
func (k *keyring) confirmed() bool { return k.age() <= k.times().stale }

// introduce says from when on each key seals, and remembers it. The time counts
// from when this replica came to know the key, by its own clock: so it does not
// matter how the clocks differ. Only of a key that was there at the start, and
// is older than any difference of clocks, nothing has to be waited for.
func (k *keyring) introduce(stored []store.SealKey, start bool) []seal.Key {
	now := k.now()
	known, keys := make([]knownKey, len(stored)), make([]seal.Key, len(stored))
	for i, s := range stored {
		known[i] = knownKey{id: s.ID, createdAt: s.CreatedAt, from: now.Add(keyNotice)}
		if start && now.Sub(time.Unix(s.CreatedAt, 0)) >= keyNotice+keySkew {
			known[i].from = time.Time{}
		}
		for _, before := range k.known {
			if before.id == s.ID && before.createdAt == s.CreatedAt {
				known[i].from = before.from
			}
		}
		keys[i] = s.Key
		keys[i].From = known[i].from
	}
	k.known = known
	return keys
}

// refresh reads the keys, and changes the ring where they have changed.
func (k *keyring) refresh(ctx context.Context) error {
	// The turn is kept over the reading too: what was read first must not be set last.
	select {
	case <-k.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { k.turn <- struct{}{} }()
	asked := k.now().Sub(k.start) // not later: what was revoked since was not asked for
	stored, err := k.db.SealKeys(ctx)
	if err != nil {
		return err
	}
	same := func(a knownKey, b store.SealKey) bool { return a.id == b.ID && a.createdAt == b.CreatedAt }
	if slices.EqualFunc(k.known, stored, same) {
		k.read.Store(int64(asked))
		return nil
	}
	if err := k.Set(k.introduce(stored, false)...); err != nil {
		return err
	}
	k.read.Store(int64(asked))
	ids := make([]int, len(stored))
	for i, s := range stored {
		ids[i] = int(s.ID)
	}
	k.log.Info("sealing keys changed", slog.Any("keys", ids))
	return nil
}

// errLooks says that unknown keys were looked for too often.
var errLooks = errors.New("too many values name keys that nobody has")

// lookFor reads the keys because a value names one that the ring does not have:
// another replica may have made it in this moment. An error says that there may
// be such a key: it could not be looked for, and what is known is older than the
// notice that every key is given.
func (k *keyring) lookFor(byte) error {
	_, err, _ := k.flight.Do("", func() (any, error) {
		if !k.looks.AllowN(k.now(), 1) {
			return nil, errLooks
		}
		ctx, cancel := context.WithTimeout(context.Background(), keyLookTime)
		defer cancel()
		err := k.refresh(ctx)
		if err != nil {
			k.log.Warn("an unknown sealing key was not looked for", slog.String("error", err.Error()))
		}
		return nil, err
	})
	if errors.Is(err, errLooks) && k.age() < keyNotice {
		return nil // no key that is younger than what is known seals yet
	}
	return err
}

// changed tells run to read the keys at once.
func (k *keyring) changed() {
	select {
	case k.told <- struct{}{}:
	default: // one reading will see both
	}
}

// run follows the database until ctx ends.
func (k *keyring) run(ctx context.Context) error {
	poll, work := time.NewTicker(keyPoll), time.NewTicker(keyWork)
	defer poll.Stop()
	defer work.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-work.C:
			if !k.failing { // else the database is away, and would keep us
				k.sayUntidy(ctx, k.tidy(ctx))
			}
			continue
		case <-k.told:
		case <-poll.C:
		}
		asking, answered := context.WithTimeout(ctx, keyAsk)
		err := k.refresh(asking)
		answered()
		if ctx.Err() == nil {
			k.say(err)
		}
	}
}

// say writes what has changed about the reading, once.
func (k *keyring) say(err error) {
	switch {
	case err != nil && !k.failing:
		k.log.Error("sealing keys cannot be read: the ones that are known stay", slog.String("error", err.Error()), slog.Duration("age", k.age().Round(time.Millisecond)))
	case err == nil && k.failing:
		k.log.Info("sealing keys are read again")
	}
	if stale := err != nil && !k.confirmed(); stale != k.stale {
		if k.stale = stale; stale {
			k.log.Error("no login goes on: "+seal.ErrStale.Error(), slog.String("error", err.Error()), slog.Duration("stale_after", k.times().stale))
		}
	}
	k.failing = err != nil
}

// sayUntidy writes that keys should go or come and do not, once.
func (k *keyring) sayUntidy(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil && !k.untidy {
		k.log.Error("sealing keys cannot be retired or made", slog.String("error", err.Error()))
	}
	k.untidy = err != nil
}

// tidy lets the keys go that have nothing left to open, and makes a new one
// where the newest has grown old. Of many replicas one does it; the others find
// it done.
func (k *keyring) tidy(ctx context.Context) error {
	keys, err := k.db.SealKeys(ctx)
	if err != nil {
		return err
	}
	times, now := k.times(), k.now()
	for i := 1; i < len(keys); i++ {
		if now.Before(time.Unix(keys[i-1].CreatedAt, 0).Add(times.kept())) {
			continue
		}
		switch err := k.db.RemoveSealKey(ctx, store.Actor{Name: "onedoor", Via: "retired"}, keys[i].ID); {
		case err == nil:
			k.log.Info("sealing key retired", slog.Int("key", int(keys[i].ID)))
		case !errors.Is(err, store.ErrNotFound):
			return err
		}
	}
	if times.rotate > 0 && now.Sub(time.Unix(keys[0].CreatedAt, 0)) >= times.rotate {
		switch next, err := k.db.AddSealKeyAfter(ctx, store.Actor{Name: "onedoor", Via: "rotate_every"}, keys[0]); {
		case err == nil:
			k.log.Info("sealing key made", slog.Int("key", int(next.ID)))
		case !errors.Is(err, store.ErrConflict):
			return err
		}
	}
	return k.refresh(ctx)
}
