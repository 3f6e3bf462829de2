package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"onedoor/tenant"
)

func active(id, label string) tenant.Tenant {
	return tenant.Tenant{ID: id, Label: label, Status: tenant.Active}
}

func suspended(id, label string) tenant.Tenant {
	return tenant.Tenant{ID: id, Label: label, Status: tenant.Suspended}
}

// logged is a log that several goroutines may write.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

// bench is a registry that follows a database, in a bubble of synthetic time.
type bench struct {
	*testing.T
	*Registry
	db  *database
	log *logged
}

// inTime runs f with a registry that follows db, in a time that passes at once.
func inTime(t *testing.T, db *database, o Options, f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, db: db, log: &logged{}}
		o.Source, o.Log = db, slog.New(slog.NewTextHandler(b.log, nil))
		b.Registry = New(o)
		db.set(func() { db.changed = b.Changed })
		defer db.set(func() { db.changed = nil })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.Registry.Run(ctx)
		}()
		f(b)
		cancel()
		<-ended
	})
}

// after lets that much time pass, and waits until everybody has done what was to
// be done in it.
func (b *bench) after(d time.Duration) {
	<-time.After(d) // of the bubble: it takes no time
	synctest.Wait()
}

func (b *bench) is(label, want string) {
	b.Helper()
	got := "unknown"
	switch found, err := b.ByLabel(b.Context(), label); {
	case err == nil:
		got = string(found.Status) + " " + found.ID
	case errors.Is(err, ErrStale):
		got = "stale"
	case errors.Is(err, ErrLoading):
		got = "loading"
	case errors.Is(err, ErrFull):
		got = "full"
	}
	if got != want {
		b.Errorf("%s is %s, want %s", label, got, want)
	}
}

func TestAChangeIsEffectiveWithinASecondThoughNobodySaysSo(t *testing.T) {
	db := newDatabase()
	db.silent = true
	db.put(active("1", "acme"))
	inTime(t, db, Options{}, func(b *bench) {
		b.after(0)
		b.is("acme", "active 1")
		for range 20 {
			db.put(active("2", "new"), suspended("1", "acme"))
			b.after(time.Second)
			b.is("new", "active 2")
			b.is("acme", "suspended 1")
			db.remove(active("2", "new"))
			db.put(active("1", "acme"))
			b.after(time.Second)
			b.is("new", "unknown")
			b.is("acme", "active 1")
		}
	})
}

func TestAChangeThatIsAnnouncedIsEffectiveAtOnce(t *testing.T) {
	db := newDatabase()
	inTime(t, db, Options{}, func(b *bench) {
		b.after(pollEvery / 2)
		for i := range 30 {
			label := fmt.Sprint("t", i)
			db.put(active(label, label))
			b.after(0)
			b.is(label, "active "+label)
		}
	})
}

func TestBeforeTheFirstLoadNobodyIsUnknown(t *testing.T) {
	db := newDatabase()
	db.put(active("1", "acme"))
	db.err = errDown
	inTime(t, db, Options{}, func(b *bench) {
		b.after(10 * time.Minute)
		b.is("acme", "loading")
		b.is("nobody", "loading")
		if _, err := b.BySite(b.Context(), "shop", "https://a.example"); !errors.Is(err, ErrLoading) {
			b.Errorf("a site: %v", err)
		}
		if !errors.Is(b.Loaded(), ErrLoading) || b.Size() != 0 || b.Octets() != 0 || b.Full() {
			b.Errorf("loaded: %v", b.Loaded())
		}
		hurry, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		b.Await(hurry)
		if hurry.Err() == nil {
			b.Error("it is there, and is not loaded")
		}
		if n := b.log.count("cannot follow the database"); n != 1 {
			b.Errorf("the log says %d times that the database is down", n)
		}
		if n := db.times("each"); n > 1000 || n < 100 {
			b.Errorf("asked %d times in ten minutes", n)
		}
		db.set(func() { db.err = nil })
		b.after(maxPause)
		b.Await(b.Context())
		b.is("acme", "active 1")
		b.is("nobody", "unknown")
		if b.Loaded() != nil || b.log.count("the registry has all tenants") != 1 {
			b.Errorf("loaded: %v", b.Loaded())
		}
	})
}

func TestNothingIsServedLongerThanTheBoundWithoutConfirmation(t *testing.T) {
	db := newDatabase()
	site := active("2", "globex")
	site.Sites = map[string]string{"shop": "https://portal.globex.example"}
	db.put(active("1", "acme"), site)
	inTime(t, db, Options{StaleAfter: 10 * time.Minute}, func(b *bench) {
		b.after(time.Minute)
		db.set(func() { db.err = errDown })
		db.put(suspended("1", "acme"))
		b.after(10*time.Minute - time.Second)
		b.is("acme", "active 1") // logins of known tenants go on
		b.is("nobody", "unknown")
		b.after(2 * time.Second)
		b.is("acme", "stale")
		b.is("nobody", "stale")
		if _, err := b.BySite(b.Context(), "shop", "https://portal.globex.example"); !errors.Is(err, ErrStale) {
			b.Errorf("a site: %v", err)
		}
		if b.Loaded() != nil {
			b.Error("a door that was ready is not any more")
		}
		b.after(time.Hour)
		b.is("acme", "stale")
		if b.log.count("no tenant is served") != 1 || b.log.count("cannot follow") != 1 {
			b.Errorf("the log: %s", &b.log.b)
		}
		if age := b.Age(); age < 70*time.Minute || age > 71*time.Minute {
			b.Errorf("age %v", age)
		}
		db.set(func() { db.err = nil })
		b.after(maxPause)
		b.is("acme", "suspended 1")
		if b.Age() > maxPause || db.times("each") != 1 || b.log.count("follows the database again") != 1 {
			b.Errorf("age %v, loaded %d times", b.Age(), db.times("each"))
		}
	})
}

