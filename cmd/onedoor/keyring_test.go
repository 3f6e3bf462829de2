package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"onedoor/admin"
	"onedoor/seal"
	"onedoor/store"
)

// ticking is a clock that a test moves, and that may be wrong.
type ticking struct {
	mu sync.Mutex
	t  time.Time
}

func (c *ticking) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *ticking) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// wrong is the same clock, that far off.
func (c *ticking) wrong(by time.Duration) func() time.Time {
	return func() time.Time { return c.now().Add(by) }
}

var testTimes = keyTimes{stale: 15 * time.Minute, login: time.Hour, code: 2 * time.Minute, rotate: 30 * 24 * time.Hour}

// testKeyring opens the keys of a database as a replica with that clock does.
func testKeyring(t *testing.T, file string, now func() time.Time) *keyring {
	t.Helper()
	cfg := parse(t, file)
	box, err := cfg.Box()
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), string(cfg.Database), store.Options{Encryption: box, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	k, err := openKeyring(t.Context(), db, discard, func() keyTimes { return testTimes }, now)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *keyring) mustRefresh(t *testing.T) {
	t.Helper()
	if err := k.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func ids(keys []store.SealKey) (out []byte) {
	for _, k := range keys {
		out = append(out, k.ID)
	}
	return out
}

const embeddedYAML = "public_url: http://auth.localhost\nlisten: 127.0.0.1:0\nprovider: {embedded: {}}\n"

// TestClocksThatDifferByAMinuteLoseNothingInARotation: what any replica seals
// opens at every other at every moment, although each has its own idea of when
// the key was made.
func TestClocksThatDifferByAMinuteLoseNothingInARotation(t *testing.T) {
	file, c := write(t, embeddedYAML), &ticking{t: time.Unix(1_800_000_000, 0)}
	var replicas []*keyring
	for _, off := range []time.Duration{0, -30 * time.Second, 30 * time.Second} {
		replicas = append(replicas, testKeyring(t, file, c.wrong(off)))
	}
	c.forward(3 * time.Hour) // the first key is old by now
	for _, k := range replicas {
		k.mustRefresh(t)
	}
	// The one whose clock is ahead makes a key; the others learn of it in their time.
	if _, err := replicas[2].db.AddSealKey(t.Context(), operator()); err != nil {
		t.Fatal(err)
	}
	learns := []int{9, 0, 5} // seconds after the rotation
	began := c.now()
	for second := range 100 {
		for i, k := range replicas {
			if second == learns[i] {
				k.mustRefresh(t)
			}
		}
		for i, k := range replicas {
			value := k.Seal(seal.State, "iss", nil)
			if id, want := k.Primary(), byte(1); second >= learns[i]+10 && id != 2 || second < learns[i]+10 && id != want {
				t.Fatalf("second %d: replica %d, which learnt of key 2 in second %d, seals with %d", second, i, learns[i], id)
			}
			for j, other := range replicas {
				if _, err := other.Open(seal.State, "iss", value, time.Hour); err != nil {
					t.Errorf("second %d: what %d sealed does not open at %d: %v", second, i, j, err)
				}
			}
		}
		c.forward(time.Second)
	}
	if got := c.now().Sub(began); got != 100*time.Second {
		t.Errorf("the clock went %s", got)
	}
}

func TestAReplicaThatStartsUsesAnOldKeyAtOnceAndANewOneInTime(t *testing.T) {
	file, c := write(t, embeddedYAML), &ticking{t: time.Unix(1_800_000_000, 0)}
	first := testKeyring(t, file, c.now)
	c.forward(time.Hour)
	if _, err := first.db.AddSealKey(t.Context(), operator()); err != nil {
		t.Fatal(err)
	}
	c.forward(69 * time.Second)
	if got := testKeyring(t, file, c.now).Primary(); got != 1 {
		t.Errorf("a key of a minute, which a replica whose clock is behind may not use yet: %d seals", got)
	}
	c.forward(time.Second)
	if got := testKeyring(t, file, c.now).Primary(); got != 2 {
		t.Errorf("a key that everybody knows: %d seals", got)
	}
}

func TestAnUnknownKeyIsLookedForAndNotTooOften(t *testing.T) {
	start := time.Unix(1_800_000_000, 0)
	file, theirs, ours := write(t, embeddedYAML), &ticking{t: start}, &ticking{t: start}
	a, b := testKeyring(t, file, theirs.now), testKeyring(t, file, ours.now)
	sealed := func() string { // under a key that b has not heard of
		t.Helper()
		if _, err := a.db.AddSealKey(t.Context(), operator()); err != nil {
			t.Fatal(err)
		}
		a.mustRefresh(t)
		theirs.forward(keyNotice)
		return a.Seal(seal.State, "iss", nil)
	}
	opens := func(text string) bool {
		_, err := b.Open(seal.State, "iss", text, time.Hour)
		return err == nil
	}
	if !opens(sealed()) {
		t.Error("the key of another replica was not looked for")
	}
	// Who makes up values gets few looks, and none is left for anybody else.
	for range 2 * keyLooks {
		if opens("AQ" + strings.Repeat("A", 200)) {
			t.Error("a value that nobody sealed opens")
		}
	}
	late := sealed()
	if opens(late) {
		t.Error("looks are not bounded")
	}
	ours.forward(time.Second / keyLooks)
	if !opens(late) {
		t.Error("a moment later the key was not looked for")
	}
}

// A value may be good that names a key which is not known, as long as nobody
// could look.
func TestAKeyThatCannotBeLookedForMayBeThere(t *testing.T) {
	file, theirs, ours := write(t, embeddedYAML), &ticking{t: time.Unix(1_800_000_000, 0)}, &ticking{t: time.Unix(1_800_000_000, 0)}
	a, b := testKeyring(t, file, theirs.now), testKeyring(t, file, ours.now)
	if _, err := a.db.AddSealKey(t.Context(), operator()); err != nil {
		t.Fatal(err)
	}
	a.mustRefresh(t)
	theirs.forward(keyNotice)
	text := a.Seal(seal.State, "iss", nil)
	open := func() error {
		_, err := b.Open(seal.State, "iss", text, time.Hour)
		return err
	}
	if err := b.db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, seal.ErrKeyUnread) {
		t.Errorf("without a database: %v", err)
	}
	for range 2 * keyLooks {
		_ = open()
	}
	if err := open(); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("looked for too often, and no such key can seal yet: %v", err)
	}
	ours.forward(keyNotice) // looks, too; and what was read is old
	for range 2 * keyLooks {
		_ = open()
	}
	if err := open(); !errors.Is(err, seal.ErrKeyUnread) {
		t.Errorf("looked for too often, and such a key may seal: %v", err)
	}
}

