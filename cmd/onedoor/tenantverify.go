package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"onedoor/admin"
	"onedoor/config"
	"onedoor/doctor"
	"onedoor/tenant"
	"onedoor/verify"
)

type tenantVerify struct {
	registryFlags
	All         bool          `env:"-" xor:"which" help:"Every tenant."`
	Failing     bool          `env:"-" xor:"which" help:"Try none: list those that the running doors found failing (verify.every)."`
	Rate        float64       `env:"-" default:"20" placeholder:"N" help:"How many in a second at most (${default})."`
	Concurrency int           `env:"-" default:"4" placeholder:"N" help:"How many at one time at most (${default})."`
	Timeout     time.Duration `env:"-" default:"20s" help:"How long one may take (${default})."`
	Connect     []string      `env:"-" sep:"none" placeholder:"NAME=HOST:PORT" help:"Where a host is found from here, in the place of what the DNS says; *.example.com for all below one; may be repeated. The door's own, too."`
	SiteCAFile  string        `env:"-" name:"site-ca-file" placeholder:"FILE" help:"PEM certificates to trust besides the system's."`
	JSON        bool          `name:"json" help:"Print JSON."`
	Labels      []string      `arg:"" optional:"" name:"label" help:"Which."`
}

// verified is what was found, all told.
type verified struct {
	Tenants   int              `json:"tenants"`
	OK        int              `json:"ok"` // logins
	Suspended int              `json:"suspended"`
	Failures  []verify.Verdict `json:"failures"`
	Unclear   []verify.Verdict `json:"unclear"` // could not be looked at
	Findings  []verify.Finding `json:"findings"`
	Blind     string           `json:"blind,omitempty"` // why a negative control could not be asked
	Seconds   float64          `json:"seconds"`
}

// Run tries logins. Exit 1: one would fail, or codes can be stolen; 2: it could
// not look.
func (c *tenantVerify) Run(t *terminal) error {
	switch {
	case c.Failing && len(c.Labels) > 0, c.All && len(c.Labels) > 0:
		return &failure{code: 2, message: "labels are named, and --all or --failing is given as well", hint: "keep one of the two"}
	case !c.All && !c.Failing && len(c.Labels) == 0:
		return &failure{code: 2, message: "no tenant is named", hint: "onedoor tenant verify acme, or --all"}
	case c.Rate <= 0 || c.Concurrency < 1:
		return &failure{code: 2, message: "--rate and --concurrency are above 0", hint: "try: onedoor help tenant verify"}
	}
	for _, text := range c.Connect {
		if _, _, err := config.ParseConnect(text); err != nil {
			return &failure{code: 2, message: "--connect: " + err.Error(), hint: "for example --connect '*.example.com=10.0.0.5:443'"}
		}
	}
	return unread(c.registry(t, func(r *registrar) error {
		if c.Failing {
			return c.list(t, r)
		}
		return c.verify(t, r)
	}))
}

// list shows what the doors have found.
func (c *tenantVerify) list(t *terminal, r *registrar) error {
	var all admin.Verifications
	query := url.Values{"limit": {strconv.Itoa(admin.MaxRows)}}
	for {
		var page admin.Verifications
		if err := r.call(t.ctx, http.MethodGet, "/v1/verifications?"+query.Encode(), nil, nil, &page); err != nil {
			return t.refusal(err)
		}
		page.Verifications = append(all.Verifications, page.Verifications...)
		if all = page; all.Next == "" {
			break
		}
		query.Set("cursor", all.Next)
	}
	if c.JSON {
		if err := t.json(all); err != nil {
			return err
		}
	} else if err := c.printList(t, all); err != nil {
		return err
	}
	switch {
	case len(all.Verifications) > 0:
		return alreadySaid(1)
	case all.VerifiedAt == nil:
		return alreadySaid(2)
	}
	return nil
}

func (c *tenantVerify) printList(t *terminal, all admin.Verifications) error {
	if len(all.Verifications) > 0 {
		rows := [][]string{{"TENANT", "APP", "OUTCOME", "SINCE", "WHY"}}
		for _, v := range all.Verifications {
			rows = append(rows, []string{cmp.Or(v.Tenant, "(all)"), dash(v.App), v.Outcome, v.Since.Format(time.RFC3339), v.Detail})
		}
		if err := t.table(rows); err != nil {
			return err
		}
	}
	if all.VerifiedAt == nil {
		fmt.Fprintln(t.out, "No door has tried all tenants yet: give verify.every, or try them now: onedoor tenant verify --all")
		return nil
	}
	fmt.Fprintf(t.out, "%s logins would fail; %s tenants were tried by %s\n", grouped(len(all.Verifications)), grouped(int(all.Tenants)), all.VerifiedAt.Format(time.RFC3339))
	return nil
}

