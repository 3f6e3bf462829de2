package onedoor_test

import (
	"encoding/hex"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"onedoor/config"
	"onedoor/seal"
)

// pages are all Markdown files of the project, by their path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	walk(t, ".md", func(name, text string) { out[name] = text })
	if len(out) < 10 {
		t.Fatalf("found only %d pages: the test looks in the wrong place", len(out))
	}
	return out
}

// walk visits the project's own files of one kind; what tools fetched is no
// part of it.
func walk(t *testing.T, kind string, visit func(name, text string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (strings.HasPrefix(base, ".") || base == "node_modules") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(name) != kind {
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		visit(filepath.ToSlash(name), string(text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

var (
	fence      = regexp.MustCompile("(?ms)^[ \t]*```([^\n]*)\n(.*?)^[ \t]*```[ \t]*$")
	inlineCode = regexp.MustCompile("`[^`\n]+`")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	heading    = regexp.MustCompile(`(?m)^#{1,6} +(.+?) *$`)
	absolute   = regexp.MustCompile(`^[a-z][a-z0-9+.-]*:`)
)

// prose is a page without its code.
func prose(page string) string {
	return inlineCode.ReplaceAllString(fence.ReplaceAllString(page, ""), "")
}

// anchors are the fragments that a page's headings can be reached by, made as
// GitHub makes them.
func anchors(page string) map[string]bool {
	out := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		slug := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, m[1])
		out[slug] = true
	}
	return out
}

func TestEveryRelativeLinkLeadsSomewhere(t *testing.T) {
	all := pages(t)
	for name, page := range all {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
			to := m[1] + m[2]
			if absolute.MatchString(to) {
				continue
			}
			file, fragment, _ := strings.Cut(to, "#")
			target := name
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(name), file))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", name, to)
				continue
			}
			if text, isPage := all[target]; fragment != "" && isPage && !anchors(text)[fragment] {
				t.Errorf("%s links to %s, and %s has no such heading", name, to, target)
			}
		}
	}
}

// A YAML block with a public_url is a configuration of the door; `${…}` in it
// has a default.
func TestEveryConfigurationInTheDocsIsSound(t *testing.T) {
	found := 0
	for name, page := range pages(t) {
		for _, m := range fence.FindAllStringSubmatch(page, -1) {
			if !strings.HasPrefix(m[1], "yaml") || !strings.Contains("\n"+m[2], "\npublic_url:") {
				continue
			}
			found++
			file := filepath.Join(t.TempDir(), "onedoor.yaml")
			if err := os.WriteFile(file, []byte(m[2]), 0o600); err != nil {
				t.Fatal(err)
			}
			none := func(string) (string, bool) { return "", false }
			if _, err := config.Load(file, none); err != nil {
				t.Errorf("%s shows a configuration that is refused:\n%s\n%v", name, m[2], err)
			}
		}
	}
	if found < 5 {
		t.Errorf("found only %d configurations: the test looks in the wrong place", found)
	}
}

var (
	citation = regexp.MustCompile(`THREATS ((?:(?:T-\d+|F\d+|§[\d.]*\d|rule \d+)(?:, | and )?)+)`)
	cited    = regexp.MustCompile(`T-\d+|F\d+|§[\d.]*\d|rule \d+`)
)

// Comments cite docs/threat-model.md as "THREATS T-31", "THREATS F5",
// "THREATS §3.4" or "THREATS rule 8".
func TestEveryCitedThreatIsInTheThreatModel(t *testing.T) {
	const model = "docs/threat-model.md"
	page := pages(t)[model]
	found := 0
	walk(t, ".go", func(name, text string) {
		if name == "docs_test.go" {
			return
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ParseComments)
		if err != nil {
			t.Error(err)
			return
		}
		for _, group := range file.Comments {
			comment := strings.Join(strings.Fields(group.Text()), " ")
			for _, m := range citation.FindAllStringSubmatch(comment, -1) {
				for _, id := range cited.FindAllString(m[1], -1) {
					found++
					if !hasThreat(page, id) {
						t.Errorf("%s cites THREATS %s, which is not in %s", name, id, model)
					}
				}
			}
		}
	})
	if found < 10 {
		t.Errorf("found only %d citations: the test looks for the wrong words", found)
	}
}

