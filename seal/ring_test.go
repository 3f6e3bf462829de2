package seal

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"
)

func from(id byte, at time.Time) Key {
	k := fixed(id)
	k.From = at
	return k
}

// keyOf is the key that a value was sealed under.
func keyOf(t *testing.T, r *Ring) byte {
	t.Helper()
	text := r.Seal(State, issuer, nil)
	for id := range 256 {
		if k := r.current.Load().byID[id]; k != nil {
			if _, err := ring(t, &clock{r.now()}, fixed(byte(id))).Open(State, issuer, text, time.Hour); err == nil {
				return byte(id)
			}
		}
	}
	t.Fatal("sealed under no key")
	return 0
}

func TestANewKeyOpensAtOnceAndSealsFromItsTime(t *testing.T) {
	start := time.Unix(1e9, 0)
	c := &clock{start}
	r := ring(t, c, fixed(1))
	if err := r.Set(from(2, start.Add(10*time.Second)), fixed(1)); err != nil {
		t.Fatal(err)
	}
	theirs := ring(t, c, fixed(2)).Seal(State, issuer, []byte("v"))
	if _, err := r.Open(State, issuer, theirs, time.Hour); err != nil {
		t.Errorf("the new key does not open: %v", err)
	}
	for _, tt := range []struct {
		after time.Duration
		want  byte
	}{{0, 1}, {10*time.Second - 1, 1}, {10 * time.Second, 2}, {time.Hour, 2}} {
		c.t = start.Add(tt.after)
		if got := keyOf(t, r); got != tt.want || r.Primary() != tt.want {
			t.Errorf("after %s: key %d seals, primary %d, want %d", tt.after, got, r.Primary(), tt.want)
		}
	}
}

func TestWhereNoKeyMaySealYetTheOldestDoes(t *testing.T) {
	start := time.Unix(1e9, 0)
	r := ring(t, &clock{start}, from(2, start.Add(20)), from(1, start.Add(10)))
	if got := keyOf(t, r); got != 1 || r.Primary() != 1 {
		t.Errorf("key %d seals, primary %d", got, r.Primary())
	}
}

