package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"golang.org/x/term"

	"onedoor/explain"
)

type explainCommand struct {
	JSON bool     `name:"json" help:"Print JSON."`
	Line []string `arg:"" optional:"" name:"line" help:"The error line, in quotation marks; - or nothing reads lines from standard input."`
}

// explained is what --json prints.
type explained struct {
	explain.Report
	// Nearest are messages that an unknown line may have been meant as.
	Nearest []explain.Guess `json:"nearest,omitempty"`
}

// Run explains what it was given. It asks no network: exit code 1 says that
// nothing of it is known.
func (e *explainCommand) Run(t *terminal) error {
	text, err := e.text(t)
	if err != nil {
		return err
	}
	// The beginning is kept for guessing, where nothing is known.
	var head strings.Builder
	report, err := explain.Text(io.TeeReader(text, &firstOf{to: &head, left: explain.MaxLine}))
	if err != nil {
		return couldNotLook(err, "")
	}
	result := explained{Report: report}
	if len(report.Answers) == 0 {
		result.Nearest = explain.Nearest(head.String())
	}
	if e.JSON {
		if err := t.json(result); err != nil {
			return couldNotLook(err, "")
		}
		if len(report.Answers) == 0 {
			return alreadySaid(1)
		}
		return nil
	}
	if len(report.Answers) == 0 {
		return unexplained(result)
	}
	t.explain(report)
	return nil
}

// text is what is to be explained: the arguments, which somebody may have given
// without quotation marks, or standard input.
func (e *explainCommand) text(t *terminal) (io.Reader, error) {
	if len(e.Line) > 0 && !slices.Equal(e.Line, []string{"-"}) {
		return strings.NewReader(strings.Join(e.Line, " ")), nil
	}
	if f, ok := t.in.(*os.File); ok && len(e.Line) == 0 && term.IsTerminal(int(f.Fd())) {
		return nil, couldNotLook(errors.New("there is no line to explain"), `for example: onedoor explain "connect ECONNREFUSED 127.0.0.1:80"`)
	}
	return t.in, nil
}

func unexplained(r explained) error {
	message := "this line is not known"
	switch {
	case r.Lines == 0:
		return couldNotLook(errors.New("there is no line to explain"), `for example: onedoor explain "connect ECONNREFUSED 127.0.0.1:80"`)
	case r.Lines > 1:
		message = fmt.Sprintf("none of these %d lines is known", r.Lines)
	}
	hint := "onedoor doctor looks for the cause itself (docs/doctor.md); docs/error-lines.md has every message that is known"
	if len(r.Nearest) > 0 {
		var near []string
		for _, g := range r.Nearest {
			near = append(near, fmt.Sprintf("%q (%s)", g.Message, g.Title))
		}
		hint = "did you mean " + strings.Join(near, ", or ") + "? Otherwise " + hint
	}
	return found(errors.New(message), hint)
}

// explain prints answers for people.
func (t *terminal) explain(r explain.Report) {
	for i, a := range r.Answers {
		if i > 0 {
			fmt.Fprintln(t.out)
		}
		fmt.Fprintln(t.out, t.title(plain(a.Message)))
		if r.Lines > 1 {
			t.say("line", lineNumbers(a.Lines))
		}
		t.say("printed by", a.PrintedBy)
		if strings.HasPrefix(a.ID, "onedoor/") {
			t.say("got", a.Values["got"])
			t.say("want", a.Values["want"])
		}
		t.say("means", a.Meaning)
		for i, c := range a.Causes {
			label := "cause"
			if len(a.Causes) > 1 {
				label = fmt.Sprintf("cause %d", i+1)
			}
			t.say(label, c.What)
			switch checks := strings.Join(c.Checks, ", "); {
			case c.Finding != "":
				t.say("", "onedoor doctor calls it "+c.Finding+" ("+checks+")")
			case checks != "":
				t.say("", "onedoor doctor looks for it: "+checks)
			}
			for _, confirm := range c.Confirm {
				t.say("confirm", confirm)
			}
			t.say("with a door", c.Do)
			t.say("without", c.Without)
		}
		t.say("more", strings.Join(a.See, " "))
	}
	if unknown := r.Lines - r.Known; r.Lines > 1 && unknown > 0 {
		fmt.Fprintf(t.out, "\n%d of %d lines are not known.\n", unknown, r.Lines)
	}
	if r.Cut {
		fmt.Fprintln(t.out, "There is more than was looked at: narrow it down to one login.")
	}
}

const (
	labelWidth = 13
	textWidth  = 100
)

// say prints a label and a text, which is wrapped beside it. A command to copy
// stays on its line.
func (t *terminal) say(label, text string) {
	if text == "" {
		return
	}
	for paragraph := range strings.SplitSeq(text, "\n") {
		lines := []string{plain(paragraph)}
		if label != "confirm" {
			lines = wrap(lines[0], textWidth-labelWidth)
		}
		for _, line := range lines {
			fmt.Fprintf(t.out, "  %-*s%s\n", labelWidth, label, line)
			label = ""
		}
	}
}

func wrap(text string, width int) (lines []string) {
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}

func lineNumbers(lines []int) string {
	var out []string
	for _, n := range lines {
		out = append(out, fmt.Sprint(n))
	}
	return strings.Join(out, ", ")
}

// firstOf keeps the beginning of what is written to it.
type firstOf struct {
	to   io.Writer
	left int
}

func (f *firstOf) Write(p []byte) (int, error) {
	n := min(len(p), f.left)
	f.left -= n
	if _, err := f.to.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}