// hasThreat finds an id where the page gives it a place of its own.
func hasThreat(page, id string) bool {
	place := "\n| " + id + " |"
	if section, ok := strings.CutPrefix(id, "§"); ok {
		place = "\n### " + section + " "
	} else if rule, ok := strings.CutPrefix(id, "rule "); ok {
		place = "\n" + rule + ". "
	}
	return strings.Contains(page, place)
}

// american finds American spellings of words that the docs use; British is the
// project's. The brackets keep spelling linters from mending the list.
var american = regexp.MustCompile(`(?i)\b(behavio[r]s?|colo[r]s?|colo[r]ed|hono[r]s?|favo[r]s?|favo[r]ite|neighbo[r]|cente[r]s?|recogni[z]\w+|` +
	`normali[z]\w+|seriali[z]\w+|summari[z]\w+|minimi[z]\w+|customi[z]\w+|analy[z]\w+|defen[s]e|label[e]d|cancel[e]d|signal[i]ng|fulfil[l])\b`)

func TestDocsAreInBritishSpelling(t *testing.T) {
	for name, page := range pages(t) {
		for _, word := range american.FindAllString(prose(page), -1) {
			t.Errorf("%s: %q is the American spelling", name, word)
		}
	}
}

// The example of the specification is what the code opens: another program
// begins with it.
func TestTheSealedValueOfTheSpecificationOpens(t *testing.T) {
	page := pages(t)["docs/spec/sealed-values.md"]
	block := regexp.MustCompile(`(?m)^    ([0-9A-Za-z_-]{43,})$`).FindAllStringSubmatch(page, -1)
	if len(block) != 5 {
		t.Fatalf("found %d values in the example, want subkey, payload, sealed value, verifier, challenge", len(block))
	}
	payload, sealed, verifier, challenge := block[1][1], block[2][1], block[3][1], block[4][1]

	key := seal.Key{ID: 7, Secret: make([]byte, seal.KeySize)}
	for i := range key.Secret {
		key.Secret[i] = byte(i)
	}
	now := func() time.Time { return time.Unix(1767225600, 0) }
	ring, err := seal.NewRing(now, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ring.Open(seal.State, "https://auth.example.com/realms/atlas", sealed, time.Minute)
	if err != nil || hex.EncodeToString(got) != payload {
		t.Errorf("the sealed value opens as %x, %v, want %s", got, err, payload)
	}
	if _, err := ring.Open(seal.Code, "https://auth.example.com/realms/atlas", sealed, time.Minute); err == nil {
		t.Error("the sealed value opens as a code")
	}
	transaction := []byte{0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf}
	if got, err := ring.Verifier(7, transaction); err != nil || got != verifier || seal.Challenge(got) != challenge {
		t.Errorf("verifier %q, challenge %q, %v, want %q, %q", got, seal.Challenge(got), err, verifier, challenge)
	}
}

// The headings of the troubleshooting page are what the program prints, so that
// people find them; "…" stands for a value. The last section is about what
// other programs print.
func TestEveryTroubleshootingHeadingIsPrintedBySomeCode(t *testing.T) {
	const name = "docs/troubleshooting.md"
	page, _, ok := strings.Cut(pages(t)[name], "\n## What apps and providers say\n")
	if !ok {
		t.Fatalf("%s has no section about apps and providers", name)
	}
	var code strings.Builder
	keep := func(name, text string) {
		if !strings.HasSuffix(name, "_test.go") {
			code.WriteString(text)
		}
	}
	walk(t, ".go", keep)
	walk(t, ".json", keep)
	printed := code.String()
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(page, -1) {
		// What is printed is put together at values and before causes; the
		// name of a rule, of what was checked and what was wrong with it.
		for _, fragment := range regexp.MustCompile(`…|: `).Split(m[1], -1) {
			fragment = strings.Trim(fragment, " ,:")
			if _, wrong, isRule := strings.Cut(fragment, "."); isRule && strings.Contains(printed, `+".`+wrong+`"`) {
				continue
			}
			if !strings.Contains(printed, fragment) {
				t.Errorf("%s: no code prints %q of the heading %q", name, fragment, m[1])
			}
		}
	}
}

// Every rule that can stand in a line of the log is on that page.
func TestEveryRuleOfTheLogIsExplained(t *testing.T) {
	page := pages(t)["docs/troubleshooting.md"]
	rules := regexp.MustCompile(`(?:Rule: |rule\{|invalid\(|refuse\()"([a-z_]+[a-z_.]*)"|\treturn "([a-z_]+\.[a-z_.]+)"`)
	found := 0
	walk(t, ".go", func(name, text string) {
		if room, _, _ := strings.Cut(name, "/"); (room != "gateway" && room != "tenant") || strings.HasSuffix(name, "_test.go") {
			return
		}
		for _, m := range rules.FindAllStringSubmatch(text, -1) {
			found++
			rule := m[1] + m[2]
			family, _, _ := strings.Cut(rule, ".")
			places := []string{"\n### " + rule + "\n", "`" + rule + "`", "`" + family + ".…`"}
			if strings.HasSuffix(rule, ".") { // what follows is a value
				places = append(places, "`"+rule)
			}
			if !slices.ContainsFunc(places, func(p string) bool { return strings.Contains(page, p) }) {
				t.Errorf("%s refuses by the rule %q, which docs/troubleshooting.md does not have", name, rule)
			}
		}
	})
	if found < 30 {
		t.Errorf("found only %d rules: the test looks for the wrong words", found)
	}
}

// The table of rules has none that is gone.
func TestEveryRuleInTheTableIsInTheCode(t *testing.T) {
	var code strings.Builder
	walk(t, ".go", func(name, text string) {
		if !strings.HasSuffix(name, "_test.go") {
			code.WriteString(text)
		}
	})
	_, rest, _ := strings.Cut(pages(t)["docs/troubleshooting.md"], "\n| rule | what it met |\n")
	table, _, ok := strings.Cut(rest, "\n\n")
	if !ok {
		t.Fatal("docs/troubleshooting.md has no table of rules")
	}
	for row := range strings.Lines(table) {
		rules, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " | ")
		for _, quoted := range inlineCode.FindAllString(rules, -1) {
			rule := strings.TrimSuffix(strings.Trim(quoted, "`"), "…")
			is := strings.Contains(code.String(), `"`+rule+`"`)
			if family, _, more := strings.Cut(rule, "."); more { // some end with a value
				is = is || strings.Contains(code.String(), `"`+family+`."`)
			}
			if !is {
				t.Errorf("docs/troubleshooting.md explains the rule %q, by which nothing is refused", rule)
			}
		}
	}
}

