package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"onedoor/explain"
)

// logChecks are D10: each message of the log that is known is a symptom of what
// was found, or, where nothing was, a cause that could not be seen from here.
func (c *examination) logChecks() {
	if c.Log == "" {
		return
	}
	var all []string
	for _, n := range c.graph.nodes {
		all = append(all, n.id)
	}
	report, err := explain.Text(strings.NewReader(c.Log))
	if err != nil || len(report.Answers) == 0 {
		c.graph.add(node{id: "log", kind: "D10", title: "the log", run: func(context.Context) verdict {
			return skip("none of its %d lines is known", report.Lines)
		}})
		return
	}
	for i, a := range report.Answers {
		c.graph.add(node{
			id: fmt.Sprintf("log/%d", i), kind: "D10", title: "the log: " + a.Title, under: all,
			run: func(context.Context) verdict {
				return warn(AppLog, a.ID, fmt.Sprintf("the log says %q: %s", bounded(oneLine(a.Message), maxSaid), a.Meaning), c.remedy(a)...)
			},
		})
	}
}

// remedy is what to do about a message.
func (c *examination) remedy(a explain.Answer) (fix []string) {
	for _, why := range a.Causes {
		for _, do := range []string{why.Do, why.Without} {
			if do != "" && (do == why.Do) == (c.Door != nil) && !slices.Contains(fix, do) {
				fix = append(fix, do)
			}
		}
	}
	if len(fix) == 0 {
		fix = []string{"ask for more: onedoor explain with that line"}
	}
	return fix
}

// explained says what an error that a page shows means.
func explained(said string) (lines []string) {
	for _, a := range explain.Line(said) {
		lines = append(lines, fmt.Sprintf("the page says %q: %s", a.Message, a.Meaning))
	}
	return lines
}
