//go:build e2e && linux

package e2e

import (
	"fmt"
	"html"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"onedoor/explain"
)

// TestExplainKnowsWhatRealProgramsPrint makes the mistakes with the real
// programs, and hands what they print to explain as it came.
func TestExplainKnowsWhatRealProgramsPrint(t *testing.T) {
	provoked := &provocations{messages: explain.Messages(), printed: map[string]bool{}}
	parts := []struct {
		name string
		run  func(*testing.T, *provocations)
	}{
		{"sites", provokeSites},
		{"tools", provokeTools},
		{"libraries", provokeLibraries},
		{"nginx", provokeNginx},
		{"Chromium", provokeChromium},
		{"Keycloak", provokeKeycloak},
	}
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) { part.run(t, provoked); provoked.parts++ })
	}
	// A mark of the knowledge is a fact: what it calls live was printed here.
	if provoked.parts < len(parts) || t.Failed() {
		return // not all of them ran
	}
	live := 0
	for _, m := range provoked.messages {
		switch was := provoked.printed[m.Literal] || provoked.printed[otherVersions[m.Literal]]; {
		case m.Seen == explain.Live && !was:
			t.Errorf("%s: %q is marked live, and nothing here prints it", m.ID, m.Literal)
		case m.Seen != explain.Live && was:
			t.Errorf("%s: %q is printed here, and marked %s", m.ID, m.Literal, m.Seen)
		case was:
			live++
		}
	}
	t.Logf("%d of %d messages were printed by the real program", live, len(provoked.messages))
}

// otherVersions are messages that another version of the program words as the
// value: Node.js, and the libraries of curl and Node.js for TLS.
var otherVersions = map[string]string{
	`Unexpected token '<', "<!doctype "... is not valid JSON`:              "Unexpected token < in JSON at position 0",
	"Failed to connect to … port … after … ms: Couldn't connect to server": "Failed to connect to … port … after … ms: Could not connect to server",
	"wrong version number": "packet length too long",
}

// provocations is what the programs printed.
type provocations struct {
	messages []explain.Message
	parts    int

	mu      sync.Mutex
	printed map[string]bool // literals
}

// knows fails the test unless explain names, as the first thing that a text says,
// the entry of this id.
func (p *provocations) knows(t *testing.T, id, text string) {
	t.Helper()
	if got := p.first(text); got != id {
		t.Errorf("explain says %s, want %s, of what was printed:\n%s", got, id, text)
	}
}

// awaitKnown waits for what is printed to be known so.
func (p *provocations) awaitKnown(t *testing.T, id string, printed func() string) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		text := printed()
		if p.first(text) == id {
			return
		}
		select {
		case <-tick.C:
		case <-limit.C:
			p.knows(t, id, text)
			return
		}
	}
}

func (p *provocations) first(text string) string {
	report, err := explain.Text(strings.NewReader(text))
	if err != nil {
		return err.Error()
	}
	p.note(text)
	if len(report.Answers) == 0 {
		return fmt.Sprintf("nothing of %d lines", report.Lines)
	}
	return report.Answers[0].ID
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// note keeps which messages stand in a text.
func (p *provocations) note(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if plain, err := url.QueryUnescape(text); err == nil { // addresses
		text += "\n" + plain
	}
	text = colours.ReplaceAllString(text, "")
	for line := range strings.Lines(html.UnescapeString(strings.NewReplacer("’", "'", `\"`, `"`).Replace(text))) {
		for _, m := range p.messages {
			if !p.printed[m.Literal] && holds(line, strings.Split(m.Literal, "…")) {
				p.printed[m.Literal] = true
			}
		}
	}
}

// holds says whether the parts stand in a line, one behind the other.
func holds(line string, parts []string) bool {
	for _, part := range parts {
		_, rest, ok := strings.Cut(line, part)
		if !ok {
			return false
		}
		line = rest
	}
	return true
}