func TestAKeyThatIsTakenOutOpensNothing(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(2), fixed(1))
	text := r.Seal(State, issuer, []byte("v"))
	if err := r.Set(fixed(3), fixed(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(State, issuer, text, time.Hour); !errors.Is(err, ErrOpen) {
		t.Errorf("Open: %v", err)
	}
	if _, err := r.Verifier(2, []byte("t")); !errors.Is(err, ErrOpen) {
		t.Errorf("Verifier: %v", err)
	}
	if _, err := r.Browser(2, []byte("t")); !errors.Is(err, ErrOpen) {
		t.Errorf("Browser: %v", err)
	}
	// The same id with another secret is another key.
	if err := r.Set(Key{ID: 2, Secret: bytes.Repeat([]byte{9}, KeySize)}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Open(State, issuer, text, time.Hour); !errors.Is(err, ErrOpen) {
		t.Errorf("under another key of that id: %v", err)
	}
}

func TestKeysThatCannotBeAreRefusedAndTheOldOnesStay(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	text := r.Seal(State, issuer, []byte("v"))
	for name, all := range map[string][]Key{
		"none": {}, "a short one": {{ID: 2, Secret: []byte("short")}}, "one id twice": {fixed(2), fixed(2)},
	} {
		if r.Set(all...) == nil {
			t.Errorf("%s: was taken", name)
		}
		if _, err := r.Open(State, issuer, text, time.Hour); err != nil || r.Primary() != 1 {
			t.Errorf("%s: %v, primary %d", name, err, r.Primary())
		}
	}
}

func TestAnUnknownKeyIsAskedForOnceAndAKnownOneNever(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	known, theirs, never := r.Seal(State, issuer, nil), ring(t, c, fixed(2)).Seal(State, issuer, nil), ring(t, c, fixed(3)).Seal(State, issuer, nil)
	var asked []byte
	r.OnUnknown(func(id byte) error {
		asked = append(asked, id)
		return r.Set(fixed(2), fixed(1))
	})
	for _, text := range []string{known, theirs, theirs} {
		if _, err := r.Open(State, issuer, text, time.Hour); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Open(State, issuer, never, time.Hour); !errors.Is(err, ErrOpen) {
		t.Error(err)
	}
	if !bytes.Equal(asked, []byte{2, 3}) {
		t.Errorf("asked for %v", asked)
	}
}

func TestAKeyThatCouldNotBeLookedForIsNoUnknownOne(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	theirs := ring(t, c, fixed(2)).Seal(State, issuer, nil)
	r.OnUnknown(func(byte) error { return errors.New("the database is away") })
	if _, err := r.Open(State, issuer, theirs, time.Hour); !errors.Is(err, ErrKeyUnread) || errors.Is(err, ErrOpen) {
		t.Errorf("a value: %v", err)
	}
	if _, err := r.Verifier(2, []byte("t")); !errors.Is(err, ErrKeyUnread) {
		t.Errorf("a verifier: %v", err)
	}
	if _, err := r.Open(State, issuer, r.Seal(State, issuer, nil), time.Hour); err != nil {
		t.Errorf("a value under a key that is there: %v", err)
	}
}

func TestKeysThatMayBeRevokedOpenNothing(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	text := r.Seal(State, issuer, []byte("v"))
	believed := false
	r.OnUse(func() bool { return believed })
	if v, err := r.Open(State, issuer, text, time.Hour); !errors.Is(err, ErrStale) || errors.Is(err, ErrOpen) || v != nil {
		t.Errorf("%q %v", v, err)
	}
	if err := r.Usable(); !errors.Is(err, ErrStale) {
		t.Errorf("usable: %v", err)
	}
	if _, err := r.Open(State, issuer, "nonsense", time.Hour); !errors.Is(err, ErrOpen) {
		t.Errorf("what nobody sealed, with whatever key: %v", err)
	}
	believed = true
	if v, err := r.Open(State, issuer, text, time.Hour); err != nil || string(v) != "v" || r.Usable() != nil {
		t.Errorf("confirmed again: %q %v", v, err)
	}
}

// TestKeysAreSwappedWhileTheyAreUsed is for the race detector: whatever a call
// seals with one set of keys opens with the next one that still has its key.
func TestKeysAreSwappedWhileTheyAreUsed(t *testing.T) {
	r := ring(t, &clock{time.Unix(1e9, 0)}, fixed(1))
	var users sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		users.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				id := r.Primary()
				text := r.Seal(Code, issuer, []byte("v"))
				if _, err := r.Open(Code, issuer, text, time.Hour); err != nil {
					t.Errorf("round %d: %v", n, err)
					return
				}
				if _, err := r.Verifier(id, []byte("t")); err != nil {
					t.Errorf("round %d: %v", n, err)
					return
				}
			}
		})
	}
	all := []Key{fixed(1)}
	for id := byte(2); id < 40; id++ {
		all = append([]Key{fixed(id)}, all...)
		if err := r.Set(all...); err != nil {
			t.Fatal(err)
		}
	}
	close(done)
	users.Wait()
}

func BenchmarkSealAndOpen(b *testing.B) {
	start := time.Now()
	for name, keys := range map[string][]Key{
		"one key": {fixed(1)}, "while one waits": {from(2, start.Add(time.Hour)), fixed(1)}, "after a rotation": {fixed(2), fixed(1)},
	} {
		b.Run(name, func(b *testing.B) {
			r, err := NewRing(time.Now, keys...)
			if err != nil {
				b.Fatal(err)
			}
			value := make([]byte, 120)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := r.Open(State, issuer, r.Seal(State, issuer, value), time.Hour); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
