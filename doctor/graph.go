package doctor

import (
	"context"
	"fmt"
	"slices"
)

// Status is how a check went.
type Status string

// The statuses.
const (
	OK      Status = "ok"
	Failed  Status = "failed"
	Warning Status = "warning" // worth a second thought; logins work
	Skipped Status = "skipped" // not looked at, and why
)

// Check is one check that was made, or skipped.
type Check struct {
	ID      string `json:"id"`    // "reach/app/discovery"
	Kind    string `json:"check"` // D1 to D10
	Vantage string `json:"vantage,omitempty"`
	Title   string `json:"title"`
	Status  Status `json:"status"`
	Cause   Cause  `json:"cause,omitempty"`
	Said    string `json:"said,omitempty"`    // what was seen, or why it was skipped
	Because string `json:"because,omitempty"` // the check whose cause this one shares
}

// Finding is one cause, with the checks that fail for it.
type Finding struct {
	Cause   Cause    `json:"cause"`
	Status  Status   `json:"status"`
	Title   string   `json:"title"` // what the cause is, in general
	Check   Check    `json:"check"` // the first that met it
	Subject string   `json:"subject"`
	Fix     []string `json:"fix"`
	Same    []Check  `json:"same,omitempty"` // further checks that failed, or could not be made, for the same reason
}

// Report is what an examination found: the cause first.
type Report struct {
	OK            bool       `json:"ok"`
	Subject       string     `json:"subject"`
	Vantages      []Seer     `json:"vantages"`
	Findings      []Finding  `json:"findings"`
	Checks        []Check    `json:"checks"`
	Table         [][]string `json:"reach"` // who reaches what; the first row is the heading
	Configuration []Snippet  `json:"configuration"`
	TookMillis    int64      `json:"took_ms"`
	Late          bool       `json:"late,omitempty"` // there was no time left for some checks
}

// Seer is a vantage of a report.
type Seer struct {
	Name      string `json:"name"`
	Container bool   `json:"container,omitempty"`
	Blind     string `json:"blind,omitempty"` // why it could not look
}

// Snippet is a piece of configuration to paste.
type Snippet struct {
	Title    string `json:"title"`
	Language string `json:"language"`
	Text     string `json:"text"`
}

// node is a check that is to be made.
type node struct {
	id, kind, vantage, title string
	// needs are checks without which this one can't be made: where one did not
	// pass, it is skipped.
	needs []string
	// under are checks whose failure explains one of this, unless the verdict
	// says that it stands alone: it is made all the same, since it may pass.
	// behind are those that explain whatever it says.
	under, behind []string
	run           func(ctx context.Context) verdict
}

// verdict is what a check says of what it saw.
type verdict struct {
	status  Status
	cause   Cause
	subject string // what the cause is about: two verdicts with one cause and subject are one finding
	said    string
	fix     []string
	alone   bool // no other failure explains it
	late    bool // it was skipped because there was no time left
}

func late() verdict {
	return verdict{status: Skipped, said: "there was no time left: raise --timeout", late: true}
}

// itself is a verdict that no other failure explains: two mistakes are two
// findings.
func (v verdict) itself() verdict {
	v.alone = true
	return v
}

func ok(format string, args ...any) verdict {
	return verdict{status: OK, said: fmt.Sprintf(format, args...)}
}

func skip(format string, args ...any) verdict {
	return verdict{status: Skipped, said: fmt.Sprintf(format, args...)}
}

func fail(cause Cause, subject, said string, fix ...string) verdict {
	return verdict{status: Failed, cause: cause, subject: subject, said: said, fix: fix}
}

func warn(cause Cause, subject, said string, fix ...string) verdict {
	return verdict{status: Warning, cause: cause, subject: subject, said: said, fix: fix}
}

// graph is the checks in the order in which a login depends on them.
type graph struct{ nodes []node }

func (g *graph) add(n node) { g.nodes = append(g.nodes, n) }

// judge makes all checks and folds each failure under its cause.
func (g *graph) judge(ctx context.Context, progress func(string)) *Report {
	r := &Report{OK: true, Findings: []Finding{}, Checks: []Check{}, Configuration: []Snippet{}}
	made := map[string]Check{} // by id
	root := map[string]int{}   // by id of a check: its finding
	for _, n := range g.nodes {
		c := Check{ID: n.id, Kind: n.kind, Vantage: n.vantage, Title: n.title}
		v, blamed := n.examine(ctx, made, progress)
		c.Status, c.Cause, c.Said = v.status, v.cause, v.said
		r.Late = r.Late || v.late
		at := -1
		switch {
		case c.Status == Skipped && blamed != "":
			if i, ok := root[blamed]; ok {
				at = i
			}
		case c.Status == Failed || c.Status == Warning:
			at = g.fold(r, n, v, root)
			if at < 0 {
				r.Findings = append(r.Findings, Finding{Cause: v.cause, Status: v.status, Title: v.cause.Title(), Subject: v.subject, Fix: v.fix})
				at = len(r.Findings) - 1
			}
			r.OK = r.OK && c.Status != Failed
		}
		if at >= 0 {
			root[n.id] = at
			f := &r.Findings[at]
			if f.Check.ID == "" {
				f.Check = c
			} else {
				c.Because = f.Check.ID
				f.Same = append(f.Same, c)
				if c.Status == Failed {
					f.Status = Failed
				}
			}
		}
		r.Checks = append(r.Checks, c)
		made[n.id] = c
	}
	progress("")
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return weight(a) - weight(b) })
	return r
}

// weight puts what breaks logins before what is worth a thought.
func weight(f Finding) int {
	if f.Status == Failed {
		return 0
	}
	return 1
}

// examine makes a check unless one that it needs did not pass; blamed is that
// one.
func (n node) examine(ctx context.Context, made map[string]Check, progress func(string)) (v verdict, blamed string) {
	for _, id := range n.needs {
		c, there := made[id]
		switch {
		case !there, c.Status == OK, c.Status == Warning:
			continue
		case c.Status == Skipped:
			return skip("%s was not looked at", c.Title), id
		}
		return skip("%s failed", c.Title), id
	}
	if ctx.Err() != nil {
		return late(), ""
	}
	progress(n.title)
	return n.run(ctx), ""
}

// fold finds the finding that a failure belongs to: that of a check which
// explains it, or one with the same cause and subject.
func (g *graph) fold(r *Report, n node, v verdict, root map[string]int) int {
	explain := n.behind
	if !v.alone {
		explain = append(slices.Clone(explain), n.under...)
	}
	for _, id := range explain {
		if i, ok := root[id]; ok && r.Findings[i].Status == Failed {
			return i
		}
	}
	return slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Cause == v.cause && f.Subject == v.subject })
}
