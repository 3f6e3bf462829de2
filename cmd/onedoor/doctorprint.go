package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"onedoor/doctor"
)

// patience is how long a command is silent before it says what it waits for.
const patience = 2 * time.Second

// progress says what is being waited for, when that takes more than a moment: on
// a terminal in one line that goes again, else in a line each.
type progress struct {
	t     *terminal
	mu    sync.Mutex
	what  string
	said  string
	since time.Time
	done  chan struct{}
	once  sync.Once
}

func newProgress(t *terminal) *progress {
	p := &progress{t: t, since: time.Now(), done: make(chan struct{})}
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-p.done:
				return
			case <-tick.C:
				p.show()
			}
		}
	}()
	return p
}

func (p *progress) waiting(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if what != p.what {
		p.what, p.since = what, time.Now()
	}
}

func (p *progress) show() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.what == "" || time.Since(p.since) < patience {
		return
	}
	if p.t.colour {
		fmt.Fprintf(p.t.err, "\r\x1b[K%s … %d s", plain(p.what), int(time.Since(p.since).Seconds()))
		p.said = p.what
	} else if p.said != p.what {
		fmt.Fprintf(p.t.err, "onedoor: %s …\n", plain(p.what))
		p.said = p.what
	}
}

// say prints a line at once.
func (p *progress) say(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	fmt.Fprintf(p.t.err, "onedoor: %s\n", line)
}

func (p *progress) clear() {
	if p.t.colour && p.said != "" {
		fmt.Fprint(p.t.err, "\r\x1b[K")
	}
}

func (p *progress) stop() {
	p.once.Do(func() {
		close(p.done)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.clear()
		p.what = ""
	})
}

// print writes a report for a person: the causes first, each with what to do,
// then who reaches what, every check in a line, and what to paste.
func (c *doctorCommand) print(t *terminal, r *doctor.Report) error {
	names := make([]string, len(r.Vantages))
	for i, v := range r.Vantages {
		names[i] = v.Name
		if v.Container {
			names[i] += " (in a container)"
		}
	}
	fmt.Fprintf(t.out, "%s, seen from %s\n", plain(r.Subject), strings.Join(names, ", "))
	for _, v := range r.Vantages {
		if v.Blind != "" {
			fmt.Fprintf(t.out, "\n%s could not look: %s\n", plain(v.Name), plain(v.Blind))
		}
	}
	c.findings(t, r)
	if len(r.Table) > 1 {
		fmt.Fprintln(t.out)
		if err := t.table(r.Table); err != nil {
			return err
		}
	}
	fmt.Fprintln(t.out)
	if err := c.checks(t, r); err != nil {
		return err
	}
	for _, s := range r.Configuration {
		fmt.Fprintf(t.out, "\n%s\n\n", t.title("To paste, "+s.Title+":"))
		for line := range strings.Lines(s.Text) {
			fmt.Fprintf(t.out, "    %s\n", plain(strings.TrimRight(line, "\n")))
		}
	}
	return nil
}

func (c *doctorCommand) findings(t *terminal, r *doctor.Report) {
	if len(r.Findings) == 0 {
		fmt.Fprintf(t.out, "\nNothing was found that would keep anybody from logging in.\n")
		return
	}
	for _, f := range r.Findings {
		word, colour := "cause", "31"
		if f.Status == doctor.Warning {
			word, colour = "note", "33"
		}
		fmt.Fprintf(t.out, "\n%s %s: %s\n", t.mark(colour, word), f.Cause, f.Title)
		fmt.Fprintf(t.out, "  %s %s\n", f.Check.Kind, plain(f.Check.Said))
		for _, fix := range f.Fix {
			fmt.Fprintf(t.out, "  %s %s\n", t.mark("36", "fix"), plain(fix))
		}
		failed, skipped := 0, 0
		for _, s := range f.Same {
			if s.Status == doctor.Skipped {
				skipped++
			} else {
				failed++
			}
		}
		switch {
		case failed > 0 && skipped > 0:
			fmt.Fprintf(t.out, "  %s failed for the same reason, and %s could not be made\n", more(failed), checks(skipped))
		case failed > 0:
			fmt.Fprintf(t.out, "  %s failed for the same reason\n", more(failed))
		case skipped > 0:
			fmt.Fprintf(t.out, "  %s could not be made for that reason\n", checks(skipped))
		}
	}
}

func more(n int) string {
	if n == 1 {
		return "1 more check"
	}
	return fmt.Sprintf("%d more checks", n)
}

func checks(n int) string {
	if n == 1 {
		return "1 check"
	}
	return fmt.Sprintf("%d checks", n)
}

// checks prints one line for each check; endpoints of one host that all answer
// share theirs.
func (c *doctorCommand) checks(t *terminal, r *doctor.Report) error {
	causes := map[string]doctor.Cause{}
	for _, k := range r.Checks {
		causes[k.ID] = k.Cause
	}
	rows := [][]string{{"STATUS", "CHECK", "FROM", "WHAT", "RESULT"}}
	shared := map[string]int{} // rows of endpoints that answer, by vantage and host
	many := map[string]int{}
	for _, k := range r.Checks {
		said, from := k.Said, k.Vantage
		if from == "" {
			from = "all"
		}
		switch k.Status {
		case doctor.OK:
			if said == "" {
				said = "fine"
			}
		case doctor.Failed, doctor.Warning:
			said = string(k.Cause)
			if k.Because != "" && causes[k.Because] != k.Cause {
				said = "because of " + string(causes[k.Because])
			}
		case doctor.Skipped:
			said = "not looked at: " + said
		}
		if _, host, is := strings.Cut(k.Title, " at "); is && k.Status == doctor.OK && strings.HasPrefix(k.ID, "endpoint/") {
			key := from + " " + host
			if many[key]++; many[key] > 1 {
				row := rows[shared[key]]
				row[3], row[4] = fmt.Sprintf("%d endpoints at %s", many[key], host), "each answers"
				continue
			}
			shared[key] = len(rows)
		}
		rows = append(rows, []string{string(k.Status), k.Kind, from, k.Title, said})
	}
	return t.table(rows)
}

// mark is a word in colour on a terminal.
func (t *terminal) mark(colour, word string) string {
	if !t.bold {
		return word + ":"
	}
	return "\x1b[1;" + colour + "m" + word + ":\x1b[0m"
}