// What counts is when the question was asked: the answer may be old when it
// arrives.
func TestAConfirmationIsAsOldAsItsQuestion(t *testing.T) {
	db := newDatabase()
	db.put(active("1", "acme"))
	inTime(t, db, Options{StaleAfter: 3 * time.Second}, func(b *bench) {
		b.after(0)
		db.set(func() { db.delay = 4 * time.Second })
		b.after(20 * time.Second)
		b.is("acme", "stale")
	})
}

func TestADatabaseThatNeverAnswersIsGivenUp(t *testing.T) {
	db := newDatabase()
	db.put(active("1", "acme"))
	inTime(t, db, Options{StaleAfter: time.Minute}, func(b *bench) {
		b.after(0)
		db.set(func() { db.delay = 24 * time.Hour })
		b.after(30 * time.Second)
		if n := db.times("revision"); n < 3 {
			b.Errorf("asked %d times", n)
		}
		db.put(suspended("1", "acme"))
		db.set(func() { db.delay = 0 })
		b.after(askTimeout + maxPause)
		b.is("acme", "suspended 1")
	})
}

func TestALoadThatStopsInTheMiddleBeginsAnew(t *testing.T) {
	db := newDatabase()
	db.put(active("1", "acme"))
	db.delay = 24 * time.Hour
	inTime(t, db, Options{}, func(b *bench) {
		b.after(loadTimeout / 2)
		db.set(func() { db.delay = 0 })
		b.after(loadTimeout/2 + maxPause)
		b.is("acme", "active 1")
		if b.log.count(errSlow.Error()) != 1 {
			b.Errorf("the log: %s", &b.log.b)
		}
	})
}

func TestARestoredBackupIsReadAnew(t *testing.T) {
	for name, since := range map[string]int{"and nothing since": 0, "and fewer changes since": 1, "and as many changes since": 3, "and more changes since": 7} {
		t.Run(name, func(t *testing.T) {
			db := newDatabase()
			db.put(active("1", "acme"), suspended("2", "wayne"))
			restore := db.backup()
			inTime(t, db, Options{}, func(b *bench) {
				b.after(0)
				db.put(active("2", "wayne"), active("3", "new"), active("4", "newer"))
				b.after(time.Second)
				b.is("new", "active 3")
				db.set(func() { db.err = errDown })
				b.after(time.Minute)
				restore()
				for range since {
					db.put(active("5", "since"))
				}
				db.set(func() { db.err = nil })
				b.after(maxPause)
				b.is("wayne", "suspended 2")
				b.is("new", "unknown")
				b.is("newer", "unknown")
				b.is("acme", "active 1")
				if since > 0 {
					b.is("since", "active 5")
				}
				if b.log.count("restoration of a backup") != 1 {
					b.Errorf("the log: %s", &b.log.b)
				}
			})
		})
	}
}

func TestADatabaseThatWentBackIsReadAnewThoughItTellsNoPast(t *testing.T) {
	db := newDatabase()
	restore := db.backup()
	db.put(active("1", "acme"))
	inTime(t, db, Options{}, func(b *bench) {
		db.set(func() { clear(db.past) })
		b.after(0)
		restore()
		b.after(time.Second)
		b.is("acme", "unknown")
	})
}

// A site moves from one tenant to another, and the first one changes once more:
// the second is told of before the first.
func TestASiteThatMovedStaysWhereItIs(t *testing.T) {
	db := newDatabase()
	at := func(id, origin string) tenant.Tenant {
		out := active(id, "t"+id)
		if origin != "" {
			out.Sites = map[string]string{"shop": origin}
		}
		return out
	}
	const site = "https://portal.example"
	db.put(at("1", site), at("2", ""))
	inTime(t, db, Options{}, func(b *bench) {
		b.after(0)
		db.silent = true
		db.put(at("1", ""), at("2", site), at("1", ""))
		b.after(time.Second)
		if found, err := b.BySite(b.Context(), "shop", site); err != nil || found.ID != "2" {
			b.Errorf("%+v, %v", found, err)
		}
	})
}

func TestALabelThatWasGivenToAnotherIsNotLostWithItsFormerTenant(t *testing.T) {
	db := newDatabase()
	db.put(active("1", "acme"))
	inTime(t, db, Options{}, func(b *bench) {
		b.after(0)
		b.apply(Change{Tenant: active("2", "acme"), Revision: 2})
		b.apply(Change{Tenant: active("1", "acme"), Revision: 3, Removed: true})
		b.is("acme", "active 2")
	})
}

