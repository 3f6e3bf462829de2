package explain

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

type sample struct{ id, line string }

// samples are testdata/lines.txt.
func samples(t testing.TB) (all []sample) {
	t.Helper()
	f, err := os.Open("testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if s.Text() == "" || strings.HasPrefix(s.Text(), "#") {
			continue
		}
		id, line, ok := strings.Cut(s.Text(), ": ")
		if !ok {
			t.Fatalf("%q is no sample", s.Text())
		}
		all = append(all, sample{id, line})
	}
	return all
}

// TestEveryLineFindsItsOwnEntryFirst is also the proof that no entry shadows
// another.
func TestEveryLineFindsItsOwnEntryFirst(t *testing.T) {
	for _, s := range samples(t) {
		answers := Line(s.line)
		if len(answers) == 0 {
			t.Errorf("%s: not known: %s", s.id, s.line)
			continue
		}
		if answers[0].ID != s.id {
			t.Errorf("%s: found %s by %q first: %s", s.id, answers[0].ID, answers[0].Literal, s.line)
		}
	}
}

func TestEveryMessageHasALineThatItAloneIsChosenFor(t *testing.T) {
	chosen, first := map[string]bool{}, map[string]bool{}
	for _, s := range samples(t) {
		for i, m := range recognise(newLine(s.line)) {
			chosen[m.says.text] = true
			if i == 0 {
				first[m.id] = true
			}
		}
	}
	for _, e := range knowledge() {
		if !first[e.id] {
			t.Errorf("no line is explained by %s first", e.id)
		}
		for _, s := range e.says {
			if !chosen[s.text] {
				t.Errorf("%s: no line is recognised by %q", e.id, s.text)
			}
		}
	}
}