// A key may be revoked while the database is out of reach.
func TestKeysAreNotHonouredLongAfterTheyWereConfirmed(t *testing.T) {
	file, c := write(t, embeddedYAML), &ticking{t: time.Unix(1_800_000_000, 0)}
	k := testKeyring(t, file, c.now)
	text := k.Seal(seal.State, "iss", nil)
	open := func() error {
		_, err := k.Open(seal.State, "iss", text, 24*time.Hour)
		if usable := k.Usable(); (usable == nil) != (err == nil) {
			t.Errorf("opens: %v, seals: %v", err, usable)
		}
		return err
	}
	c.forward(testTimes.stale)
	k.mustRefresh(t) // which takes no time on this clock
	if err := k.db.Close(); err != nil {
		t.Fatal(err)
	}
	c.forward(testTimes.stale)
	if err := k.refresh(t.Context()); err == nil {
		t.Fatal("a database that is closed was read")
	}
	if err := open(); err != nil {
		t.Errorf("confirmed as long ago as tenants.stale_after: %v", err)
	}
	c.forward(time.Nanosecond)
	if err := open(); !errors.Is(err, seal.ErrStale) {
		t.Errorf("after that: %v", err)
	}
	var err error
	if k.db, err = openStore(t.Context(), parse(t, file)); err != nil {
		t.Fatal(err)
	}
	defer k.db.Close()
	k.mustRefresh(t)
	if err := open(); err != nil {
		t.Errorf("the database is back: %v", err)
	}
}

// What was read is as old as the question: a key may have been revoked after it
// was asked for.
func TestAConfirmationOfKeysIsAsOldAsItsQuestion(t *testing.T) {
	c := &ticking{t: time.Unix(1_800_000_000, 0)}
	var reading func()
	k := testKeyring(t, write(t, embeddedYAML), func() time.Time {
		now := c.now()
		if reading != nil {
			reading()
		}
		return now
	})
	reading = func() { reading = nil; c.forward(time.Minute) } // from the question on
	k.mustRefresh(t)
	if got := k.age(); got != time.Minute {
		t.Errorf("keys that were asked for a minute ago are %s old", got)
	}
}

