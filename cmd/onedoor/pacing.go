package main

import (
	"fmt"
	"strings"
	"time"
)

const (
	barEvery  = 100 * time.Millisecond // on a terminal
	lineEvery = 5 * time.Second        // elsewhere
	barWidth  = 24
)

// pacing says how far a long work has come: on a terminal by a bar, elsewhere
// by a line now and then.
type pacing struct {
	t       *terminal
	what    string
	total   int64 // octets; 0: not known
	began   time.Time
	said    time.Time
	now     func() time.Time
	printed bool // a bar stands in the line
}

func newPacing(t *terminal, what string, total int64) *pacing {
	p := &pacing{t: t, what: what, total: total, now: time.Now}
	p.began = p.now()
	p.said = p.began
	return p
}

// at tells that rows are done, and octets of the file are read.
func (p *pacing) at(rows int, octets int64) {
	now := p.now()
	every := lineEvery
	if p.t.colour {
		every = barEvery
	}
	if now.Sub(p.said) < every {
		return
	}
	p.said = now
	rate := float64(rows) / max(now.Sub(p.began).Seconds(), 0.001)
	text := fmt.Sprintf("%s rows, %s/s", grouped(rows), grouped(int(rate)))
	if p.total > 0 {
		part := min(float64(octets)/float64(p.total), 1)
		left := time.Duration(0)
		if part > 0 {
			left = time.Duration(float64(now.Sub(p.began)) * (1 - part) / part).Round(time.Second)
		}
		if p.t.colour {
			full := int(part * barWidth)
			text = fmt.Sprintf("%3.0f %% [%s%s] %s, %s left", part*100, strings.Repeat("#", full), strings.Repeat(".", barWidth-full), text, left)
		} else {
			text = fmt.Sprintf("%.0f %%, %s, %s left", part*100, text, left)
		}
	}
	if p.t.colour {
		fmt.Fprintf(p.t.err, "\r\x1b[K%s %s", p.what, text)
		p.printed = true
		return
	}
	fmt.Fprintf(p.t.err, "onedoor: %s %s\n", p.what, text)
}

// clear takes the bar away, before something else is printed.
func (p *pacing) clear() {
	if p.printed {
		fmt.Fprint(p.t.err, "\r\x1b[K")
		p.printed = false
	}
}

// grouped is a number with its thousands apart.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
