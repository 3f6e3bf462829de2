package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"onedoor/config"
)

const (
	// reloadPoll is how often the files are looked at. A change is taken once
	// they were the same at two looks: an editor, a copy over a network or a
	// mounted secret changes them in more than one step.
	reloadPoll = time.Second

	// reloadRetry is after how long a configuration that could not be taken is
	// tried again: what it lacked may be a file that it names, or the provider.
	reloadRetry = 10 * time.Second

	// reloadTime bounds a reload: the provider may have to be asked.
	reloadTime = 30 * time.Second
)

// reloaded is how the last reload went.
type reloaded struct {
	at  time.Time
	err error // nil: it was taken
}

// onReload is told of every reload how it went. It is called before run is.
func (d *door) onReload(f func(error)) { d.told = append(d.told, f) }

// lastReload is how the last one went; at is the zero time where there was none.
func (d *door) lastReload() reloaded {
	if r := d.last.Load(); r != nil {
		return *r
	}
	return reloaded{}
}

// reload takes the configuration that the file has now: all of it or, where
// anything about it is wrong, nothing, and then the error says what.
func (d *door) reload(ctx context.Context, file string) (err error) {
	defer func() {
		d.last.Store(&reloaded{d.now(), err})
		for _, f := range d.told {
			f(err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		return err
	}
	before := d.hold()
	defer before.uses.drop()
	if needs := before.cfg.Restart(cfg); len(needs) > 0 {
		return needs
	}
	pairs, err := d.pairs(cfg)
	if err != nil {
		return err
	}
	next, err := d.configure(ctx, cfg, before)
	if err != nil {
		return err
	}
	if next.provided != before.provided {
		if err := next.provided.Fetch(ctx); err != nil {
			next.uses.drop()
			return err
		}
		d.group.Go(func() error {
			if err := next.provided.run(d.answering); err != nil { // it was good a moment ago: no reason to end
				d.log.Error("provider not ready", slog.String("error", err.Error()))
			}
			return nil
		})
	}
	d.swap(next, pairs)
	return nil
}

// pairs reads the certificates of a configuration.
func (d *door) pairs(cfg *config.Config) (map[*server]pair, error) {
	all := map[*server]pair{}
	for _, s := range d.servers {
		if s.certificate == nil || s.listener < 0 {
			continue // where the operators' are from needs a restart
		}
		tls := cfg.Listeners[s.listener].TLS
		p, err := pair{}.read(tls.CertFile, tls.KeyFile)
		if err != nil {
			return nil, err
		}
		all[s] = p
	}
	return all, nil
}

// swap makes next the current configuration. Nothing here can fail.
func (d *door) swap(next *configured, pairs map[*server]pair) {
	d.swapping.Lock()
	defer d.swapping.Unlock()
	for s, p := range pairs {
		s.certificate.use(p)
	}
	if d.level != nil {
		d.level.Set(logLevel(next.cfg.Log))
	}
	if d.draining {
		next.gateway.Drain()
	}
	next.provided.SetWaiting(next.cfg.Limits.ProviderRequests)
	d.current.Swap(next).uses.drop()
}

// drain makes the door say that it is not ready, whatever is reloaded yet.
func (d *door) drain() {
	d.swapping.Lock()
	defer d.swapping.Unlock()
	d.draining = true
	d.current.Load().gateway.Drain()
}

// follow reloads the configuration when the file, or one that it names, has
// changed, and at every value of hangup. every is reloadPoll.
func (d *door) follow(file string, hangup <-chan os.Signal, every time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		f := follower{door: d, file: file, retry: reloadRetry * every / reloadPoll}
		f.seen = f.current.Load().cfg.Files() // as they were when they were read
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-hangup:
				f.said = "" // who asks gets an answer
				f.seen, f.changed = f.look(), false
				f.try(ctx)
			case now := <-tick.C:
				f.tick(ctx, now)
			}
		}
	}
}

// follower is what follow remembers between its looks.
type follower struct {
	*door
	file    string
	retry   time.Duration
	seen    []config.File
	changed bool      // since the last try, and perhaps not ended
	failed  time.Time // of the last try; zero where it succeeded
	said    string    // what the log has been told of that
}

// look looks at every file of the present configuration.
func (f *follower) look() []config.File {
	files := f.current.Load().cfg.Files()
	for i := range files {
		files[i] = files[i].Again()
	}
	return files
}

// tick looks at the files, and tries once they have settled.
func (f *follower) tick(ctx context.Context, now time.Time) {
	looked := f.look()
	if !slices.EqualFunc(f.seen, looked, config.File.Same) {
		f.seen, f.changed = looked, true
		return
	}
	if f.changed || !f.failed.IsZero() && now.Sub(f.failed) >= f.retry {
		f.changed = false
		f.try(ctx)
	}
}

// try reloads, and tells the log what is new about that.
func (f *follower) try(ctx context.Context) {
	err := f.reload(ctx, f.file)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		f.failed, f.said = time.Time{}, ""
		f.seen = f.current.Load().cfg.Files() // which may be others now
		f.log.Info("configuration reloaded", slog.String("file", f.file))
		for _, w := range f.current.Load().cfg.Warnings() {
			f.log.Warn(w)
		}
		return
	}
	f.failed = time.Now()
	if err.Error() == f.said {
		return
	}
	f.said = err.Error()
	var problems config.Problems
	if !errors.As(err, &problems) {
		f.log.Error("configuration not taken, the one before stays", slog.String("error", err.Error()))
		return
	}
	for _, p := range problems {
		f.log.Error("configuration not taken, the one before stays", slog.String("error", p.Error()), slog.String("hint", p.Hint))
	}
}