// verify tries them.
func (c *tenantVerify) verify(t *terminal, r *registrar) error {
	cfg, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	book, which, err := c.tenants(t, r, cfg)
	if err != nil {
		return err
	}
	if len(which) == 0 {
		return couldNotLook(errors.New("there are no tenants"), "add one: onedoor tenant add acme")
	}
	round, closing, err := c.begin(cfg, book)
	if err != nil {
		return err
	}
	defer closing()
	began := time.Now()
	found, err := c.each(t, round, which)
	if err != nil {
		return couldNotLook(err, "")
	}
	found.Findings, found.Blind, found.Seconds = round.Findings(), round.Blind(), time.Since(began).Seconds()
	return c.report(t, found)
}

// begin begins a round with the doors and sites of this configuration.
func (c *tenantVerify) begin(cfg *config.Config, book *book) (*verify.Round, func(), error) {
	directory, err := cfg.Directory(cfg.Registry(book))
	if err != nil {
		return nil, nil, couldNotLook(err, "")
	}
	authorities, err := verifyCA(cfg, c.SiteCAFile)
	if err != nil {
		return nil, nil, err
	}
	o := doctor.ScoutOptions{
		Allowed: []string{cfg.PublicURL}, CA: authorities, AsBrowser: true, Localhost: true, KeepAlive: true, Agent: verify.Agent,
		Connect: config.Connections(append(slices.Clone(c.Connect), cfg.Verify.Connect...)),
	}
	options := verify.Options{
		Directory: func() *tenant.Directory { return directory }, Scout: doctor.NewScout(o),
		Local: tenant.Local(hostOf(cfg.PublicURL)), Timeout: c.Timeout,
	}
	closing := options.Scout.Close
	if cfg.Provider.Embedded == nil {
		o.Via = map[string]string{cfg.PublicURL: cfg.Provider.Upstream}
		if cfg.Provider.CAFile != "" {
			pem, err := os.ReadFile(cfg.Provider.CAFile)
			if err != nil {
				return nil, nil, couldNotLook(err, "")
			}
			o.CA = append(slices.Clone(o.CA), pem...)
		}
		options.Provider = doctor.NewScout(o)
		closing = func() { options.Scout.Close(); options.Provider.Close() }
	}
	return verify.New(options).Begin(), closing, nil
}

// each tries all of them, and tells of each that would fail as it comes.
func (c *tenantVerify) each(t *terminal, round *verify.Round, which []string) (*verified, error) {
	found := &verified{Tenants: len(which), Failures: []verify.Verdict{}, Unclear: []verify.Verdict{}}
	var mu sync.Mutex
	done, progress := 0, newPacing(t, "verifying", int64(len(which)))
	pace := rate.NewLimiter(rate.Limit(c.Rate), 1)
	group, ctx := errgroup.WithContext(t.ctx)
	group.SetLimit(c.Concurrency)
	for _, label := range which {
		group.Go(func() error {
			if err := pace.Wait(ctx); err != nil {
				return err
			}
			verdicts := round.Look(ctx, label)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			mu.Lock()
			defer mu.Unlock()
			done++
			for _, v := range verdicts {
				c.take(t, found, progress, v)
			}
			progress.at(done, int64(done))
			return nil
		})
	}
	err := group.Wait()
	progress.clear()
	for _, list := range [][]verify.Verdict{found.Failures, found.Unclear} {
		slices.SortFunc(list, func(a, b verify.Verdict) int {
			return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.App, b.App))
		})
	}
	return found, err
}

// take counts one verdict, and prints it where it is bad or was asked for.
func (c *tenantVerify) take(t *terminal, found *verified, progress *pacing, v verify.Verdict) {
	switch {
	case v.Outcome == verify.OK:
		found.OK++
	case v.Outcome == verify.Suspended && c.All:
		found.Suspended++
	case v.Outcome == verify.Unclear:
		found.Unclear = append(found.Unclear, v)
	default:
		found.Failures = append(found.Failures, v)
	}
	if c.JSON || c.All && !v.Outcome.Failing() {
		return
	}
	progress.clear()
	who := v.Tenant
	if v.App != "" {
		who += " (" + v.App + ")"
	}
	text := who + ": " + string(v.Outcome)
	if v.Detail != "" {
		text += ": " + v.Detail
	}
	fmt.Fprintln(t.out, plain(text))
	if v.Fix != "" {
		fmt.Fprintln(t.out, plain("    fix: "+v.Fix))
	}
}