// The docs name no command that is not there.
func TestEveryCommandInTheDocsExists(t *testing.T) {
	commands := map[string]bool{"help": true}
	walk(t, ".go", func(name, text string) {
		if name != "cmd/onedoor/main.go" {
			return
		}
		for _, m := range regexp.MustCompile("(?m)^\t[A-Z]\\w* +(\\w+)Command +`cmd:").FindAllStringSubmatch(text, -1) {
			commands[m[1]] = true
		}
	})
	if len(commands) < 5 {
		t.Fatalf("found only %d commands: the test looks in the wrong place", len(commands))
	}
	said := regexp.MustCompile("(?m)(?:^\\s*(?:\\$ )?|`)(?:\\./onedoor|onedoor|go run \\./cmd/onedoor) ([a-z]+)")
	for name, page := range pages(t) {
		code := strings.Join(inlineCode.FindAllString(page, -1), "\n")
		for _, m := range fence.FindAllStringSubmatch(page, -1) {
			code += "\n" + m[2]
		}
		for _, line := range regexp.MustCompile(`(?m)^ {4,}.*$`).FindAllString(page, -1) {
			code += "\n" + line
		}
		for _, m := range said.FindAllStringSubmatch(code, -1) {
			if !commands[m[1]] {
				t.Errorf("%s mentions onedoor %s, which is no command", name, m[1])
			}
		}
	}
}
