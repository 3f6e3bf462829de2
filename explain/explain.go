// Package explain says what an error line of a client or a provider means: who
// printed it, how to confirm the cause, and what to do about it, with a door and
// without. It knows texts alone: it asks no network and reads no file.
//
// Reading starts here; what is known is in the files know_*.go, an entry for
// each cause, and in docs/troubleshooting.md for the door's own messages.
package explain

import (
	"cmp"
	"slices"
	"strings"
)

// Answer is what one line means.
type Answer struct {
	// ID names what was recognised, for programs: "loopback".
	ID string `json:"id"`
	// Title is the meaning in a few words.
	Title string `json:"title"`
	// Message is the text that was recognised, with its values; no other part of
	// the line is ever repeated.
	Message string `json:"message"`
	// Literal is the same text as it stands in the knowledge, with its gaps.
	Literal string `json:"literal"`
	// PrintedBy are the programs that print it.
	PrintedBy string `json:"printed_by"`
	// Values are what stood in the gaps, by their names.
	Values map[string]string `json:"values,omitempty"`
	// Meaning is what the message says, in words.
	Meaning string `json:"meaning"`
	// Causes are why it is printed, the most likely first.
	Causes []Cause `json:"causes"`
	// Seen tells how the message is known: live, source, thread or documentation.
	Seen Seen `json:"seen"`
	// See are pages of the documentation.
	See []string `json:"see,omitempty"`
	// Lines are where Text found it, counted from 1; the first few of them.
	Lines []int `json:"lines,omitempty"`
}

// Cause is one reason for a message, and the way out of it.
type Cause struct {
	What string `json:"what"`
	// Finding is the doctor's name for it, if it has one: "reach.loopback".
	Finding string `json:"finding,omitempty"`
	// Checks are the doctor's that look for it: "D1".
	Checks []string `json:"checks,omitempty"`
	// Confirm are commands to type, or things to look at.
	Confirm []string `json:"confirm,omitempty"`
	// Do is what to do with a door; Without, what to do without one.
	Do      string `json:"with_onedoor,omitempty"`
	Without string `json:"without_onedoor,omitempty"`
}

// Seen tells how a message is known.
type Seen string

// How a message is known.
const (
	Live          Seen = "live"          // the end-to-end tests make the real program print it
	Source        Seen = "source"        // it stands in the program's source
	Thread        Seen = "thread"        // people have shown it in public
	Documentation Seen = "documentation" // the program's makers describe it
)

// Bounds: input is a stranger's.
const (
	MaxLine    = 8 << 10 // octets of a line that are looked at
	maxAnswers = 3       // for one line
	maxCauses  = 5       // of one answer
)

// Line explains one line, the most likely meaning first. None: it is not known.
func Line(s string) []Answer {
	matches := recognise(newLine(s))
	answers := make([]Answer, len(matches))
	for i, m := range matches {
		answers[i] = m.answer()
	}
	return answers
}

// match is an entry that recognised a line.
type match struct {
	*entry
	says   *says
	values values
}

// recognise finds the entries whose messages stand in a line. What says more of
// the cause comes first: a message that only wraps another is left out when the
// other is there, and of the rest the longer text is the more certain one.
func recognise(l line) []match {
	found := ruleMatches(l)
	candidates := literals().in(l.lower)
	for len(candidates) > 0 {
		e := candidates[0].entry
		n := slices.IndexFunc(candidates, func(c candidate) bool { return c.entry != e })
		if n < 0 {
			n = len(candidates)
		}
		if m, ok := e.match(l, candidates[:n]); ok {
			found = append(found, m)
		}
		candidates = candidates[n:]
	}
	least := nothing
	for _, m := range found {
		least = min(least, m.wraps)
	}
	found = slices.DeleteFunc(found, func(m match) bool { return m.wraps > least })
	found = slices.DeleteFunc(found, func(m match) bool {
		return slices.ContainsFunc(found, func(other match) bool { return m.within(other) })
	})
	slices.SortStableFunc(found, func(a, b match) int { return cmp.Compare(b.says.weight(), a.says.weight()) })
	return found[:min(len(found), maxAnswers)]
}

// within tells whether another match's message holds this one's.
func (m match) within(other match) bool {
	mine, others := m.says.pattern().anchor, other.says.pattern()
	return other.entry != m.entry && len(m.says.pattern().names) == 0 && m.says.weight() < others.weight && strings.Contains(strings.ToLower(others.heading), mine)
}

// match finds the longest of the entry's messages in a line, of those that may
// stand there.
func (e *entry) match(l line, candidates []candidate) (match, bool) {
	best := match{entry: e}
	for _, c := range candidates {
		s := c.says
		if best.says != nil && s.weight() <= best.says.weight() {
			continue
		}
		if v, ok := s.find(l); ok && (e.when == nil || e.when(v)) {
			best.says, best.values = s, v
		}
	}
	return best, best.says != nil
}

// answer puts the values into the entry's words.
func (m match) answer() Answer {
	v := m.values
	var causes []cause
	if m.look != nil {
		causes = m.look(v)
	}
	a := Answer{
		ID: m.id, Title: v.fill(m.title), Message: v.message(m.says.text), Literal: m.says.literal(),
		PrintedBy: m.says.by, Meaning: v.fill(m.means), Seen: m.says.seen, See: m.see, Values: v.shown(),
	}
	causes = append(v.hiddenCauses(), causes...)
	if len(causes) == 0 || !m.lookSuffices {
		causes = append(causes, m.causes...)
	}
	causes = causes[:min(len(causes), maxCauses)]
	a.Causes = make([]Cause, len(causes))
	for i, c := range causes {
		a.Causes[i] = Cause{What: v.fill(c.what), Finding: c.finding, Checks: c.checks, Do: v.fill(c.do), Without: v.fill(c.without)}
		for _, confirm := range c.confirm {
			a.Causes[i].Confirm = append(a.Causes[i].Confirm, v.fillCommand(confirm))
		}
	}
	return a
}

// Message is one that is known.
type Message struct {
	ID      string
	Literal string // with … for its values
	Seen    Seen
}

// Messages are all that programs other than the door print.
func Messages() (all []Message) {
	for _, e := range knowledge() {
		for i := range e.says {
			s := &e.says[i]
			all = append(all, Message{e.id, s.literal(), s.seen})
		}
	}
	return all
}