// report ends it.
func (c *tenantVerify) report(t *terminal, found *verified) error {
	grave := slices.ContainsFunc(found.Findings, verify.Finding.Grave)
	if c.JSON {
		if found.Findings == nil {
			found.Findings = []verify.Finding{}
		}
		if err := t.json(found); err != nil {
			return err
		}
	} else {
		c.print(t, found)
	}
	switch {
	case len(found.Failures) > 0 || grave:
		return alreadySaid(1)
	case len(found.Unclear) > 0 || found.Blind != "":
		return alreadySaid(2)
	}
	return nil
}

func (c *tenantVerify) print(t *terminal, found *verified) {
	for _, f := range found.Findings {
		kind := "SECURITY"
		if !f.Grave() {
			kind = "warning"
		}
		fmt.Fprintf(t.out, "%s: %s: %s (found with %s)\n    fix: %s\n", t.title(kind), f.Outcome, plain(f.Detail), plain(strings.Join(f.Tenants, ", ")), plain(f.Fix))
	}
	if found.Blind != "" {
		fmt.Fprintln(t.out, plain("whether the provider redirects anywhere is not known: "+found.Blind))
	}
	if c.All && len(found.Unclear) > 0 {
		v := found.Unclear[0]
		fmt.Fprintln(t.out, plain(fmt.Sprintf("could not be looked at, as %s: %s", v.Tenant, v.Detail)))
	}
	parts := []string{grouped(found.OK) + " logins would work", grouped(len(found.Failures)) + " would fail"}
	if n := len(found.Unclear); n > 0 {
		parts = append(parts, grouped(n)+" could not be looked at")
	}
	if found.Suspended > 0 {
		parts = append(parts, grouped(found.Suspended)+" tenants are suspended")
	}
	fmt.Fprintf(t.out, "%s tenants: %s (%.1f s)\n", grouped(found.Tenants), strings.Join(parts, ", "), found.Seconds)
}

// tenants reads those that are to be tried.
func (c *tenantVerify) tenants(t *terminal, r *registrar, cfg *config.Config) (*book, []string, error) {
	b := &book{}
	if !c.All {
		for _, label := range c.Labels {
			var x admin.Tenant
			err := r.call(t.ctx, http.MethodGet, pathOf("tenants", label), nil, nil, &x)
			var no *refused
			switch {
			case err == nil:
				b.add(x)
			case errors.As(err, &no) && (no.Status == http.StatusNotFound || no.Status == http.StatusUnprocessableEntity):
			default:
				return nil, nil, t.refusal(err)
			}
		}
		return b, slices.Compact(slices.Sorted(slices.Values(c.Labels))), nil
	}
	which := slices.Clone(cfg.Tenants.List)
	query := url.Values{"limit": {strconv.Itoa(admin.MaxRows)}}
	for {
		var page struct {
			Tenants []admin.Tenant
			Next    string
		}
		if err := r.call(t.ctx, http.MethodGet, "/v1/tenants?"+query.Encode(), nil, nil, &page); err != nil {
			return nil, nil, t.refusal(err)
		}
		for _, x := range page.Tenants {
			b.add(x)
			which = append(which, x.Label)
		}
		if page.Next == "" {
			break
		}
		query.Set("cursor", page.Next)
	}
	slices.Sort(which)
	return b, slices.Compact(which), nil
}

// book is a registry of tenants that the API has shown.
type book struct {
	byLabel map[string]tenant.Tenant
	bySite  map[string]string // app and origin, to label
}

func (b *book) add(x admin.Tenant) {
	if b.byLabel == nil {
		b.byLabel, b.bySite = map[string]tenant.Tenant{}, map[string]string{}
	}
	n := tenant.Tenant{ID: x.ID, Label: x.Label, Status: tenant.Status(x.Status), Issuer: x.Issuer, Parameters: x.Parameters, Sites: map[string]string{}}
	for app, origin := range x.Sites {
		if x.Proofs[app].State != "waiting" {
			n.Sites[app] = origin
			b.bySite[app+" "+origin] = x.Label
		}
	}
	b.byLabel[x.Label] = n
}

// ByLabel implements tenant.Registry.
func (b *book) ByLabel(_ context.Context, label string) (tenant.Tenant, error) {
	t, ok := b.byLabel[label]
	if !ok {
		return tenant.Tenant{}, tenant.ErrUnknown
	}
	return t, nil
}

// BySite implements tenant.Registry.
func (b *book) BySite(ctx context.Context, app, origin string) (tenant.Tenant, error) {
	label, ok := b.bySite[app+" "+origin]
	if !ok {
		return tenant.Tenant{}, tenant.ErrUnknown
	}
	return b.ByLabel(ctx, label)
}
