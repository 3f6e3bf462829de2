//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
)

// report is what a run found. Nothing in it fails the run: a budget that is
// missed is there to be read.
type report struct {
	Date     string   `json:"date"`
	Machine  string   `json:"machine"`
	Versions []string `json:"versions"`
	Quick    bool     `json:"quick"`
	Results  []result `json:"results"`
	Facts    []fact   `json:"facts"`
}

// result is a measurement with a budget.
type result struct {
	What string `json:"what"`
	Unit string `json:"unit"` // "×": a ratio
	spread
	Budget  float64 `json:"budget"`
	Verdict verdict `json:"verdict"`
}

type verdict string

const (
	met    verdict = "met"
	missed verdict = "MISSED"
	noisy  verdict = "too noisy to tell"
)

// judge compares the median. Where half of the values differ by more than the
// whole budget, the machine was measured and not the door.
func judge(s spread, most float64) verdict {
	switch {
	case s.High-s.Low > most:
		return noisy
	case s.Median > most:
		return missed
	}
	return met
}

// fact is a measurement without one: what the ratios are made of, and what the
// peers need for the same.
type fact struct {
	What string `json:"what"`
	Unit string `json:"unit"`
	spread
}

// budget adds a result. Quartiles are given where there are several values.
func (r *report) budget(what, unit string, most float64, values ...float64) {
	s := spreadOf(values)
	r.Results = append(r.Results, result{what, unit, s, most, judge(s, most)})
}

func (r *report) fact(what, unit string, values ...float64) {
	r.Facts = append(r.Facts, fact{what, unit, spreadOf(values)})
}

// costs adds the microseconds of every contender, by name.
func (r *report) costs(work string, costs series) {
	for _, name := range slices.Sorted(maps.Keys(costs)) {
		r.fact(work+": CPU of one request, "+name, "µs", costs[name]...)
	}
}

func (s spread) text(unit string) string {
	if s.Low == s.High {
		return number3(s.Median) + " " + unit
	}
	return fmt.Sprintf("%s %s\t%s – %s", number3(s.Median), unit, number3(s.Low), number3(s.High))
}

// number3 writes three significant digits at most.
func number3(v float64) string {
	switch {
	case v >= 100 || v <= -100 || v == float64(int64(v)):
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r *report) print(out io.Writer) error {
	fmt.Fprintf(out, "%s; %s\n", r.Date, r.Machine)
	for _, v := range r.Versions {
		fmt.Fprintln(out, v)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nbudgets\tmeasured\tquartiles\tbudget\t\n")
	for _, x := range r.Results {
		fmt.Fprintf(w, "%s\t%s\t≤ %s %s\t%s\n", x.What, columns(x.text(x.Unit)), number3(x.Budget), x.Unit, x.Verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	w = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "\nwhat they are made of\tmeasured\tquartiles\n")
	for _, x := range r.Facts {
		fmt.Fprintf(w, "%s\t%s\n", x.What, x.text(x.Unit))
	}
	return w.Flush()
}

// columns makes two of a measurement without quartiles.
func columns(text string) string {
	for _, c := range text {
		if c == '\t' {
			return text
		}
	}
	return text + "\t"
}

func (r *report) save(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
