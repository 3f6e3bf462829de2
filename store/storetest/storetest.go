// Package storetest is the suite that every database passes. A database is
// right when Run passes on it, and what Run does not ask for may differ.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onedoor/seal"
	"onedoor/store"
)

// Run runs the suite. Each call of open in one test opens the same database
// again, as another process would; the first finds it empty.
func Run(t *testing.T, open func(t *testing.T, o store.Options) *store.DB) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, *store.DB, *store.DB)
	}{
		{"tenants are kept, and written over the revision that was read", tenantsKept},
		{"tenants are listed page by page", tenantsPaged},
		{"a batch is all or nothing, and names its wrong rows", batchIsAllOrNothing},
		{"a row that nobody could keep is refused", badRows},
		{"the label of a removed tenant rests", labelRests},
		{"of sixteen who add or change one tenant one gets through", oneNewTenant},
		{"who follows the revisions misses nothing", nothingIsMissed},
		{"the whole registry is read at one revision", wholeRegistry},
		{"a domain is admitted once it is proven, and one tenant's", domainsAdmitted},
		{"a domain is checked by one replica", domainsChecked},
		{"every change is in the audit log, and no secret", auditLog},
		{"admin tokens are kept as hashes", tokens},
		{"sealing keys are added and removed", sealKeysChange},
		{"a change is heard of within a second", watch},
		{"users are kept, and their names are one person's", users},
		{"clients are kept with their lists", clients},
		{"of sixteen who redeem one code one gets through", oneCode},
		{"of sixteen who use one refresh token one gets through", oneRefreshToken},
		{"a spent refresh token is recognised", spentRefreshToken},
		{"a grant is revoked whoever holds an older version", revoke},
		{"of sixteen who finish one login one gets through", oneLogin},
		{"a browser session replaces the one before it", browserSessions},
		{"a user who is removed is logged out everywhere", removeUser},
		{"a client that is removed loses its grants", removeClient},
		{"everybody gets the same sealing keys", sealKeys},
		{"everybody gets the same signing keys", signingKeys},
		{"what expired is pruned, and nothing else", prune},
		{"the legs of a login are joined, in whatever order they come", legsAreJoined},
		{"sixteen who write the same logins neither fail nor lose one", legsAtOnce},
		{"logins are found by tenant, app, rule, time and failure", loginsAreFound},
		{"the funnel counts how far logins came", funnels},
		{"old logins are pruned, and those beyond a number", loginsArePruned},
		{"legs are pruned, however many one login has", legsArePruned},
		{"of sixteen who would warn one does", oneWarns},
		{"what is wrong with logins is kept, and since when", verdictsKept},
		{"of sixteen replicas one verifies, and another goes on from there", oneVerifies},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, open(t, store.Options{}), open(t, store.Options{})) })
	}
	t.Run("a sealing key's number rests before it is another's", func(t *testing.T) {
		now := time.Now()
		keyNumbers(t, open(t, store.Options{Now: func() time.Time { return now }}), func(d time.Duration) { now = now.Add(d) })
	})
	t.Run("the audit log is read by who and when, and its oldest entries go", func(t *testing.T) {
		now := time.Unix(1_790_000_000, 0)
		auditPruned(t, open(t, store.Options{Now: func() time.Time { return now }}), func(d time.Duration) { now = now.Add(d) })
	})
	t.Run("private keys are encrypted, and again under another key", func(t *testing.T) {
		keysAtRest(t, func(keys ...byte) *store.DB { return open(t, store.Options{Encryption: box(t, keys...)}) })
	})
	few := store.Options{RestFor: -1, MaxTenants: 3}
	t.Run("a rested label is free, for another ID", func(t *testing.T) { labelIsFreeAgain(t, open(t, few), open(t, few)) })
}

// box encrypts under the keys of these numbers; nil without any.
func box(t *testing.T, numbers ...byte) *seal.Box {
	if len(numbers) == 0 {
		return nil
	}
	keys := make([][]byte, len(numbers))
	for i, n := range numbers {
		keys[i] = make([]byte, seal.KeySize)
		for j := range keys[i] {
			keys[i][j] = 100*n + byte(j)
		}
	}
	b, err := seal.NewBox(keys...)
	must(t, err)
	return b
}

