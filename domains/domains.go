// Package domains knows whose a custom domain is. A tenant that wants to use one
// publishes a text in the DNS below it; the door looks for that text before it
// admits the domain, and again every day. A domain whose text stays away for
// days lapses: it may have been sold (THREATS T-11, RFC 9700 §4.1).
//
// The package decides nothing about redirects: it fills in which of a tenant's
// domains are admitted, and package tenant reads that. Reading starts at
// [Checker.Check].
package domains

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"onedoor/store"
	"onedoor/tenant"
)

// ErrTaken says that another tenant's proof for the same origin stands. Who
// proves first has it; who comes later waits until the other's proof is gone.
var ErrTaken = errors.New("another tenant has proven this origin")

// Options are what a Checker is made of.
type Options struct {
	Store    *store.DB
	Resolver Resolver // default: that of the operating system

	// Recheck is how often an admitted domain's proof is looked for. Default
	// 24 h.
	Recheck time.Duration

	// Grace is how long the proof may be missing. Default 72 h.
	Grace time.Duration

	// Local admits names that no public DNS holds, under localhost and .test,
	// without a proof (RFC 6761 §6.2, §6.3): for a door that is itself at one.
	Local bool

	Log *slog.Logger     // default: none
	Now func() time.Time // default time.Now
}

const (
	defaultRecheck = 24 * time.Hour
	defaultGrace   = 72 * time.Hour
	// waitingEvery is how often a domain that waits for its first proof is
	// looked at unasked.
	waitingEvery = time.Hour
	// minMisses is how many looks in a row must have found nothing before a
	// domain lapses, however long ago the first one was: the door may have been
	// down in between.
	minMisses = 3
	// maxSilence is how long an admitted domain may go without an answer of the
	// DNS, where the grace is not longer. Some outages last days; but whoever has
	// taken a domain over also says what its servers answer, and could have them
	// fail for this one name for ever.
	maxSilence = 14 * 24 * time.Hour
	// looksPerSecond spares the resolver, and spreads what comes due at once.
	looksPerSecond = 5
	looksAtOnce    = 4
	lookTime       = 10 * time.Second
	claim          = 50
	roundEvery     = 30 * time.Second
)

// Checker looks for proofs.
type Checker struct {
	Options
	pace *rate.Limiter
}

