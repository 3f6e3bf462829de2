package storetest

import (
	"context"
	"errors"
	"testing"

	"onedoor/store"
	"onedoor/tenant"
)

// Copy fills one database, copies it into another, which is empty, and looks
// there for what was in the first. It returns how many rows each table got.
func Copy(t *testing.T, from, to *store.DB) map[string]int {
	ctx := t.Context()
	fillAll(t, from)
	rows, err := to.CopyFrom(ctx, from, func(int) {})
	must(t, err)
	same(t, holds(t, to), holds(t, from))
	// What comes next is as it would have been: no revision and no ID is used
	// again, and the label of a removed tenant rests.
	_, err = to.PutTenants(ctx, anna, []store.TenantPut{label("gone")})
	is(t, err, store.ErrResting)
	before := revision(t, from)
	put(t, to, label("next"))
	same(t, revision(t, to), before+1)
	var full *store.NotEmptyError
	if _, err = to.CopyFrom(ctx, from, func(int) {}); !errors.As(err, &full) {
		t.Errorf("%v of a database that is not empty", err)
	}
	if _, err = to.Tenant(ctx, "next"); err != nil {
		t.Errorf("%v: a copy that was refused changed something", err)
	}
	return rows
}

// fillAll puts a row at least into every table.
func fillAll(t *testing.T, db *store.DB) {
	t.Helper()
	ctx := t.Context()
	var many []store.TenantPut
	for i := range 70 { // more than two statements' rows, and not whole ones
		many = append(many, label("t"+string(rune('a'+i%26))+string(rune('a'+i/26))))
	}
	put(t, db, many...)
	put(t, db, label("acme"), label("gone"))
	must(t, db.RemoveTenant(ctx, anna, "gone", 0))
	_, err := db.SetDomain(ctx, anna, "acme", store.Domain{App: "web", Origin: "https://portal.acme.example", VerifiedAt: 5, CheckedAt: 6, Trusted: true}, 0)
	must(t, err)
	must(t, db.AddToken(ctx, anna, store.Token{ID: "1", Name: "ci", Hash: "hash", Scopes: []string{"read"}, ExpiresAt: 9}))
	_, err = db.SealKeys(ctx)
	must(t, err)
	must(t, db.AddFirstSigningKey(ctx, store.SigningKey{ID: "k", Alg: "ES256", PrivateKey: []byte{1, 0, 2}, CreatedAt: 1}))
	must(t, db.AddUser(ctx, store.User{ID: "u", Username: "mika", Name: "Mika 美香", Password: "x", Status: "active", CreatedAt: 1}))
	must(t, db.AddClient(ctx, store.Client{ID: "c", RedirectURIs: []string{"https://x.example/cb"}}))
	g := grant("g")
	g.NewRefreshHash = "r"
	must(t, db.SaveGrant(ctx, g))
	must(t, db.SaveGrant(ctx, store.Grant{ID: "without a code", ClientID: "c", Subject: "u", Body: "{}", ExpiresAt: 100}))
	must(t, db.SaveAuthSession(ctx, store.AuthSession{ID: "l", PARHash: "p", Body: "{}", ExpiresAt: 100}))
	must(t, db.AddBrowserSession(ctx, store.BrowserSession{Hash: "b", SID: "s", UserID: "u", AuthTime: 1, ExpiresAt: 100}, ""))
	must(t, db.KeepState(ctx, "handle", "value", 2000))
	must(t, db.AddLegs(ctx, []store.LoginLeg{{Login: store.Login{ID: "login", Joined: true, Tenant: "acme", BeganAt: 1, UpdatedAt: 2}, Request: "ref", At: 2, Body: "{}"}}))
	_, err = db.Warn(ctx, "acme", "web", 1)
	must(t, err)
	_, err = db.PutVerdict(ctx, store.Verdict{Tenant: "acme", App: "web", Outcome: "site.down", Since: 1, At: 2})
	must(t, err)
	_, _, err = db.TakeVerifyRound(ctx, "a", 10, 20)
	must(t, err)
}

// holds is what of a database its methods tell.
func holds(t *testing.T, db *store.DB) map[string]any {
	t.Helper()
	ctx := t.Context()
	all := map[string]any{"revision": revision(t, db)}
	keep := func(name string, value any, err error) {
		t.Helper()
		must(t, err)
		all[name] = value
	}
	n, err := db.TenantCount(ctx)
	keep("count", n, err)
	admitted := map[string]tenant.Tenant{}
	_, err = db.EachTenant(ctx, func(x tenant.Tenant) error {
		admitted[x.Label] = x
		return nil
	})
	keep("admitted", admitted, err)
	for name, read := range map[string]func(context.Context) (any, error){
		"since":    func(ctx context.Context) (any, error) { return db.TenantsSince(ctx, 0, 1000) },
		"audit":    func(ctx context.Context) (any, error) { return db.Audit(ctx, store.AuditQuery{Limit: 1000}) },
		"tokens":   func(ctx context.Context) (any, error) { return db.Tokens(ctx) },
		"sealing":  func(ctx context.Context) (any, error) { return db.SealKeys(ctx) },
		"signing":  func(ctx context.Context) (any, error) { return db.SigningKeys(ctx) },
		"users":    func(ctx context.Context) (any, error) { return db.Users(ctx) },
		"clients":  func(ctx context.Context) (any, error) { return db.Clients(ctx) },
		"grant":    func(ctx context.Context) (any, error) { return db.Grant(ctx, "g") },
		"code":     func(ctx context.Context) (any, error) { return db.GrantByCode(ctx, "code-g") },
		"login":    func(ctx context.Context) (any, error) { return db.AuthSessionByPAR(ctx, "p") },
		"browser":  func(ctx context.Context) (any, error) { return db.BrowserSession(ctx, "b") },
		"state":    func(ctx context.Context) (any, error) { return db.KeptState(ctx, "handle") },
		"logins":   func(ctx context.Context) (any, error) { return db.Logins(ctx, store.LoginQuery{}) },
		"legs":     func(ctx context.Context) (any, error) { return db.Legs(ctx, 0, 10) },
		"verdicts": func(ctx context.Context) (any, error) { return db.Verdicts(ctx, store.VerdictQuery{}) },
		"round":    func(ctx context.Context) (any, error) { return db.VerifyRound(ctx) },
	} {
		value, err := read(ctx)
		keep(name, value, err)
	}
	return all
}
