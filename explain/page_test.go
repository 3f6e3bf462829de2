package explain

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

//go:generate go test -run "^TestThePageOfErrorLinesIsCurrent$" . -update

var update = flag.Bool("update", false, "write docs/error-lines.md anew")

const pageFile = "../docs/error-lines.md"

// TestThePageOfErrorLinesIsCurrent compares docs/error-lines.md with what is
// known, or writes it with -update: the page and the command say the same.
func TestThePageOfErrorLinesIsCurrent(t *testing.T) {
	want := errorLines()
	if *update {
		if err := os.WriteFile(pageFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have, err := os.ReadFile(pageFile); err != nil || string(have) != want {
		t.Errorf("%s is not current: run go generate ./explain (%v)", pageFile, err)
	}
}

// TestEveryPageThatAnEntryNamesIsThere keeps the references.
func TestEveryPageThatAnEntryNamesIsThere(t *testing.T) {
	for _, e := range knowledge() {
		for _, see := range e.see {
			file, _, _ := strings.Cut(see, "#")
			if _, err := os.Stat("../" + file); err != nil {
				t.Errorf("%s: %v", e.id, err)
			}
		}
	}
}

func errorLines() string {
	var b strings.Builder
	b.WriteString(`# Error lines

What clients, providers, proxies and browsers print when a login fails, and what it means. Made from what
` + "`onedoor explain`" + ` knows, by ` + "`go generate ./explain`" + `; the command puts the line's own values into the answer and
asks no network. The door's own messages are in [troubleshooting.md](troubleshooting.md). ` + "`…`" + ` stands for a value; D1 to D10
are the checks of [the doctor](doctor.md), and names such as ` + "`reach.loopback`" + ` what it calls the cause.

`)
	parts := []struct {
		title   string
		entries []entry
	}{
		{"The way to the provider", network},
		{"Certificates", certificates},
		{"The discovery document", discovery},
		{"Issuers", issuers},
		{"Tokens, codes, secrets", tokens},
		{"Redirect URIs and clients", redirects},
		{"The app's and the provider's cookies", logins},
		{"Browsers", browsers},
		{"Hosts, headers, proxies", hosts},
		{"What only says that something failed", wrappers},
	}
	for i, part := range parts {
		separator := " ·\n"
		if i == len(parts)-1 {
			separator = "\n\n"
		}
		fmt.Fprintf(&b, "[%s](#%s)%s", part.title, anchor(part.title), separator)
	}
	for _, part := range parts {
		fmt.Fprintf(&b, "## %s\n\n", part.title)
		for i := range part.entries {
			part.entries[i].write(&b)
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

// write writes an entry as a section, with no value in its gaps.
func (e *entry) write(b *strings.Builder) {
	v := values{}
	md := func(words string) string { return markdown(v.fill(words)) }
	fmt.Fprintf(b, "### %s\n\n`%s`\n\n| message | printed by |\n|---|---|\n", md(e.title), e.id)
	for _, s := range e.says {
		fmt.Fprintf(b, "| %s | %s |\n", strings.ReplaceAll(code(s.literal()), "|", `\|`), s.by)
	}
	fmt.Fprintf(b, "\n%s\n\n", md(e.means))
	causes := e.causes
	if e.look != nil {
		causes = append(e.look(v), causes...)
	}
	for i, c := range causes {
		fmt.Fprintf(b, "%d. %s", i+1, md(c.what))
		switch checks := strings.Join(c.checks, ", "); {
		case c.finding != "":
			fmt.Fprintf(b, " (`%s`: %s)", c.finding, checks)
		case checks != "":
			fmt.Fprintf(b, " (%s)", checks)
		}
		b.WriteString("\n")
		for _, confirm := range c.confirm {
			fmt.Fprintf(b, "   - Confirm: %s\n", code(v.fill(confirm)))
		}
		if c.do != "" {
			fmt.Fprintf(b, "   - With a door: %s\n", md(c.do))
		}
		if c.without != "" {
			fmt.Fprintf(b, "   - Without: %s\n", md(c.without))
		}
	}
	for i, see := range e.see {
		if i == 0 {
			b.WriteString("\nMore: ")
		} else {
			b.WriteString(", ")
		}
		see = strings.TrimPrefix(see, "docs/")
		fmt.Fprintf(b, "[%s](%s)", see, see)
	}
	if len(e.see) > 0 {
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// code is a text as code; it may hold backticks itself.
func code(s string) string {
	s = strings.TrimSpace(s)
	if strings.Contains(s, "`") {
		return "`` " + s + " ``"
	}
	return "`" + s + "`"
}

// markdown keeps stars, angle brackets and underscores of words as they are.
func markdown(s string) string {
	inCode := false
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '`':
			inCode = !inCode
		case !inCode && strings.ContainsRune(`*_<\`, r):
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
