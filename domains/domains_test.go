package domains_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"onedoor/domains"
	"onedoor/store"
	"onedoor/tenant"
)

var anna = store.Actor{Name: "anna", Via: "cli"}

const origin = "https://portal.acme.example"

// bed is a registry, a DNS and a clock.
type bed struct {
	*domains.Checker
	db    *store.DB
	zone  *zone
	clock *clock
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

func makeBed(t *testing.T, change ...func(*domains.Options)) *bed {
	t.Helper()
	b := &bed{zone: serveDNS(t), clock: &clock{at: time.Unix(1_790_000_000, 0)}}
	var err error
	if b.db, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "onedoor.db"), store.Options{Now: b.clock.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	o := domains.Options{Store: b.db, Resolver: domains.NewResolver(b.zone.address), Now: b.clock.now}
	for _, f := range change {
		f(&o)
	}
	b.Checker = domains.New(o)
	for _, label := range []string{"acme", "globex"} {
		put := store.TenantPut{Tenant: store.Tenant{Tenant: tenant.Tenant{Label: label}}}
		if _, err := b.db.PutTenants(t.Context(), anna, []store.TenantPut{put}); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// claim gives a tenant the origin, and returns what to publish.
func (b *bed) claim(t *testing.T, label, origin string) (name, text string) {
	t.Helper()
	if _, err := b.Claim(t.Context(), anna, label, "shop", origin, false, 0); err != nil {
		t.Fatal(err)
	}
	return domains.Record(b.domain(t, label))
}

func (b *bed) domain(t *testing.T, label string) store.Domain {
	t.Helper()
	x, err := b.db.Tenant(t.Context(), label)
	if err != nil || len(x.Domains) != 1 {
		t.Fatalf("%+v, %v", x.Domains, err)
	}
	return x.Domains[0]
}

func (b *bed) site(t *testing.T, label string) string {
	t.Helper()
	x, err := b.db.Tenant(t.Context(), label)
	if err != nil {
		t.Fatal(err)
	}
	return x.Sites["shop"]
}

func (b *bed) round(t *testing.T) {
	t.Helper()
	if err := b.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestADomainIsAdmittedByItsOwnProofOnly(t *testing.T) {
	for _, tt := range []struct {
		name    string
		publish func(z *zone, name, text string)
		texts   int // that are shown to the person
		want    string
	}{
		{"nothing is published", func(*zone, string, string) {}, 0, "no TXT record"},
		{"a name without TXT records", func(z *zone, name, _ string) { z.set(name) }, 0, "no TXT record"},
		{"another text", func(z *zone, name, _ string) { z.set(name, "v=spf1 -all") }, 1, "none of the TXT records"},
		{"another's token", func(z *zone, name, text string) { z.set(name, text[:len(text)-1]+"!") }, 1, "none of the TXT records"},
		{"the text with more behind it", func(z *zone, name, text string) { z.set(name, text+"x") }, 1, "none of the TXT records"},
		{"the text in capitals", func(z *zone, name, text string) { z.set(name, strings.ToUpper(text)) }, 1, "none of the TXT records"},
		{"the proof at the bare name", func(z *zone, name, text string) { z.set(strings.TrimPrefix(name, "_onedoor-challenge."), text) }, 0, "no TXT record"},
		{"the server fails", func(z *zone, name, text string) { z.set(name, text); z.fail(serverFailure) }, 0, "no answer"},
		{"the server refuses", func(z *zone, name, text string) { z.set(name, text); z.fail(refused) }, 0, "no answer"},
		{"the proof", func(z *zone, name, text string) { z.set(name, text) }, 1, ""},
		{"the proof beside other texts", func(z *zone, name, text string) { z.set(name, "v=spf1 -all", text) }, 2, ""},
		{"the proof behind an alias", func(z *zone, name, text string) { z.alias(name, "proofs.example."); z.set("proofs.example", text) }, 1, ""},
		{"so many texts that they take TCP", func(z *zone, name, text string) {
			var many []string
			for i := range 60 {
				many = append(many, fmt.Sprintf("%d %s", i, strings.Repeat("x", 200)))
			}
			z.set(name, append(many, text)...)
		}, 61, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := makeBed(t)
			name, text := b.claim(t, "acme", origin)
			tt.publish(b.zone, name, text)
			f, err := b.Check(t.Context(), anna, "acme", "shop")
			if err != nil {
				t.Fatal(err)
			}
			admitted := b.site(t, "acme") == origin
			if admitted != (tt.want == "") || len(f.Texts) != tt.texts || (f.Domain.VerifiedAt > 0) != admitted {
				t.Errorf("admitted: %v, %+v", admitted, f)
			}
			if tt.want != "" && (f.Err == nil || !strings.Contains(f.Err.Error(), tt.want)) {
				t.Errorf("%v, want %q", f.Err, tt.want)
			}
		})
	}
}

func TestAProofIsForOneTenantAndOrigin(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	// Globex wants what acme has published the proof for.
	b.claim(t, "globex", origin)
	if _, err := b.Check(t.Context(), anna, "globex", "shop"); err != nil {
		t.Fatal(err)
	}
	if b.site(t, "globex") != "" {
		t.Fatal("acme's proof admitted globex")
	}
	// Its claim does not stand in acme's way either.
	if _, err := b.Check(t.Context(), anna, "acme", "shop"); err != nil || b.site(t, "acme") != origin {
		t.Fatal("a claim without a proof kept the owner out", err)
	}
	// Another origin of the same tenant is proven anew.
	b.claim(t, "acme", "https://other.acme.example")
	if got := b.site(t, "acme"); got != "" {
		t.Errorf("%q was admitted by the proof of another", got)
	}
}

func TestWhoProvesFirstHasIt(t *testing.T) {
	b := makeBed(t)
	name, acmes := b.claim(t, "acme", origin)
	_, globexs := b.claim(t, "globex", origin)
	b.zone.set(name, acmes, globexs)
	if _, err := b.Check(t.Context(), anna, "globex", "shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Check(t.Context(), anna, "acme", "shop"); !errors.Is(err, domains.ErrTaken) {
		t.Errorf("%v, want %v", err, domains.ErrTaken)
	}
	if b.site(t, "globex") != origin || b.site(t, "acme") != "" {
		t.Error("it changed hands while its proof stood")
	}
	// An operator's word is no way past it.
	if _, err := b.Claim(t.Context(), anna, "acme", "shop", origin, true, 0); !errors.Is(err, domains.ErrTaken) {
		t.Errorf("%v, want %v", err, domains.ErrTaken)
	}
	// The domain is sold: the new owner publishes its own proof and takes the
	// old one away.
	b.zone.set(name, acmes)
	for range 4 {
		b.clock.pass(25 * time.Hour)
		b.round(t)
	}
	if b.site(t, "globex") != "" || b.site(t, "acme") != "" && b.site(t, "acme") != origin {
		t.Fatal("the old owner has it still")
	}
	b.clock.pass(2 * time.Hour)
	b.round(t)
	if b.site(t, "acme") != origin {
		t.Error("the new owner does not get it")
	}
}

func TestADomainLapsesWhenItsProofStaysAway(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	b.round(t)
	if b.site(t, "acme") != origin {
		t.Fatal("not admitted")
	}
	b.zone.remove(name)
	for look := 1; look <= 4; look++ {
		b.clock.pass(24*time.Hour + time.Minute)
		if look == 2 {
			b.zone.set(name, "somebody else's") // as good as none
		}
		b.round(t)
		d := b.domain(t, "acme")
		if admitted := b.site(t, "acme") != ""; admitted != (look < 4) || d.Misses != int64(look) {
			t.Fatalf("after look %d: admitted %v, %+v", look, admitted, d)
		}
	}
	if got := domains.StateOf(b.domain(t, "acme")); got != domains.Waiting {
		t.Errorf("state %q", got)
	}
	entries, err := b.db.Audit(t.Context(), store.AuditQuery{Tenant: "acme"})
	if err != nil || len(entries) == 0 || entries[0].Action != "domain.set" || entries[0].Actor.Via != "domains" {
		t.Errorf("%+v, %v", entries, err)
	}
	// The proof comes back, and so does the domain.
	b.zone.set(name, text)
	b.clock.pass(2 * time.Hour)
	b.round(t)
	if d := b.domain(t, "acme"); b.site(t, "acme") != origin || d.Misses != 0 || d.FailingSince != 0 {
		t.Errorf("%+v", d)
	}
}

func TestAProofThatComesBackInTimeKeepsTheDomain(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	b.round(t)
	for range 4 { // two misses, and the proof again, over eight days
		b.zone.remove(name)
		for range 2 {
			b.clock.pass(25 * time.Hour)
			b.round(t)
			if got := domains.StateOf(b.domain(t, "acme")); got != domains.Failing {
				t.Fatalf("state %q", got)
			}
		}
		b.zone.set(name, text)
		b.clock.pass(25 * time.Hour)
		b.round(t)
		if got := domains.StateOf(b.domain(t, "acme")); got != domains.Admitted {
			t.Fatalf("state %q", got)
		}
	}
}

func TestADoorThatWasDownForDaysLooksSeveralTimes(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	b.round(t)
	b.zone.remove(name)
	b.clock.pass(25 * time.Hour)
	b.round(t)
	b.clock.pass(30 * 24 * time.Hour)
	b.round(t)
	if b.site(t, "acme") != origin {
		t.Fatal("two looks were enough")
	}
	b.clock.pass(25 * time.Hour)
	b.round(t)
	if b.site(t, "acme") != "" {
		t.Error("three were not")
	}
}

func TestNoAnswerIsNeitherAProofNorItsAbsence(t *testing.T) {
	for name, failure := range map[string]failure{"SERVFAIL": serverFailure, "REFUSED": refused, "silence": silence} {
		t.Run(name, func(t *testing.T) {
			b := makeBed(t)
			name, text := b.claim(t, "acme", origin)
			b.zone.set(name, text)
			b.round(t)
			b.zone.fail(failure)
			looks := 10
			if failure == silence { // which takes its time
				looks = 1
			}
			for range looks {
				b.clock.pass(25 * time.Hour)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				_, err := b.Check(ctx, anna, "acme", "shop")
				cancel()
				if err != nil && failure != silence {
					t.Fatal(err)
				}
			}
			if d := b.domain(t, "acme"); b.site(t, "acme") != origin || d.Misses != 0 || domains.StateOf(d) != domains.Admitted {
				t.Errorf("%+v", d)
			}
		})
	}
}

// Whoever takes a domain over also runs its name servers, and can have them fail
// for the name of the proof alone.
func TestADomainWhoseServersNeverAnswerLapses(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	b.round(t)
	b.zone.fail(serverFailure)
	for days := 0; b.site(t, "acme") != ""; days++ {
		if days > 20 {
			t.Fatal("still admitted after 20 days of silence")
		}
		b.clock.pass(25 * time.Hour)
		b.round(t)
	}
	// It was an outage after all.
	b.zone.fail(none)
	b.clock.pass(2 * time.Hour)
	b.round(t)
	if d := b.domain(t, "acme"); b.site(t, "acme") != origin || d.FailingSince != 0 {
		t.Errorf("%+v", d)
	}
}

func TestASilenceDoesNotShortenTheGrace(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	b.round(t)
	b.zone.fail(serverFailure)
	for range 10 {
		b.clock.pass(25 * time.Hour)
		b.round(t)
	}
	b.zone.fail(none)
	b.zone.remove(name)
	for look := 1; look <= 3; look++ {
		b.clock.pass(25 * time.Hour)
		b.round(t)
		if b.site(t, "acme") != origin {
			t.Fatalf("lapsed at look %d", look)
		}
	}
}

// flood is a DNS in which every look takes hours, so that whoever waits for a
// proof is due again at once.
type flood struct {
	clock clock
	of    string
	found func()
}

func (f *flood) TXT(_ context.Context, name string) ([]string, error) {
	if strings.HasSuffix(name, f.of) {
		f.found()
	}
	f.clock.pass(2 * time.Hour)
	return nil, domains.ErrAbsent
}

func TestClaimsWithoutEndDoNotKeepTheDoorFromLookingAtWhatIsAdmitted(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	b.round(t)
	b.claim(t, "globex", "https://never.globex.example")
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	found := false
	dns := &flood{clock: clock{at: b.clock.now()}, of: "portal.acme.example", found: func() { found = true; stop() }}
	err := domains.New(domains.Options{Store: b.db, Now: dns.clock.now, Resolver: dns}).Round(ctx)
	if !found {
		t.Errorf("the admitted domain was never looked at: %v", err)
	}
}

func TestOfManyReplicasOneLooks(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	var replicas sync.WaitGroup
	for range 8 {
		other := domains.New(domains.Options{Store: b.db, Resolver: domains.NewResolver(b.zone.address), Now: b.clock.now})
		replicas.Go(func() {
			if err := other.Round(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	replicas.Wait()
	if n := b.zone.asked(name); n != 1 {
		t.Errorf("the DNS was asked %d times", n)
	}
	if b.site(t, "acme") != origin {
		t.Error("not admitted")
	}
}

func TestAClaimThatWasReplacedIsNotAdmittedByAnEarlierLook(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	// The claim is replaced while the DNS answers.
	b.zone.before(func() { b.claim(t, "acme", "https://evil.example") })
	_, err := b.Check(t.Context(), anna, "acme", "shop")
	if !errors.Is(err, store.ErrConflict) {
		t.Errorf("%v, want %v", err, store.ErrConflict)
	}
	if d := b.domain(t, "acme"); d.Origin != "https://evil.example" || d.VerifiedAt != 0 {
		t.Errorf("%+v", d)
	}
	// Any other change of the tenant does not stand in the way.
	name, text = b.claim(t, "globex", origin)
	b.zone.set(name, text)
	b.zone.before(func() {
		put := store.TenantPut{Tenant: store.Tenant{Tenant: tenant.Tenant{Label: "globex"}, Notes: "new"}}
		if _, err := b.db.PutTenants(context.Background(), anna, []store.TenantPut{put}); err != nil {
			t.Error(err)
		}
	})
	if _, err := b.Check(t.Context(), anna, "globex", "shop"); err != nil || b.site(t, "globex") != origin {
		t.Error("not admitted", err)
	}
}

func TestAnOperatorsWordAdmitsWithoutADNS(t *testing.T) {
	b := makeBed(t)
	claim := func(trusted bool) {
		t.Helper()
		if _, err := b.Claim(t.Context(), anna, "acme", "shop", "https://portal.corp.internal", trusted, 0); err != nil {
			t.Fatal(err)
		}
	}
	claim(true)
	if b.site(t, "acme") == "" || domains.StateOf(b.domain(t, "acme")) != domains.Trusted {
		t.Fatal("not admitted")
	}
	for range 6 {
		b.clock.pass(25 * time.Hour)
		b.round(t)
	}
	if b.site(t, "acme") == "" {
		t.Error("it lapsed")
	}
	claim(false) // the word is taken back
	if b.site(t, "acme") != "" {
		t.Error("admitted without word or proof")
	}
}

func TestLocalNamesNeedNoProofOnALocalDoor(t *testing.T) {
	for _, local := range []bool{true, false} {
		b := makeBed(t, func(o *domains.Options) { o.Local = local })
		b.claim(t, "acme", "http://portal.localhost:3000")
		b.claim(t, "globex", "https://portal.globex.example")
		b.round(t)
		if admitted := b.site(t, "acme") != ""; admitted != local {
			t.Errorf("local door %v: admitted %v", local, admitted)
		}
		if b.site(t, "globex") != "" {
			t.Error("a public name was admitted without a proof")
		}
	}
}

func TestAClaimIsNoChangeTheSecondTime(t *testing.T) {
	b := makeBed(t)
	name, text := b.claim(t, "acme", origin)
	b.zone.set(name, text)
	b.round(t)
	before, err := b.db.Revision(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, again := b.claim(t, "acme", origin); again != text || b.site(t, "acme") != origin {
		t.Error("the proof was lost")
	}
	if after, err := b.db.Revision(t.Context()); err != nil || after != before {
		t.Errorf("revision %d, then %d, %v", before, after, err)
	}
}
