package storetest

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/seal"
	"onedoor/store"
)

func domainsAdmitted(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	put(t, a, label("acme"), label("evil"))
	claim := store.Domain{App: "web", Origin: "https://portal.acme.example"}
	// Who claims first and proves nothing is in nobody's way.
	evil, err := a.SetDomain(ctx, anna, "evil", claim, 0)
	must(t, err)
	acme, err := a.SetDomain(ctx, anna, "acme", claim, 0)
	must(t, err)
	if acme.Sites != nil || acme.Domains[0].Token == evil.Domains[0].Token {
		t.Errorf("%+v", acme)
	}
	proven := acme.Domains[0]
	proven.VerifiedAt = 5
	again, err := b.SetDomain(ctx, store.Actor{Name: "onedoor", Via: "domains"}, "acme", proven, acme.Revision)
	must(t, err)
	same(t, again.Sites, map[string]string{"web": claim.Origin})
	stolen := evil.Domains[0]
	stolen.VerifiedAt = 6
	_, err = b.SetDomain(ctx, anna, "evil", stolen, evil.Revision)
	is(t, err, store.ErrExists)
	// Another origin was claimed while the proof for the first was looked for.
	moved, err := b.SetDomain(ctx, anna, "acme", store.Domain{App: "web", Origin: "https://new.acme.example"}, 0)
	must(t, err)
	same(t, moved.Sites, nil)
	_, err = a.SetDomain(ctx, anna, "acme", proven, again.Revision)
	is(t, err, store.ErrConflict)
	_, err = a.SetDomain(ctx, anna, "nobody", proven, 0)
	is(t, err, store.ErrNotFound)
	_, err = a.SetDomain(ctx, anna, "acme", store.Domain{App: "web"}, 0)
	is(t, err, store.ErrInvalid)

	// A put keeps the proof of what stays, and admits nothing.
	stolen, err = last(a.SetDomain(ctx, anna, "evil", stolen, 0))
	must(t, err)
	p := label("evil")
	p.Domains = []store.Domain{{App: "web", Origin: claim.Origin}, {App: "shop", Origin: "https://x.example", VerifiedAt: 9}}
	kept := put(t, a, p)[0]
	same(t, kept.Domains[1], stolen)
	same(t, kept.Sites, map[string]string{"web": claim.Origin})
	p.Domains = p.Domains[1:]
	p.Domains[0].Origin = "https://y.example"
	same(t, put(t, a, p)[0].Sites, nil)
	read, err := b.Tenant(ctx, "evil")
	must(t, err)
	if len(read.Domains) != 1 || read.Domains[0].Origin != "https://y.example" {
		t.Errorf("%+v", read.Domains)
	}
	_, err = a.RemoveDomain(ctx, anna, "evil", "web", 0)
	is(t, err, store.ErrNotFound)
	read, err = a.RemoveDomain(ctx, anna, "evil", "shop", read.Revision)
	must(t, err)
	same(t, len(read.Domains), 0)
	// A removed tenant's domain can be another's.
	_, err = a.SetDomain(ctx, anna, "acme", proven, 0)
	must(t, err)
	must(t, a.RemoveTenant(ctx, anna, "acme", 0))
	_, err = a.SetDomain(ctx, anna, "evil", stolen, 0)
	must(t, err)
}

func last(t store.Tenant, err error) (store.Domain, error) {
	if err != nil {
		return store.Domain{}, err
	}
	return t.Domains[len(t.Domains)-1], nil
}