const parallel = 16

// race runs f sixteen times at once, over two connections of the same database,
// and returns how many calls gave no error. Any error but want fails the test.
func race(t *testing.T, a, b *store.DB, want error, f func(db *store.DB) error) int64 {
	t.Helper()
	var won atomic.Int64
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range parallel {
		db := a
		if i%2 == 1 {
			db = b
		}
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			switch err := f(db); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, want):
				t.Errorf("%v, want %v", err, want)
			}
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return won.Load()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T any](t *testing.T, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func is(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func users(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	u := store.User{ID: "u1", Username: "mika", Name: "Mika 美香", Email: "mika@example.com", EmailVerified: true, Password: "x", Status: "active", CreatedAt: 1, UpdatedAt: 2}
	must(t, a.AddUser(ctx, u))
	is(t, a.AddUser(ctx, u), store.ErrExists)
	is(t, a.AddUser(ctx, store.User{ID: "u2", Username: "mika"}), store.ErrExists)
	got, err := b.UserByName(ctx, "mika")
	must(t, err)
	same(t, got, u)
	_, err = b.User(ctx, "nobody")
	is(t, err, store.ErrNotFound)

	must(t, a.AddUser(ctx, store.User{ID: "u2", Username: "anna"}))
	is(t, a.SetUser(ctx, store.User{ID: "u2", Username: "mika"}), store.ErrExists)
	is(t, a.SetUser(ctx, store.User{ID: "u3", Username: "eve"}), store.ErrNotFound)
	u.Name, u.UpdatedAt = "Mika", 3
	must(t, a.SetUser(ctx, u))
	all, err := b.Users(ctx)
	must(t, err)
	same(t, all, []store.User{{ID: "u2", Username: "anna"}, u})
}

func clients(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	c := store.Client{
		ID: "c1", Name: "Atlas", Type: "confidential", SecretHash: "h", RedirectURIs: []string{"https://a.example/cb?x=1", "http://127.0.0.1/"},
		PostLogoutURIs: []string{"https://a.example/"}, IDTokenAlg: "ES256", RequirePushedRequests: true, CreatedAt: 1, UpdatedAt: 2,
	}
	must(t, a.AddClient(ctx, c))
	is(t, b.AddClient(ctx, c), store.ErrExists)
	got, err := b.Client(ctx, "c1")
	must(t, err)
	same(t, got, c)
	c.RedirectURIs = nil
	must(t, b.SetClient(ctx, c))
	all, err := a.Clients(ctx)
	must(t, err)
	same(t, all, []store.Client{c})
	must(t, a.RemoveClient(ctx, "c1"))
	_, err = b.Client(ctx, "c1")
	is(t, err, store.ErrNotFound)
	is(t, b.SetClient(ctx, c), store.ErrNotFound)
	is(t, b.RemoveClient(ctx, "c1"), store.ErrNotFound)
}

func grant(id string) store.Grant {
	return store.Grant{ID: id, ClientID: "c", Subject: "u", CodeHash: "code-" + id, Body: "{}", CreatedAt: 1, ExpiresAt: 100}
}

func oneCode(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	must(t, a.SaveGrant(ctx, grant("one-code")))
	read, err := a.GrantByCode(ctx, "code-one-code")
	must(t, err)
	won := race(t, a, b, store.ErrConflict, func(db *store.DB) error {
		g := read
		g.Body = `{"consumed":true}`
		return db.SaveGrant(ctx, g)
	})
	if won != 1 {
		t.Errorf("%d redeemed the code", won)
	}
}

func oneRefreshToken(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	g := grant("one-refresh")
	g.NewRefreshHash = "r0"
	must(t, a.SaveGrant(ctx, g))
	read, spent, err := b.GrantByRefreshToken(ctx, "r0")
	must(t, err)
	if spent {
		t.Fatal("a fresh token is spent")
	}
	var n atomic.Int64
	won := race(t, a, b, store.ErrConflict, func(db *store.DB) error {
		g := read
		g.NewRefreshHash = fmt.Sprint("r0-", n.Add(1))
		return db.SaveGrant(ctx, g)
	})
	if won != 1 {
		t.Errorf("%d used the refresh token", won)
	}
	good := 0
	for i := range parallel {
		_, spent, err := a.GrantByRefreshToken(ctx, fmt.Sprint("r0-", i+1))
		if err == nil && !spent {
			good++
		}
	}
	if good != 1 {
		t.Errorf("%d refresh tokens are good", good)
	}
}

func spentRefreshToken(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	g := grant("spent")
	g.NewRefreshHash = "s0"
	must(t, a.SaveGrant(ctx, g))
	g.Version, g.NewRefreshHash = 1, "s1"
	must(t, b.SaveGrant(ctx, g))
	g.Version, g.NewRefreshHash = 2, "" // saved for another reason: the token stays good
	must(t, b.SaveGrant(ctx, g))
	for hash, want := range map[string]bool{"s0": true, "s1": false} {
		got, spent, err := a.GrantByRefreshToken(ctx, hash)
		must(t, err)
		if spent != want || got.ID != "spent" || got.Version != 3 {
			t.Errorf("%s: spent %v of %+v", hash, spent, got)
		}
	}
	_, _, err := a.GrantByRefreshToken(ctx, "s2")
	is(t, err, store.ErrNotFound)
}

func revoke(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	g := grant("revoke")
	must(t, a.SaveGrant(ctx, g))
	g.Version = 1
	must(t, b.RevokeGrant(ctx, "revoke", 50))
	must(t, b.RevokeGrant(ctx, "revoke", 60))
	must(t, b.RevokeGrant(ctx, "no such grant", 60))
	is(t, a.SaveGrant(ctx, g), store.ErrConflict)
	got, err := a.Grant(ctx, "revoke")
	must(t, err)
	if got.RevokedAt != 50 {
		t.Errorf("revoked at %d, want 50", got.RevokedAt)
	}
}

func oneLogin(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	must(t, a.SaveAuthSession(ctx, store.AuthSession{ID: "l", PARHash: "p", Body: "{}", ExpiresAt: 100}))
	is(t, b.SaveAuthSession(ctx, store.AuthSession{ID: "l", Body: "{}", ExpiresAt: 100}), store.ErrConflict)
	read, err := b.AuthSessionByPAR(ctx, "p")
	must(t, err)
	read.PARHash = ""
	if won := race(t, a, b, store.ErrConflict, func(db *store.DB) error { return db.SaveAuthSession(ctx, read) }); won != 1 {
		t.Errorf("%d finished the login", won)
	}
	_, err = b.AuthSessionByPAR(ctx, "p")
	is(t, err, store.ErrNotFound)
	got, err := a.AuthSession(ctx, "l")
	must(t, err)
	same(t, got, store.AuthSession{ID: "l", Body: "{}", Version: 2, ExpiresAt: 100})
}

func browserSessions(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	first := store.BrowserSession{Hash: "b1", SID: "s1", UserID: "u", AuthTime: 1, ExpiresAt: 100}
	must(t, a.AddBrowserSession(ctx, first, ""))
	second := store.BrowserSession{Hash: "b2", SID: "s2", UserID: "u", AuthTime: 2, ExpiresAt: 100}
	must(t, a.AddBrowserSession(ctx, second, "b1"))
	_, err := b.BrowserSession(ctx, "b1")
	is(t, err, store.ErrNotFound)
	got, err := b.BrowserSession(ctx, "b2")
	must(t, err)
	same(t, got, second)
	must(t, b.RemoveBrowserSession(ctx, "b2"))
	_, err = a.BrowserSession(ctx, "b2")
	is(t, err, store.ErrNotFound)
}

func removeUser(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	must(t, a.AddUser(ctx, store.User{ID: "gone", Username: "gone"}))
	g := grant("of-gone")
	g.Subject, g.NewRefreshHash = "gone", "refresh-gone"
	for _, end := range []func(context.Context, string) error{b.LogoutUser, b.RemoveUser} {
		must(t, a.AddBrowserSession(ctx, store.BrowserSession{Hash: "b-gone", UserID: "gone", ExpiresAt: 100}, ""))
		must(t, a.SaveGrant(ctx, g))
		must(t, end(ctx, "gone"))
		_, err := a.BrowserSession(ctx, "b-gone")
		is(t, err, store.ErrNotFound)
		_, err = a.Grant(ctx, "of-gone")
		is(t, err, store.ErrNotFound)
		_, _, err = a.GrantByRefreshToken(ctx, "refresh-gone")
		is(t, err, store.ErrNotFound)
	}
	is(t, a.RemoveUser(ctx, "gone"), store.ErrNotFound)
}

func removeClient(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	must(t, a.AddClient(ctx, store.Client{ID: "gone"}))
	g := grant("of-client")
	g.ClientID = "gone"
	must(t, a.SaveGrant(ctx, g))
	must(t, b.RemoveClient(ctx, "gone"))
	_, err := a.Grant(ctx, "of-client")
	is(t, err, store.ErrNotFound)
}

func sealKeys(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	var mu sync.Mutex
	var all [][]store.SealKey
	race(t, a, b, nil, func(db *store.DB) error {
		keys, err := db.SealKeys(ctx)
		mu.Lock()
		defer mu.Unlock()
		all = append(all, keys)
		return err
	})
	if len(all[0]) != 1 || len(all[0][0].Secret) != seal.KeySize {
		t.Fatalf("%d keys", len(all[0]))
	}
	for _, keys := range all {
		same(t, keys, all[0])
	}
}

func signingKeys(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	var n atomic.Int64
	race(t, a, b, nil, func(db *store.DB) error {
		return db.AddFirstSigningKey(ctx, store.SigningKey{ID: fmt.Sprint("k", n.Add(1)), Alg: "ES256", PrivateKey: []byte{1, 2}, CreatedAt: 1})
	})
	must(t, b.AddFirstSigningKey(ctx, store.SigningKey{ID: "rsa", Alg: "RS256", PrivateKey: []byte{3}, CreatedAt: 1}))
	keys, err := a.SigningKeys(ctx)
	must(t, err)
	if len(keys) != 2 || keys[0].Alg != "ES256" {
		t.Fatalf("%+v", keys)
	}
	same(t, keys[1], store.SigningKey{ID: "rsa", Alg: "RS256", PrivateKey: []byte{3}, CreatedAt: 1})
}

func prune(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	for _, at := range []int64{1000, 2000} {
		id := fmt.Sprint("prune-", at)
		g := grant(id)
		g.ExpiresAt, g.NewRefreshHash = at, "r-"+id
		must(t, a.SaveGrant(ctx, g))
		must(t, a.SaveAuthSession(ctx, store.AuthSession{ID: id, Body: "{}", ExpiresAt: at}))
		must(t, a.AddBrowserSession(ctx, store.BrowserSession{Hash: id, UserID: "u", ExpiresAt: at}, ""))
		must(t, a.KeepState(ctx, id, "value of "+id, at))
	}
	is(t, b.KeepState(ctx, "prune-2000", "another", 2000), store.ErrExists)
	must(t, b.Prune(ctx, 1500))
	for id, want := range map[string]error{"prune-1000": store.ErrNotFound, "prune-2000": nil} {
		_, err := a.Grant(ctx, id)
		is(t, err, want)
		_, _, err = a.GrantByRefreshToken(ctx, "r-"+id)
		is(t, err, want)
		_, err = a.AuthSession(ctx, id)
		is(t, err, want)
		_, err = a.BrowserSession(ctx, id)
		is(t, err, want)
		value, err := a.KeptState(ctx, id)
		is(t, err, want)
		if err == nil && value != "value of "+id {
			t.Errorf("kept state is %q", value)
		}
	}
}
