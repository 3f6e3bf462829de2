//go:build linux

package cluster

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"
)

// settle looks once more at everything when nothing happens any more.
func (c *cluster) settle() {
	ctx := context.Background()
	for _, f := range c.fleets {
		p := c.person(f, 9000, 0)
		for _, tenant := range c.pool.steady {
			if o := p.logIn(ctx, tenant); o != finished {
				c.wrong("%s: when all was over a login at %s was %v", f.name, tenant, o)
			}
		}
		for _, tenant := range c.pool.passing {
			want := refused
			if c.line.last(tenant) {
				want = finished
			}
			if o := p.logIn(ctx, tenant); o != want {
				c.wrong("%s: when all was over a login at %s was %v, want %v", f.name, tenant, o, want)
			}
		}
	}
}

// account prints what became of every login, and fails the scope where one was
// lost, or let in that was to be refused.
func (c *cluster) account() {
	c.scope.Helper()
	said := &logs{rules: map[string]string{}, lines: map[string][]string{}}
	for _, r := range c.replicas {
		said.read(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "cluster: %d replicas on one PostgreSQL, %v, seed %d\n", len(c.replicas), time.Since(c.began).Round(time.Second), c.Seed)
	fmt.Fprintf(&b, "\nwhat happened\n  %s\n\n", strings.Join(c.happened, "\n  "))
	for _, f := range c.fleets {
		b.WriteString(f.crowd.ledger.table(c.began, said.rules) + "\n")
		c.findings = append(c.findings, f.crowd.ledger.complain(f.name, said, f.crowd.kills)...)
	}
	b.WriteString("changes of tenants\n")
	row := func(what string, value any) { fmt.Fprintf(&b, "  %-58s %v\n", what, value) }
	for _, what := range slices.Sorted(maps.Keys(c.office.acked)) {
		row("acknowledged: "+what, c.office.acked[what])
	}
	for _, status := range slices.Sorted(maps.Keys(c.office.refused)) {
		row(fmt.Sprintf("asked for again after %d (0: no answer)", status), c.office.refused[status])
	}
	for _, kind := range slices.Sorted(maps.Keys(c.spread.times)) {
		all := c.spread.times[kind]
		slices.Sort(all)
		longest := all[len(all)-1]
		row(kind+": known to a replica after, median and longest", fmt.Sprintf("%v, %v (%d)", all[len(all)/2].Round(time.Millisecond), longest.Round(time.Millisecond), len(all)))
		if longest > promised {
			row("  which is longer than promised, on a busy machine", fmt.Sprintf("%d times", len(all)-sort.Search(len(all), func(i int) bool { return all[i] > promised })))
		}
		if longest > effective {
			c.findings = append(c.findings, fmt.Sprintf("a change (%s) took %v to be known everywhere, want %v", kind, longest, effective))
		}
	}
	row("not measured, for the replica was down or cut off", c.spread.passed)
	for _, what := range slices.Sorted(maps.Keys(c.marks)) {
		row("longest: "+what, c.marks[what].Round(time.Millisecond))
	}
	c.scope.Logf("%s", b.String())
	if len(c.findings) > 0 {
		c.scope.Logf("warnings and errors of the replicas:\n%s", strings.Join(said.loud[max(0, len(said.loud)-60):], "\n"))
		c.scope.Fatalf("%d things are wrong (seed %d):\n%s", len(c.findings), c.Seed, strings.Join(c.findings, "\n"))
	}
}

// logBatch is longer than the door keeps a line before it writes it.
const logBatch = 500 * time.Millisecond

// complain lists what must not be: logins that were lost, or let in, or refused
// by a rule that is not about tenants.
func (l *ledger) complain(front string, said *logs, k *kills) (all []string) {
	for _, o := range []outcome{lost, admitted} {
		for _, e := range l.of(o) {
			all = append(all, fmt.Sprintf("%s: login %d at %s was %v: %s (rule %q, after %v)", front, e.id, e.tenant, o, e.why, said.rules[e.reference], e.tries))
			all = append(all, said.lines[e.reference]...)
		}
	}
	for _, e := range l.of(refused) {
		switch rule := said.rules[e.reference]; {
		case strings.HasPrefix(rule, "tenant."):
		case rule == "" && k.explain(e.ended.Add(-logBatch), e.ended.Add(logBatch), e.asked) != "":
			// The line went with the replica: it is written a moment later.
		default:
			all = append(all, fmt.Sprintf("%s: login %d at %s was refused at %s by the rule %q, which is none about tenants", front, e.id, e.tenant, e.why, rule))
			all = append(all, said.lines[e.reference]...)
		}
	}
	return all
}