func domainsChecked(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	put(t, a, label("acme"))
	for _, app := range []string{"a", "b", "c"} {
		_, err := a.SetDomain(ctx, anna, "acme", store.Domain{App: app, Origin: "https://x.example"}, 0)
		must(t, err)
	}
	before := revision(t, a)
	// Each domain is one replica's to check.
	claims := make(chan int, parallel)
	race(t, a, b, nil, func(db *store.DB) error {
		due, err := db.ClaimDomains(ctx, false, time.Now().Unix()-60, 2)
		claims <- len(due)
		return err
	})
	close(claims)
	n := 0
	for c := range claims {
		n += c
	}
	same(t, n, 3)
	due, err := a.ClaimDomains(ctx, false, time.Now().Unix()+60, 1)
	must(t, err)
	due[0].FailingSince, due[0].Misses = 77, 2
	must(t, b.DomainChecked(ctx, due[0]))
	other := due[0]
	other.Token, other.FailingSince = "replaced since", 99
	must(t, b.DomainChecked(ctx, other))
	got, err := a.Tenant(ctx, "acme")
	must(t, err)
	i := slices.IndexFunc(got.Domains, func(d store.Domain) bool { return d.App == due[0].App })
	same(t, got.Domains[i].FailingSince, 77)
	same(t, got.Domains[i].Misses, 2)
	same(t, revision(t, a), before)
	// Those that are admitted have a queue of their own, without those that
	// need no proof.
	for i, app := range []string{"a", "b"} {
		_, err := a.SetDomain(ctx, anna, "acme", store.Domain{App: app, Origin: "https://x.example", VerifiedAt: 1, Trusted: i == 0}, 0)
		must(t, err)
	}
	due, err = b.ClaimDomains(ctx, true, time.Now().Unix()+60, 9)
	must(t, err)
	if len(due) != 1 || due[0].App != "b" {
		t.Errorf("%+v", due)
	}
}

func auditLog(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	put(t, a, label("acme"), label("globex"))
	suspended := label("acme")
	suspended.Notes = "left"
	put(t, b, suspended)
	must(t, a.RemoveTenant(ctx, store.Actor{Name: "ci", Via: "api"}, "acme", 0))
	must(t, a.AddToken(ctx, anna, store.Token{ID: "1", Name: "ci", Hash: "hash-of-secret", Scopes: []string{"read"}}))
	_, err := a.SealKeys(ctx)
	must(t, err)
	all, err := b.Audit(ctx, store.AuditQuery{})
	must(t, err)
	var lines []string
	for i, e := range all {
		if e.ID != int64(len(all)-i) || e.At == 0 {
			t.Errorf("%+v", e)
		}
		lines = append(lines, e.Actor.Name+" "+e.Actor.Via+" "+e.Action+" "+e.Subject)
	}
	slices.Reverse(lines)
	same(t, lines, []string{
		"anna cli tenant.add tenant/acme", "anna cli tenant.add tenant/globex", "anna cli tenant.set tenant/acme",
		"ci api tenant.remove tenant/acme", "anna cli token.add token/1", "onedoor start key.add key/1",
	})
	same(t, revision(t, a), int64(len(all)))
	text, err := json.Marshal(all)
	must(t, err)
	keys, err := a.SealKeys(ctx)
	must(t, err)
	if strings.Contains(string(text), "hash-of-secret") || strings.Contains(string(text), string(must1(json.Marshal(keys[0].Secret)))) {
		t.Errorf("a secret is in the log: %s", text)
	}
	of, err := b.Audit(ctx, store.AuditQuery{Tenant: "acme", Limit: 2})
	must(t, err)
	if len(of) != 2 || of[0].Action != "tenant.remove" || of[0].After != nil || !strings.Contains(string(of[0].Before), `"notes":"left"`) {
		t.Errorf("%+v", of)
	}
	of, err = b.Audit(ctx, store.AuditQuery{Tenant: "acme", After: of[1].ID})
	must(t, err)
	if len(of) != 1 || of[0].Action != "tenant.add" || of[0].Before != nil {
		t.Errorf("%+v", of)
	}
	of, err = b.Audit(ctx, store.AuditQuery{Subject: "token/1"})
	must(t, err)
	same(t, len(of), 1)
}

func must1(b []byte, err error) []byte {
	if err != nil {
		panic(err) // of a test's own value
	}
	return b
}