// New makes a Checker.
func New(o Options) *Checker {
	if o.Resolver == nil {
		o.Resolver = NewResolver("")
	}
	if o.Recheck == 0 {
		o.Recheck = defaultRecheck
	}
	if o.Grace == 0 {
		o.Grace = defaultGrace
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Checker{Options: o, pace: rate.NewLimiter(looksPerSecond, looksPerSecond)}
}

// Record is what a tenant publishes: a TXT record of that name and text.
func Record(d store.Domain) (name, text string) {
	return "_onedoor-challenge." + host(d.Origin), "onedoor-domain-verification=" + d.Token
}

func host(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return strings.Trim(u.Hostname(), "[]")
}

// State is how a domain stands.
type State string

// The states. Only a domain that is Admitted, Failing or Trusted is used.
const (
	Waiting  State = "waiting"  // for its first proof, or for one again
	Admitted State = "admitted" // the last look found the proof, or there was no answer
	Failing  State = "failing"  // the proof is missing, and the grace is not over
	Trusted  State = "trusted"  // on an operator's word
)

// StateOf is how a domain stands.
func StateOf(d store.Domain) State {
	switch {
	case d.VerifiedAt == 0:
		return Waiting
	case d.Trusted:
		return Trusted
	case d.Misses > 0:
		return Failing
	}
	return Admitted
}

// Claim gives a tenant the origin as its own site for an app, in the place of
// one that it may have, and returns the tenant. It is admitted once it is proven,
// or at once where it is trusted: then it is looked for nowhere. A claim that is
// there already keeps its proof. The origin has passed tenant.Directory.CheckSite.
func (c *Checker) Claim(ctx context.Context, who store.Actor, label, app, origin string, trusted bool, ifRevision int64) (store.Tenant, error) {
	t, err := c.Store.Tenant(ctx, label)
	if err != nil {
		return t, err
	}
	if ifRevision > 0 && ifRevision != t.Revision {
		return t, store.ErrConflict
	}
	d := store.Domain{App: app, Origin: origin, Trusted: trusted}
	if had, ok := of(t, app); ok && had.Origin == origin {
		if had.Trusted == trusted {
			return t, nil
		}
		d.Token = had.Token
	}
	if trusted {
		d.VerifiedAt = c.Now().Unix()
	}
	t, err = c.Store.SetDomain(ctx, who, label, d, t.Revision)
	if errors.Is(err, store.ErrExists) {
		err = ErrTaken
	}
	return t, err
}

// outcome of one look.
type outcome int

const (
	unclear outcome = iota // no answer: neither a proof nor a sign that there is none
	absent
	proven
)

// Finding is what a look found.
type Finding struct {
	Domain store.Domain
	Texts  []string // what is published at the record's name
	Err    error    // why there is no proof; nil where there is one
}

// Check looks for the proof of a tenant's domain now, and admits the domain
// where it finds one. The error is store.ErrNotFound, ErrTaken, or the store's.
func (c *Checker) Check(ctx context.Context, who store.Actor, label, app string) (Finding, error) {
	t, err := c.Store.Tenant(ctx, label)
	if err != nil {
		return Finding{}, err
	}
	d, ok := of(t, app)
	if !ok {
		return Finding{}, store.ErrNotFound
	}
	if d.Trusted {
		return Finding{Domain: d}, nil
	}
	found, f := c.look(ctx, d)
	f.Domain, err = c.record(ctx, who, t, d, found)
	return f, err
}

func of(t store.Tenant, app string) (store.Domain, bool) {
	i := slices.IndexFunc(t.Domains, func(d store.Domain) bool { return d.App == app })
	if i < 0 {
		return store.Domain{}, false
	}
	return t.Domains[i], true
}

// look asks the DNS. The text must be there exactly: that somebody else's is
// there, or none, is an answer; that nobody answers is not.
func (c *Checker) look(ctx context.Context, d store.Domain) (outcome, Finding) {
	if c.Local && tenant.Local(host(d.Origin)) {
		return proven, Finding{}
	}
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	name, want := Record(d)
	texts, err := c.Resolver.TXT(ctx, name)
	switch {
	case errors.Is(err, ErrAbsent):
		return absent, Finding{Err: fmt.Errorf("the DNS has no TXT record %s", name)}
	case err != nil:
		return unclear, Finding{Err: fmt.Errorf("the DNS gave no answer: %v", err)}
	case !slices.Contains(texts, want):
		return absent, Finding{Texts: texts, Err: fmt.Errorf("none of the TXT records of %s is the one that is wanted", name)}
	}
	return proven, Finding{Texts: texts}
}

// record writes down what a look at d, a domain of t, found.
func (c *Checker) record(ctx context.Context, who store.Actor, t store.Tenant, d store.Domain, found outcome) (store.Domain, error) {
	now := c.Now().Unix()
	d.CheckedAt = now
	switch found {
	case proven:
		d.FailingSince, d.Misses = 0, 0
		if d.VerifiedAt > 0 {
			return d, c.Store.DomainChecked(ctx, store.DueDomain{TenantID: t.ID, Domain: d})
		}
		d.VerifiedAt = now
		return c.set(ctx, who, t, d)
	case absent:
		if d.Misses++; d.Misses == 1 {
			d.FailingSince = now // a silence before was no sign of it
		}
	case unclear:
		if d.FailingSince == 0 {
			d.FailingSince = now
		}
	}
	if c.lapses(d, found, now) {
		c.Log.Warn("custom domain lapsed: its proof is gone",
			slog.String("tenant", t.Label), slog.String("app", d.App), slog.String("origin", d.Origin),
			slog.Time("failing_since", time.Unix(d.FailingSince, 0).UTC()), slog.Int64("looks", d.Misses))
		d.VerifiedAt = 0
		return c.set(ctx, who, t, d)
	}
	return d, c.Store.DomainChecked(ctx, store.DueDomain{TenantID: t.ID, Domain: d})
}

// lapses says whether a domain is admitted no more, after what a look found.
func (c *Checker) lapses(d store.Domain, found outcome, now int64) bool {
	away := time.Duration(now-d.FailingSince) * time.Second
	switch found {
	case absent:
		return d.VerifiedAt > 0 && d.Misses >= minMisses && away >= c.Grace
	case unclear:
		return d.VerifiedAt > 0 && away >= max(c.Grace, maxSilence)
	}
	return false
}

// set changes whether a domain is admitted, unless it was replaced since the
// look.
func (c *Checker) set(ctx context.Context, who store.Actor, t store.Tenant, d store.Domain) (store.Domain, error) {
	for {
		_, err := c.Store.SetDomain(ctx, who, t.Label, d, t.Revision)
		switch {
		case errors.Is(err, store.ErrExists):
			d.VerifiedAt = 0
			return d, ErrTaken
		case !errors.Is(err, store.ErrConflict):
			return d, err
		}
		// Something of the tenant was changed meanwhile. The look still counts
		// for the same tenant's same claim.
		again, err := c.Store.Tenant(ctx, t.Label)
		if err != nil {
			return d, err
		}
		now, ok := of(again, d.App)
		if !ok || again.ID != t.ID || now.Origin != d.Origin || now.Token != d.Token || now.Trusted != d.Trusted {
			return now, store.ErrConflict
		}
		t = again
	}
}

// self is who lets domains lapse, and admits those that wait.
var self = store.Actor{Name: "onedoor", Via: "domains"}

// Run looks at what is due until ctx ends. Of many replicas that do so, one
// looks at each domain.
func (c *Checker) Run(ctx context.Context) error {
	ticks := time.NewTicker(roundEvery)
	defer ticks.Stop()
	for {
		if err := c.Round(ctx); err != nil && ctx.Err() == nil {
			c.Log.Error("custom domains were not looked at", slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
		}
	}
}

// Round looks at everything that is due now: first at what is admitted and may
// have to go. Between any two lots of those that wait it looks at what is
// admitted again: anybody's claims may be so many that they never end, or lead to
// servers that take their time.
func (c *Checker) Round(ctx context.Context) error {
	for {
		for {
			n, err := c.lookAtDue(ctx, true, c.Recheck)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
		}
		if n, err := c.lookAtDue(ctx, false, min(waitingEvery, c.Recheck)); err != nil || n == 0 {
			return err
		}
	}
}

// lookAtDue looks at one lot of those that were not looked at for that long, and
// returns how many they are.
func (c *Checker) lookAtDue(ctx context.Context, admitted bool, every time.Duration) (int, error) {
	due, err := c.Store.ClaimDomains(ctx, admitted, c.Now().Add(-every).Unix(), claim)
	if err != nil {
		return 0, err
	}
	return len(due), c.lookAt(ctx, due)
}

func (c *Checker) lookAt(ctx context.Context, due []store.DueDomain) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(looksAtOnce)
	for _, d := range due {
		group.Go(func() error {
			if err := c.pace.Wait(ctx); err != nil {
				return err
			}
			return c.lookAtOne(ctx, d)
		})
	}
	return group.Wait()
}

func (c *Checker) lookAtOne(ctx context.Context, d store.DueDomain) error {
	t, err := c.Store.TenantByID(ctx, d.TenantID)
	if err != nil {
		return err
	}
	now, ok := of(t, d.App)
	if !ok || now.Origin != d.Origin || now.Token != d.Token || now.Trusted {
		return nil // another since it was claimed
	}
	found, f := c.look(ctx, now)
	_, err = c.record(ctx, self, t, now, found)
	if f.Err != nil && d.VerifiedAt > 0 {
		c.Log.Warn("custom domain: no proof was found", slog.String("tenant", t.Label), slog.String("origin", d.Origin), slog.String("cause", f.Err.Error()))
	}
	if errors.Is(err, ErrTaken) || errors.Is(err, store.ErrConflict) || errors.Is(err, store.ErrNotFound) {
		return nil // somebody else's, or gone, since
	}
	return err
}
