package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// outcome is how a login ended.
type outcome int

const (
	// finished: the app has tokens that are this login's own.
	finished outcome = iota
	// refused: the door would have none of it, and the timeline says that it was
	// right.
	refused
	// cutOff: the replica was killed between the provider's having taken a code and
	// the answer's having reached the app. No proxy can bring such an answer back:
	// RFC 6749 §4.1.2 forbids the provider to answer a code twice, and the door keeps
	// no tokens. For the provider inside it is the same where the database is
	// stopped, or cut off, between its commit and the word that it was made.
	cutOff
	// lost: everything else that is not finished. It fails the test.
	lost
	// admitted: something of a login was answered that had to be refused. It fails
	// the test, too.
	admitted
)

func (o outcome) String() string {
	return []string{"finished", "refused", "cut off", "lost", "admitted"}[o]
}

// entry is what the ledger keeps of a login.
type entry struct {
	id           int
	tenant       string
	began, ended time.Time
	outcome      outcome
	why          string   // of everything but finished
	reference    string   // the door's own, of a refusal
	asked        []string // the addresses of the last answer
	replicas     []string
	tries        map[string]int // answers that were asked for again, by what was wrong
	appTries     int            // of them the token requests
	slowest      time.Duration  // of a leg with all its tries
	slowestLeg   string
}

// ledger has every login, of one front.
type ledger struct {
	name string

	mu      sync.Mutex
	begun   int
	open    map[int]*entry
	entries []*entry
}

func newLedger(name string) *ledger { return &ledger{name: name, open: map[int]*entry{}} }

func (l *ledger) begin(tenant string, now time.Time) *entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun++
	e := &entry{id: l.begun, tenant: tenant, began: now, tries: map[string]int{}}
	l.open[e.id] = e
	return e
}

func (l *ledger) end(e *entry, o outcome, why string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.outcome, e.why, e.ended = o, why, now
	delete(l.open, e.id)
	l.entries = append(l.entries, e)
}

// note keeps which replica answered a leg.
func (e *entry) note(replica string) {
	if !slices.Contains(e.replicas, replica) {
		e.replicas = append(e.replicas, replica)
	}
}

// underWay is how many logins have begun and not ended.
func (l *ledger) underWay() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open)
}

// bearable says whether it is worth going on: where all is lost, more of it
// teaches nothing.
func (l *ledger) bearable() bool { return len(l.of(lost)) < 20 }

// within are the logins that began and ended in that time.
func (l *ledger) within(from, to time.Time) (all []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if !e.began.Before(from) && !e.ended.After(to) {
			all = append(all, e)
		}
	}
	return all
}

// of are the logins with that outcome.
func (l *ledger) of(o outcome) (all []*entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.outcome == o {
			all = append(all, e)
		}
	}
	return all
}

// longestGap is the longest time in which no login was finished, and when it
// ended.
func (l *ledger) longestGap() (gap time.Duration, until time.Time) {
	var ends []time.Time
	for _, e := range l.of(finished) {
		ends = append(ends, e.ended)
	}
	slices.SortFunc(ends, time.Time.Compare)
	for i := 1; i < len(ends); i++ {
		if d := ends[i].Sub(ends[i-1]); d > gap {
			gap, until = d, ends[i]
		}
	}
	return gap, until
}

// table is the account of the front since it began. rules names the rule of a
// refusal by its reference.
func (l *ledger) table(began time.Time, rules map[string]string) string {
	l.mu.Lock()
	entries, begun, open := slices.Clone(l.entries), l.begun, len(l.open)
	l.mu.Unlock()
	var (
		outcomes                  [admitted + 1]int
		reasons, tries, byReplica = map[string]int{}, map[string]int{}, map[string]int{}
		legsOn                    = map[int]int{}
		again, byApps             int
		took                      []time.Duration
		slowest                   *entry
	)
	for _, e := range entries {
		outcomes[e.outcome]++
		legsOn[len(e.replicas)]++
		if e.outcome == refused {
			rule := rules[e.reference]
			if rule == "" {
				rule = "no line in a log"
			}
			reasons[rule+" at "+e.why]++
		}
		if len(e.tries) > 0 {
			again++
		}
		if e.appTries > 0 {
			byApps++
		}
		for what, n := range e.tries {
			tries[what] += n
		}
		for _, r := range e.replicas {
			byReplica[r]++
		}
		if e.outcome == finished {
			took = append(took, e.ended.Sub(e.began))
		}
		if slowest == nil || e.slowest > slowest.slowest {
			slowest = e
		}
	}
	slices.Sort(took)
	var b strings.Builder
	row := func(what string, value any) { fmt.Fprintf(&b, "  %-58s %v\n", what, value) }
	fmt.Fprintf(&b, "%s\n", l.name)
	row("logins begun", begun)
	for o, n := range outcomes {
		row("  "+outcome(o).String(), n)
	}
	row("  still under way", open)
	for _, r := range slices.Sorted(maps.Keys(reasons)) {
		row("refused: "+r, reasons[r])
	}
	for _, e := range entries {
		if e.outcome == cutOff {
			row("cut off", e.why)
		}
	}
	row("logins of which something was asked for again", again)
	row("  of them by the app, its token request", byApps)
	for _, r := range slices.Sorted(maps.Keys(tries)) {
		row("asked for again: "+r, tries[r])
	}
	for _, n := range slices.Sorted(maps.Keys(legsOn)) {
		row(fmt.Sprintf("logins whose legs were answered by %d replicas", n), legsOn[n])
	}
	row("logins that each replica had a part in", byReplica)
	if len(took) > 0 {
		row("time of a finished login: median, longest", fmt.Sprintf("%.2f s, %.2f s", took[len(took)/2].Seconds(), took[len(took)-1].Seconds()))
		gap, until := l.longestGap()
		row("longest time without a finished login", fmt.Sprintf("%.2f s, until %.2f s", gap.Seconds(), until.Sub(began).Seconds()))
		row("longest answer, with all its tries", fmt.Sprintf("%.2f s (%s)", slowest.slowest.Seconds(), slowest.slowestLeg))
	}
	return b.String()
}