func tokens(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	tok := store.Token{ID: "1", Name: "ci", Hash: "h1", Scopes: []string{"tenants:read", "tenants:write"}, ExpiresAt: 99}
	must(t, a.AddToken(ctx, anna, tok))
	before := revision(t, a)
	for _, taken := range []store.Token{{ID: "1", Name: "x", Hash: "x"}, {ID: "x", Name: "ci", Hash: "x"}, {ID: "x", Name: "x", Hash: "h1"}} {
		is(t, b.AddToken(ctx, anna, taken), store.ErrExists)
	}
	same(t, revision(t, b), before)
	got, err := b.TokenByHash(ctx, "h1")
	must(t, err)
	if got.CreatedAt == 0 {
		t.Error("no time")
	}
	tok.CreatedAt = got.CreatedAt
	same(t, got, tok)
	must(t, a.AddToken(ctx, anna, store.Token{ID: "2", Name: "anna", Hash: "h2"}))
	all, err := b.Tokens(ctx)
	must(t, err)
	same(t, []string{all[0].Name, all[1].Name}, []string{"anna", "ci"})
	must(t, b.RemoveToken(ctx, anna, "1"))
	is(t, a.RemoveToken(ctx, anna, "1"), store.ErrNotFound)
	_, err = a.TokenByHash(ctx, "h1")
	is(t, err, store.ErrNotFound)
}

func sealKeysChange(t *testing.T, a, b *store.DB) {
	ctx := t.Context()
	first, err := a.SealKeys(ctx)
	must(t, err)
	is(t, a.RemoveSealKey(ctx, anna, first[0].ID), store.ErrLastKey)
	is(t, a.RemoveSealKey(ctx, anna, 200), store.ErrNotFound)
	second, err := b.AddSealKey(ctx, anna)
	must(t, err)
	keys, err := a.SealKeys(ctx)
	must(t, err)
	same(t, keys, []store.SealKey{second, first[0]})
	must(t, a.RemoveSealKey(ctx, anna, first[0].ID))
	keys, err = b.SealKeys(ctx)
	must(t, err)
	same(t, keys, []store.SealKey{second})
	_, err = a.AddSealKeyAfter(ctx, anna, first[0])
	is(t, err, store.ErrConflict)
	third, err := a.AddSealKeyAfter(ctx, anna, second)
	must(t, err)
	_, err = b.AddSealKeyAfter(ctx, anna, second)
	is(t, err, store.ErrConflict)
	// The newest is not replaced by an older one.
	fourth, err := a.RevokeSealKey(ctx, anna, third.ID)
	must(t, err)
	made, err := b.RevokeSealKey(ctx, anna, second.ID)
	must(t, err)
	if made != nil {
		t.Error("another key was made for one that did not seal")
	}
	_, err = b.RevokeSealKey(ctx, anna, third.ID)
	is(t, err, store.ErrNotFound)
	keys, err = b.SealKeys(ctx)
	must(t, err)
	same(t, keys, []store.SealKey{*fourth})
	fifth, err := b.RevokeSealKey(ctx, anna, fourth.ID)
	must(t, err)
	keys, err = a.SealKeys(ctx)
	must(t, err)
	same(t, keys, []store.SealKey{*fifth})
	same(t, []byte{second.ID, third.ID, fourth.ID, fifth.ID}, []byte{2, 3, 4, 5})
}

// keyNumbers: numbers begin again after 255, and never mean two keys to what was
// sealed within the time that sealed values live.
func keyNumbers(t *testing.T, a *store.DB, forward func(time.Duration)) {
	ctx := t.Context()
	keys, err := a.SealKeys(ctx)
	must(t, err)
	last, seen := keys[0], map[byte]bool{keys[0].ID: true}
	for left := 254; left >= 0; left-- {
		next, err := a.AddSealKey(ctx, anna)
		must(t, err)
		if seen[next.ID] {
			t.Fatalf("number %d twice within a moment", next.ID)
		}
		seen[next.ID] = true
		if left > 0 {
			must(t, a.RemoveSealKey(ctx, anna, last.ID))
			last = next
		}
	}
	_, err = a.AddSealKey(ctx, anna)
	is(t, err, store.ErrTooMany)
	// The newest can be revoked all the same, as long as there is another.
	made, err := a.RevokeSealKey(ctx, anna, last.ID+1)
	must(t, err)
	if made != nil {
		t.Errorf("key %d was made where no number was left", made.ID)
	}
	keys, err = a.SealKeys(ctx)
	must(t, err)
	same(t, keys, []store.SealKey{last})
	_, err = a.RevokeSealKey(ctx, anna, last.ID)
	is(t, err, store.ErrTooMany)
	forward(47 * time.Hour)
	_, err = a.AddSealKey(ctx, anna)
	is(t, err, store.ErrTooMany)
	forward(time.Hour)
	next, err := a.AddSealKey(ctx, anna)
	must(t, err)
	same(t, next.ID, last.ID+1)
	keys, err = a.SealKeys(ctx)
	must(t, err)
	same(t, keys, []store.SealKey{next, last})
}

