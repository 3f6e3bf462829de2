package onedoor_test

import (
	"os"
	"strings"
	"testing"
)

// TestEveryMutationHasItsPlace keeps testdata/mutants.txt beside the code: a
// mutation whose text is gone takes no rule out, and ends the run of all.
func TestEveryMutationHasItsPlace(t *testing.T) {
	all, err := os.ReadFile("testdata/mutants.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, mutation := range strings.Split(string(all), "\n## ")[1:] {
		var file string
		var text []string
		lines := strings.Split(mutation, "\n")
		for _, line := range lines {
			if name, ok := strings.CutPrefix(line, "file "); ok {
				file = name
			} else if line, ok := strings.CutPrefix(line, "- "); ok {
				text = append(text, line)
			}
		}
		source, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%s: %v", lines[0], err)
			continue
		}
		if n := strings.Count(string(source), strings.Join(text, "\n")); n != 1 {
			t.Errorf("%s: its text stands %d times in %s, want once", lines[0], n, file)
		}
	}
}