func TestAChangeOfKeysIsNoChangeOfTenants(t *testing.T) {
	db := newDatabase()
	db.put(active("1", "acme"))
	inTime(t, db, Options{}, func(b *bench) {
		b.after(0)
		db.set(func() { db.revision++; db.past[db.revision] = "a key" })
		b.after(time.Second)
		if b.Revision() != 2 || db.times("since") != 1 || db.times("each") != 1 {
			b.Errorf("revision %d, asked for changes %d times", b.Revision(), db.times("since"))
		}
		b.after(time.Minute)
		if db.times("since") != 1 {
			b.Errorf("asked for changes %d times", db.times("since"))
		}
	})
}

func TestThousandsOfChangesComeInPages(t *testing.T) {
	for _, most := range []int{0, 7} {
		db := newDatabase()
		db.pageMax = most
		inTime(t, db, Options{}, func(b *bench) {
			b.after(0)
			db.silent = true
			for i := range 3500 {
				label := fmt.Sprint("t", i)
				db.put(active(label, label))
			}
			b.after(time.Second)
			if b.Size() != 3500 || b.Revision() != 3500 {
				b.Errorf("%d tenants at revision %d", b.Size(), b.Revision())
			}
		})
	}
}

func TestTenantsBeyondTheLimitAreNotUnknown(t *testing.T) {
	db := newDatabase()
	for i := range 12 {
		label := fmt.Sprint("t", i)
		own := active(label, label)
		own.Sites = map[string]string{"shop": "https://" + label + ".example"}
		db.put(own)
	}
	inTime(t, db, Options{Limit: 10}, func(b *bench) {
		b.after(0)
		count := func() (in, out int) {
			for i := range 12 {
				label := fmt.Sprint("t", i)
				_, err := b.ByLabel(b.Context(), label)
				_, bySite := b.BySite(b.Context(), "shop", "https://"+label+".example")
				switch {
				case !errors.Is(bySite, err):
					b.Errorf("%s: %v by its label, %v by its site", label, err, bySite)
				case err == nil:
					in++
				case errors.Is(err, ErrFull):
					out++
				}
			}
			return in, out
		}
		if in, out := count(); in != 10 || out != 2 || !b.Full() || b.log.count("more tenants than tenants.limit") != 1 {
			b.Errorf("%d are there, %d left out, full: %v", in, out, b.Full())
		}
		// Of those that are there, every change counts.
		for i := range 12 {
			label := fmt.Sprint("t", i)
			db.put(suspended(label, label))
		}
		b.after(time.Second)
		for i := range 12 {
			if found, err := b.ByLabel(b.Context(), fmt.Sprint("t", i)); err == nil && found.Status != tenant.Suspended {
				b.Errorf("t%d is %s", i, found.Status)
			}
		}
		// With room again, those that were left out come in.
		for i := range 3 {
			db.remove(active(fmt.Sprint("t", i), fmt.Sprint("t", i)))
			b.after(time.Second)
		}
		b.is("t11", "suspended t11")
		b.is("t0", "unknown")
		if b.Size() != 9 || b.Full() {
			b.Errorf("%d tenants, full: %v", b.Size(), b.Full())
		}
	})
}

func TestALongLoadSaysHowFarItIs(t *testing.T) {
	db := newDatabase()
	for i := range 3 * loadStep {
		label := fmt.Sprint("t", i)
		db.rows[label] = Change{Tenant: active(label, label)}
	}
	slow := slowly{db}
	synctest.Test(t, func(t *testing.T) {
		log := &logged{}
		r := New(Options{Source: slow, Log: slog.New(slog.NewTextHandler(log, nil))})
		if err := r.follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if log.count("being loaded") != 3 || log.count(fmt.Sprintf("tenants=%d of=%d", 2*loadStep, 3*loadStep)) != 1 {
			t.Errorf("the log: %s", &log.b)
		}
	})
}

// slowly takes a second for each thousand of tenants.
type slowly struct{ *database }

func (s slowly) Each(ctx context.Context, f func(tenant.Tenant) error) (int64, error) {
	return s.database.Each(ctx, func(t tenant.Tenant) error {
		<-time.After(time.Millisecond)
		return f(t)
	})
}

func TestTheCollectorIsToldHowMuchThereIs(t *testing.T) {
	db := newDatabase()
	var told []int64
	inTime(t, db, Options{Resized: func(octets int64) { told = append(told, octets) }}, func(b *bench) {
		b.after(0)
		db.silent = true
		for i := range 20_000 {
			label := fmt.Sprint("t", i)
			db.rows[label] = Change{Tenant: active(label, label), Revision: int64(i + 1)}
			db.past[int64(i+1)] = "import"
		}
		db.set(func() { db.revision = 20_000 })
		b.after(time.Second)
		if len(told) != 2 || told[1] != b.Octets() || told[1] < 20_000*10 {
			b.Errorf("told %v, and there are %d", told, b.Octets())
		}
	})
}
