package explain

import (
	"strings"
	"testing"

	"onedoor/docs"
)

func TestEveryRuleOfTheTroubleshootingPageIsExplained(t *testing.T) {
	_, rest, _ := strings.Cut(docs.Troubleshooting, "\n## "+rulesPart+"\n")
	part, _, _ := strings.Cut(rest, "\n## ")
	n := 0
	for line := range strings.Lines(part) {
		rule, ok := strings.CutPrefix(strings.TrimSpace(line), "### ")
		if !ok {
			continue
		}
		n++
		for _, line := range []string{rule, `{"msg":"request refused","rule":"` + rule + `"}`, "level=WARN rule=" + rule} {
			if a := one(t, line); a.ID != "onedoor/"+rule || a.Meaning == "" {
				t.Errorf("%s is explained by %s: %q", line, a.ID, a.Meaning)
			}
		}
	}
	if n < 20 {
		t.Errorf("found %d rules: the test looks in the wrong place", n)
	}
}

func TestARuleShowsWhatItGotAndWants(t *testing.T) {
	for _, line := range []string{
		`{"level":"WARN","msg":"request refused","rule":"redirect_uri.unknown","got":"https://a.example.com/cb/","want":"\"https://a.example.com/cb\" (they differ in the slash at the end)"}`,
		`level=WARN msg="request refused" rule=redirect_uri.unknown got=https://a.example.com/cb/ want="\"https://a.example.com/cb\" (they differ in the slash at the end)"`,
	} {
		a := one(t, line)
		if a.Values["got"] != "https://a.example.com/cb/" || !strings.Contains(a.Values["want"], "they differ in the slash at the end") {
			t.Errorf("the values are %v", a.Values)
		}
	}
}

func TestTheDoorsMessagesAreReadAsThePageSaysThem(t *testing.T) {
	o := readOwn("# T\n\n## Starting\n\n### cannot listen on …\n\nAnother program *has* the port:\n`ss -ltnp`\nshows who.\n\n- one\n- two\n\n## " + foreignPart + "\n\n### no …, of …\n\nx\n")
	if len(o.messages) != 1 {
		t.Fatalf("%d messages", len(o.messages))
	}
	e := o.messages[0]
	v, ok := e.says[0].find(newLine("onedoor: error: cannot listen on :80"))
	if !ok {
		t.Fatal("the line is not known")
	}
	a := match{entry: e, says: &e.says[0], values: v}.answer()
	if want := "Another program has the port: ss -ltnp shows who.\n- one\n- two"; a.Meaning != want {
		t.Errorf("it means %q, want %q", a.Meaning, want)
	}
	if a.See[0] != "docs/troubleshooting.md#cannot-listen-on-" {
		t.Errorf("it leads to %s", a.See[0])
	}
}
