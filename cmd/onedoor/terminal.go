package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"onedoor/config"
)

// terminal is where a command reads and writes.
type terminal struct {
	ctx    context.Context // ends with the first SIGINT or SIGTERM
	in     io.Reader
	out    io.Writer
	err    io.Writer
	colour bool // err is a terminal
	bold   bool // out is a terminal
}

func newTerminal(ctx context.Context, in io.Reader, out, err io.Writer) *terminal {
	return &terminal{ctx: ctx, in: in, out: out, err: err, colour: isTerminal(err), bold: isTerminal(out)}
}

// isTerminal tells whether colours are welcome: a person is looking, and did
// not ask for none (no-color.org).
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd()))
}

// failure is an error that knows its exit code and what to do about it.
type failure struct {
	code    int    // 1: found problems; 2: wrong usage, or could not look
	message string // empty: everything is said already
	hint    string
	cause   error
}

func (f *failure) Error() string { return f.message }
func (f *failure) Unwrap() error { return f.cause }

// couldNotLook is the failure of a command that did not get to its work.
func couldNotLook(err error, hint string) error {
	return &failure{code: 2, message: err.Error(), hint: hint, cause: err}
}

// found is the failure of a command that did its work and found err.
func found(err error, hint string) error {
	return &failure{code: 1, message: err.Error(), hint: hint, cause: err}
}

// alreadySaid is found for a command that printed its findings itself.
func alreadySaid(code int) error { return &failure{code: code} }

// usage makes a failure of what kong says about flags and arguments.
func usage(err error) error {
	help := "onedoor help"
	var parse *kong.ParseError
	if errors.As(err, &parse) && parse.Context != nil {
		if node := parse.Context.Selected(); node != nil {
			help += " " + strings.TrimPrefix(node.FullPath(), "onedoor ")
		}
	}
	hint := "try: " + help
	if strings.Contains(err.Error(), `unknown unit "d"`) {
		hint = "write days as hours: 720h is thirty days"
	}
	return &failure{code: 2, message: err.Error(), hint: hint, cause: err}
}

// report prints an error on stderr, and gives the exit code.
func (t *terminal) report(err error) int {
	if err == nil {
		return 0
	}
	var problems config.Problems
	var f *failure
	switch {
	case errors.As(err, &problems):
		for _, p := range problems {
			t.complain(p.Error(), p.Hint)
		}
		if problems.Unreadable() {
			return 2
		}
		return 1
	case errors.As(err, &f):
		if f.message != "" {
			t.complain(f.message, f.hint)
		}
		return f.code
	}
	t.complain(err.Error(), "")
	return 1
}

func (t *terminal) complain(message, hint string) {
	fmt.Fprintf(t.err, "onedoor: %s %s\n", t.paint("31", "error:"), message)
	if hint != "" {
		fmt.Fprintf(t.err, "onedoor: %s %s\n", t.paint("36", "hint:"), hint)
	}
}

func (t *terminal) paint(colour, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[1;" + colour + "m" + text + "\x1b[0m"
}

// title prints a heading of a summary.
func (t *terminal) title(text string) string {
	if !t.bold {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}

// json prints a value for programs.
func (t *terminal) json(v any) error {
	return t.encode(v, "  ")
}

// eachRemoved removes what has these names, up to the first that cannot be, and
// tells which are gone.
func (t *terminal) eachRemoved(asJSON bool, names []string, remove func(name string) error) (err error) {
	gone := []string{}
	for _, name := range names {
		if err = remove(name); err != nil {
			break
		}
		if gone = append(gone, name); !asJSON {
			fmt.Fprintf(t.out, "removed %s\n", plain(name))
		}
	}
	if asJSON {
		if err := t.json(gone); err != nil {
			return err
		}
	}
	return err
}

// line prints a value for programs, on one line.
func (t *terminal) line(v any) error {
	return t.encode(v, "")
}

// encode writes JSON, in which what a terminal would obey is escaped:
// encoding/json leaves DEL, the C1 controls and directions of writing as they
// are.
func (t *terminal) encode(v any, indent string) error {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(v); err != nil {
		return err
	}
	out := text.String()
	if strings.ContainsFunc(out, func(r rune) bool { return r != '\n' && obeyed(r) }) {
		text.Reset()
		for _, r := range out {
			if r != '\n' && obeyed(r) {
				fmt.Fprintf(&text, "\\u%04x", r)
			} else {
				text.WriteRune(r)
			}
		}
		out = text.String()
	}
	_, err := io.WriteString(t.out, out)
	return err
}

// table prints rows whose columns line up; the first row is the heading.
func (t *terminal) table(rows [][]string) error {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			row[i] = plain(cell)
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(row, "\t"), "\t"))
	}
	return w.Flush()
}

// plain takes out of a text what a terminal would obey: somebody else may have
// chosen it.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if obeyed(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}

// obeyed says whether a terminal would do something at a character in place of
// showing it: what comes behind a direction of writing is shown elsewhere.
func obeyed(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }

// secret reads a password or secret from the first line of stdin, so that it
// stands in no command line, which every user of the machine can list.
func (t *terminal) secret() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(t.in, 64<<10)).ReadString('\n')
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		if err == nil || errors.Is(err, io.EOF) {
			err = errors.New("nothing was given on standard input")
		}
		return "", couldNotLook(err, "pipe it in on one line, or leave the flag out to have one generated")
	}
	return line, nil
}
