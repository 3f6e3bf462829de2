package explain

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Bounds of a text, which is somebody's log.
const (
	// MaxText is how many octets of a text are read.
	MaxText     = 16 << 20
	maxRead     = 200_000 // lines
	maxDistinct = 20      // answers for one text
	maxLines    = 5       // places that are named for one answer
	maxPasted   = 200     // lines of a text that may have been wrapped on its way
	maxBreaks   = 2       // in one of its lines
)

// Report is what a text means.
type Report struct {
	Answers []Answer `json:"answers"`
	// Lines is how many lines were read, and Known in how many of them something
	// was recognised.
	Lines int `json:"lines"`
	Known int `json:"known"`
	// Cut tells that the text goes on after MaxText, or that it had more different
	// messages than are explained.
	Cut bool `json:"cut,omitempty"`
}

// Text explains each line of a text that is known. What was said once is not
// said again, and a message that only wraps another is left out when the other
// is near it.
func Text(r io.Reader) (Report, error) {
	all, cut, err := readLines(r)
	if err != nil {
		return Report{}, err
	}
	report := Report{Answers: []Answer{}, Lines: len(all), Cut: cut}
	var found []placed
	seen := map[string]int{} // how often a match was found
	event := 0
	for i := range all {
		if !continued.MatchString(all[i]) {
			event++
		}
		l := newLine(all[i])
		l.after = all[i+1 : min(len(all), i+1+near)]
		matches := recognise(l)
		// A line break in a value parts a line in two.
		if whole := recognise(l.joined()); len(whole) > 0 && (len(matches) == 0 || whole[0].says.weight() > matches[0].says.weight()) {
			matches = whole
		}
		if len(all) <= maxPasted {
			matches = l.unwrapped(matches)
		}
		if len(matches) > 0 {
			report.Known++
		}
		for _, m := range matches {
			key := m.key()
			if len(seen) >= maxDistinct && seen[key] == 0 {
				report.Cut = true
				continue
			}
			if seen[key]++; seen[key] <= maxLines {
				found = append(found, placed{m, key, i + 1, event})
			}
		}
	}
	report.Answers = gather(found)
	return report, nil
}

// continued is a line that goes on with what an earlier one says: the frames of a
// stack, mostly, of which Java and Python print more than are near.
var continued = regexp.MustCompile(`^(?:[\w.-]+ *\| ?)?[ \t]`)

// placed is a match and the line that it stands in.
type placed struct {
	match
	key   string
	line  int
	event int // the line's number, where lines that go on are not counted
}

// key is the same for two matches that get the same answer.
func (m match) key() string {
	v := m.values.shown()
	var b strings.Builder
	b.WriteString(m.id + "\x00" + m.says.by)
	for _, name := range slices.Sorted(maps.Keys(v)) {
		fmt.Fprintf(&b, "\x00%s=%s", name, v[name])
	}
	return b.String()
}

// gather makes one answer of matches that say the same, and leaves out those
// that say less of the same event.
func gather(found []placed) []Answer {
	answers := []Answer{}
	index := map[string]int{}
	for _, p := range found {
		if slices.ContainsFunc(found, func(other placed) bool { return p.lessThan(other) }) {
			continue
		}
		i, known := index[p.key]
		if !known {
			i = len(answers)
			index[p.key] = i
			answers = append(answers, p.answer())
		}
		if lines := answers[i].Lines; !slices.Contains(lines, p.line) {
			answers[i].Lines = append(lines, p.line)
		}
	}
	return answers
}

// lessThan tells whether another match near this one makes it superfluous: the
// reason beside its wrapping, or the same reason with more of its values.
func (p placed) lessThan(other placed) bool {
	if distance := other.event - p.event; distance > near || distance < -near {
		return false
	}
	if p.wraps != other.wraps {
		return p.wraps > other.wraps
	}
	return p.id == other.id && p.key != other.key && len(p.values.shown()) < len(other.values.shown())
}

// saysMore tells whether the first of some matches is nearer to the cause than
// the first of others, or as near and the longer text.
func saysMore(some, others []match) bool {
	if len(some) == 0 || len(others) == 0 {
		return len(some) > 0
	}
	a, b := some[0], others[0]
	return a.wraps < b.wraps || a.wraps == b.wraps && a.says.weight() > b.says.weight()
}

// unwrapped gives what a line says together with the next ones, where a terminal
// or a mail has broken it, and matches where that is no more.
func (l line) unwrapped(matches []match) []match {
	if strings.HasPrefix(strings.TrimSpace(l.raw), "{") {
		return matches // a log in JSON, whose lines are whole
	}
	text, alone := l.text, matches
	for i, next := range l.after[:min(len(l.after), maxBreaks)] {
		text += " " + strings.TrimSpace(next)
		if its := recognise(newLine(next)); saysMore(its, alone) {
			alone = its
		}
		whole := newLine(text)
		whole.after = l.after[i+1:]
		if found := recognise(whole); saysMore(found, alone) {
			return found
		}
	}
	return matches
}

// joined is a line whose quotation marks are not closed, with the next one.
func (l line) joined() line {
	if len(l.after) == 0 || strings.Count(l.text, `"`)%2 == 0 {
		return line{}
	}
	both := newLine(l.text + "\n" + l.after[0])
	both.after = l.after[1:]
	return both
}

// readLines reads as much of a text as is looked at.
func readLines(r io.Reader) (all []string, cut bool, err error) {
	limited := &io.LimitedReader{R: r, N: MaxText + 1}
	b := bufio.NewReaderSize(limited, MaxLine)
	for {
		part, err := b.ReadSlice('\n')
		if len(part) > 0 {
			all = append(all, strings.TrimRight(string(part), "\r\n"))
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a line that is too long
			_, err = b.ReadSlice('\n')
		}
		switch {
		case errors.Is(err, io.EOF), len(all) == maxRead:
			return all, limited.N <= 0 || err == nil, nil
		case err != nil:
			return nil, false, err
		}
	}
}