// Who brings a key that nobody has does not wait for a reading that hangs.
func TestALookForAKeyDoesNotWaitForAReadingThatHangs(t *testing.T) {
	c := &ticking{t: time.Unix(1_800_000_000, 0)}
	k := testKeyring(t, write(t, embeddedYAML), c.now)
	<-k.turn // somebody reads, and the database does not answer
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.refresh(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	k.turn <- struct{}{}
	k.mustRefresh(t)
}

func TestAKeyIsRetiredWhenNothingThatItSealedIsLeft(t *testing.T) {
	file, c := write(t, embeddedYAML), &ticking{t: time.Unix(1_800_000_000, 0)}
	k, other := testKeyring(t, file, c.now), testKeyring(t, file, c.wrong(time.Minute))
	if _, err := k.db.AddSealKey(t.Context(), operator()); err != nil {
		t.Fatal(err)
	}
	made := c.now()
	tidy := func(at time.Duration, want ...byte) {
		t.Helper()
		c.forward(made.Add(at).Sub(c.now()))
		for _, k := range []*keyring{k, other} {
			if err := k.tidy(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		keys, err := k.db.SealKeys(t.Context())
		if err != nil || string(ids(keys)) != string(want) {
			t.Errorf("after %s: keys %v, want %v (%v)", at, ids(keys), want, err)
		}
	}
	// A door that did not reach the database for a quarter of an hour; the login
	// that it sealed last; its code.
	const needed = 15*time.Minute + keyNotice + time.Minute + time.Hour + 2*time.Minute
	tidy(0, 2, 1)
	tidy(needed, 2, 1)
	tidy(needed+5*time.Minute, 2)
	entries, err := k.db.Audit(t.Context(), store.AuditQuery{Subject: "key/1", Limit: 1})
	if err != nil || len(entries) != 1 || entries[0].Action != "key.remove" || entries[0].Actor != (store.Actor{Name: "onedoor", Via: "retired"}) {
		t.Errorf("audit log %+v %v", entries, err)
	}
	if k.Primary() != 2 || other.Primary() != 2 {
		t.Errorf("key %d and %d seal", k.Primary(), other.Primary())
	}
	// The only key stays, however old, until there is another.
	tidy(29*24*time.Hour, 2)
}

func TestOneOfManyReplicasRotates(t *testing.T) {
	file, c := write(t, embeddedYAML), &ticking{t: time.Unix(1_800_000_000, 0)}
	var replicas []*keyring
	for range 4 {
		replicas = append(replicas, testKeyring(t, file, c.now))
	}
	for round := range 3 {
		c.forward(testTimes.rotate)
		var all sync.WaitGroup
		for _, k := range replicas {
			all.Go(func() {
				if err := k.tidy(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		keys, err := replicas[0].db.SealKeys(t.Context())
		if err != nil || len(keys) != 2 || int(keys[0].ID) != round+2 {
			t.Errorf("round %d: keys %v %v", round, ids(keys), err)
		}
		c.forward(2 * time.Hour) // the older one goes
		for _, k := range replicas {
			if err := k.tidy(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestKeysAreListedRotatedAndRevokedWithoutTheirSecrets(t *testing.T) {
	file := write(t, embeddedYAML)
	code, out, errs := command(t, "key", "list", "-c", file)
	if code != 0 || !strings.HasPrefix(out, "ID  STATE  CREATED ") || !strings.Contains(out, "\n1   seals  2") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	code, out, errs = command(t, "key", "rotate", "--json", "-c", file)
	var keys []admin.Key
	if err := json.Unmarshal([]byte(out), &keys); err != nil || code != 0 {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	if len(keys) != 2 || keys[0].ID != 2 || keys[0].State != "waits" || keys[1].State != "seals" ||
		keys[0].SealsFrom.Sub(keys[0].CreatedAt) != keyNotice || keys[0].RetiresAt != nil || keys[1].RetiresAt.Before(keys[0].CreatedAt.Add(time.Hour+2*time.Minute)) {
		t.Errorf("%+v", keys)
	}
	db := open(t, file)
	stored, err := db.SealKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range stored {
		if strings.Contains(out, string(k.Secret)) || strings.Contains(out, seal.FormatBoxKey(k.Secret)) {
			t.Errorf("a secret is in %s", out)
		}
	}
	code, out, _ = command(t, "key", "revoke", "-c", file, "2")
	if code != 0 || out != "revoked 2; made 3 in its place\n" {
		t.Errorf("%d %s", code, out)
	}
	code, out, _ = command(t, "key", "revoke", "-c", file, "1")
	if code != 0 || out != "revoked 1\n" {
		t.Errorf("%d %s", code, out)
	}
	for _, id := range []string{"1", "2", "300"} {
		code, _, errs = command(t, "key", "revoke", "-c", file, id)
		if code != 1 || !strings.Contains(errs, "there is no key "+id) || !strings.Contains(errs, "hint: onedoor key list") {
			t.Errorf("%d %s", code, errs)
		}
	}
	entries, err := db.Audit(t.Context(), store.AuditQuery{Limit: 2})
	if err != nil || entries[0].Actor != operator() || entries[0].Subject != "key/1" {
		t.Errorf("%+v %v", entries, err)
	}
}

func TestKeysLieEncryptedInTheDatabase(t *testing.T) {
	_, key1, _ := command(t, "key", "generate")
	_, key2, _ := command(t, "key", "generate")
	plain := write(t, embeddedYAML)
	with := func(keys ...string) string {
		for i := range keys {
			keys[i] = strings.TrimSpace(keys[i])
		}
		return rewrite(t, plain, embeddedYAML+"encryption_key: \""+strings.Join(keys, " ")+"\"\n")
	}
	db := open(t, plain)
	stored, err := db.SealKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	one := with(key1)
	code, out, errs := command(t, "key", "reencrypt", "-c", one)
	if code != 0 || !strings.HasPrefix(out, "1 keys were encrypted") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	for _, command := range [][]string{{"key", "list"}, {"serve"}, {"key", "rotate"}, {"key", "revoke", "1"}} {
		r := startCommand(t, append(command, "-c", rewrite(t, plain, embeddedYAML))...)
		if code := r.exit(); code == 0 || !strings.Contains(r.err.String(), "ealing key 1 in the database is encrypted under another encryption_key") || !strings.Contains(r.err.String(), "hint: give that key too") {
			t.Errorf("%v without the key: %d %s", command, code, r.err)
		}
	}
	code, out, errs = command(t, "key", "reencrypt", "-c", with(key2, key1))
	if code != 0 || !strings.HasPrefix(out, "1 keys were encrypted") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	keys, err := open(t, with(key2)).SealKeys(t.Context())
	if err != nil || len(keys) != 1 || string(keys[0].Secret) != string(stored[0].Secret) {
		t.Errorf("%v %v", ids(keys), err)
	}
}

// Keys are read when a change is made, and not only now and then: the connection
// that hears of changes tells the key ring, too.
func TestTheKeyRingIsToldOfChanges(t *testing.T) {
	file := write(t, embeddedYAML)
	db := open(t, file)
	d, err := newDoor(t.Context(), parse(t, file), db, discard, doorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	defer watching.Wait()
	defer cancel()
	watching.Go(func() { _ = d.watch(ctx) })
	told := func(what string) {
		t.Helper()
		select {
		case <-d.keys.told:
		case <-time.After(30 * time.Second):
			t.Errorf("%s: it was not told", what)
		}
	}
	told("at the start")
	if _, err := db.AddSealKey(t.Context(), operator()); err != nil {
		t.Fatal(err)
	}
	told("of a new key")
}

func TestARotationAndARevocationReachEveryReplica(t *testing.T) {
	p := newIDP(t)
	file := write(t, p.yaml(""))
	a, b := startReplica(t, file, nil), startReplica(t, file, nil)
	before := a.begin("before")
	if code, _, errs := command(t, "key", "rotate", "-c", file); code != 0 {
		t.Fatal(errs)
	}
	for _, r := range []*replica{a, b} {
		until(t, "the new key to be known", func() bool { return strings.Contains(r.log.String(), "sealing keys changed") })
		if r.keys.Primary() != 1 {
			t.Error("the new key seals before every replica can know it")
		}
	}
	before.finish(b, a)
	doomed := b.begin("doomed")
	if code, _, errs := command(t, "key", "revoke", "-c", file, "1"); code != 0 {
		t.Fatal(errs)
	}
	until(t, "the revocation to be known", func() bool { return a.keys.Primary() == 2 && b.keys.Primary() == 2 })
	for _, r := range []*replica{a, b} {
		answer := doomed.callback(r)
		if answer.status != http.StatusBadRequest || answer.location != nil || !strings.Contains(answer.body, "sign in again") {
			t.Errorf("a login under a revoked key: %d %v %s", answer.status, answer.location, answer.body)
		}
	}
	a.begin("after").finish(b, a)
}
