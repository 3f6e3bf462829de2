package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"onedoor/doctor"
	"onedoor/explain"
)

// TestExplainAndTheDoctorUseTheSameNames: who reads one runs the other.
func TestExplainAndTheDoctorUseTheSameNames(t *testing.T) {
	lines, err := os.ReadFile("../../explain/testdata/lines.txt")
	if err != nil {
		t.Fatal(err)
	}
	known := doctor.Causes()
	found := map[string]bool{}
	for line := range strings.Lines(string(lines)) {
		for _, a := range explain.Line(line) {
			for _, c := range a.Causes {
				if c.Finding == "" {
					continue
				}
				found[c.Finding] = true
				if !slices.Contains(known, doctor.Cause(c.Finding)) {
					t.Errorf("%s: the doctor knows no %s", a.ID, c.Finding)
				}
			}
		}
	}
	if len(found) < 20 {
		t.Errorf("found only %d names: the test looks in the wrong place", len(found))
	}
}