// keysAtRest: of three databases that are one, plain has no key, first and
// second have one each.
func keysAtRest(t *testing.T, open func(...byte) *store.DB) {
	ctx := t.Context()
	plain, first, both, second := open(), open(1), open(2, 1), open(2)
	signing := store.SigningKey{ID: "k", Alg: "ES256", PrivateKey: []byte("private"), CreatedAt: 1}
	sealing, err := plain.SealKeys(ctx)
	must(t, err)
	must(t, plain.AddFirstSigningKey(ctx, signing))
	count := func(db *store.DB, want int) {
		t.Helper()
		n, err := db.NotEncrypted(ctx)
		must(t, err)
		same(t, n, want)
	}
	reads := func(db *store.DB) {
		t.Helper()
		keys, err := db.SealKeys(ctx)
		must(t, err)
		same(t, keys, sealing)
		all, err := db.SigningKeys(ctx)
		must(t, err)
		same(t, all, []store.SigningKey{signing})
	}
	cannot := func(db *store.DB) {
		t.Helper()
		_, err := db.SealKeys(ctx)
		is(t, err, seal.ErrOtherKey)
		_, err = db.SigningKeys(ctx)
		is(t, err, seal.ErrOtherKey)
		_, err = db.Reencrypt(ctx, anna)
		is(t, err, seal.ErrOtherKey)
	}
	count(plain, 0)
	count(first, 2)
	reads(first) // from before there was a key
	n, err := first.Reencrypt(ctx, anna)
	must(t, err)
	same(t, n, 2)
	reads(first)
	reads(both)
	count(first, 0)
	count(both, 2)
	cannot(plain)
	cannot(second)
	n, err = both.Reencrypt(ctx, anna)
	must(t, err)
	same(t, n, 2)
	n, err = both.Reencrypt(ctx, anna)
	must(t, err)
	same(t, n, 0)
	reads(second)
	cannot(first)
	added, err := second.AddSealKey(ctx, anna)
	must(t, err)
	keys, err := both.SealKeys(ctx)
	must(t, err)
	same(t, keys, []store.SealKey{added, sealing[0]})
	cannot(first)
	count(second, 0)
	log, err := second.Audit(ctx, store.AuditQuery{})
	must(t, err)
	same(t, []string{log[0].Action, log[1].Action, log[2].Action}, []string{"key.add", "key.reencrypt", "key.reencrypt"})
}

func watch(t *testing.T, a, b *store.DB) {
	ctx, cancel := context.WithCancel(t.Context())
	calls, ended := make(chan struct{}, 100), make(chan struct{})
	go func() {
		defer close(ended)
		b.Watch(ctx, func() {
			select {
			case calls <- struct{}{}:
			default:
			}
		})
	}()
	<-calls // what was there before
	seen := func(what string) {
		t.Helper()
		late := time.After(time.Second)
		want := revision(t, a)
		for {
			select {
			case <-calls:
				if revision(t, b) == want {
					return
				}
			case <-late:
				t.Errorf("nobody heard of %s within a second", what)
				return
			}
		}
	}
	put(t, a, label("acme"))
	seen("a tenant")
	_, err := a.AddSealKey(ctx, anna)
	must(t, err)
	seen("a key")
	must(t, b.AddToken(ctx, anna, store.Token{ID: "1", Name: "ci", Hash: "h"}))
	seen("a token")
	cancel()
	<-ended
}
