package gallery

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onedoor/doctor"
)

const page = "../../docs/doctor.md"

// TestTheListsInTheDocsAreCurrent compares docs/doctor.md with the gallery and
// the causes. ONEDOOR_UPDATE=1 writes it anew.
func TestTheListsInTheDocsAreCurrent(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, list := range map[string]string{"gallery": Markdown(), "causes": Causes()} {
		before, rest, found := strings.Cut(want, "<!-- "+name+" -->\n")
		_, after, ends := strings.Cut(rest, "<!-- /"+name+" -->\n")
		if !found || !ends {
			t.Fatalf("%s has no place for the list %q", page, name)
		}
		want = before + "<!-- " + name + " -->\n" + list + "<!-- /" + name + " -->\n" + after
	}
	if want == string(text) {
		return
	}
	if os.Getenv("ONEDOOR_UPDATE") == "" {
		t.Fatalf("%s is not current: ONEDOOR_UPDATE=1 go test ./e2e/gallery", page)
	}
	if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestEveryEntryHasItsOwnNameAndAKnownCause(t *testing.T) {
	var names []string
	broken := 0
	for _, e := range Entries() {
		if slices.Contains(names, e.Name) {
			t.Errorf("%s is there twice", e.Name)
		}
		names = append(names, e.Name)
		if e.Cause == "" {
			continue
		}
		broken++
		if e.Cause.Title() == "" || e.Says == "" || e.Broken == "" {
			t.Errorf("%s: cause %q, %q, %q", e.Name, e.Cause, e.Says, e.Broken)
		}
	}
	if broken < 25 {
		t.Errorf("only %d broken set-ups", broken)
	}
}

// TestEveryCauseIsMetSomewhere keeps causes that nobody has seen out: each is in
// the gallery, or a test of package doctor provokes it.
func TestEveryCauseIsMetSomewhere(t *testing.T) {
	files, err := os.ReadDir("../../doctor")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	for _, f := range files {
		if strings.HasSuffix(f.Name(), "_test.go") {
			text, err := os.ReadFile("../../doctor/" + f.Name())
			if err != nil {
				t.Fatal(err)
			}
			tests.Write(text)
		}
	}
	source, err := os.ReadFile("../../doctor/causes.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := regexp.MustCompile(`(?m)^\t(\w+) +Cause = "([a-z.-]+)"$`).FindAllStringSubmatch(string(source), -1)
	if len(constants) != len(doctor.Causes()) {
		t.Fatalf("found %d constants for %d causes", len(constants), len(doctor.Causes()))
	}
	for _, m := range constants {
		name, cause := m[1], doctor.Cause(m[2])
		met := slices.ContainsFunc(Entries(), func(e Entry) bool { return e.Cause == cause })
		if !met && !regexp.MustCompile(`\b`+name+`\b`).MatchString(tests.String()) {
			t.Errorf("%s (%s) is in no set-up of the gallery and in no test", name, cause)
		}
	}
}
