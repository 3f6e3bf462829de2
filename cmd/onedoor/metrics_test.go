package meter

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// names are all metrics of ours that this package makes.
func names(t *testing.T) (out []string) {
	t.Helper()
	m, _ := metered(t)
	tracer, err := NewTracer(TraceOptions{Endpoint: "http://127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	m.Register(tracer.Collectors()...)
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		m.registry.Describe(all)
	}()
	for d := range all {
		name := regexp.MustCompile(`fqName: "(\w+)"`).FindStringSubmatch(d.String())[1]
		if strings.HasPrefix(name, prefix) && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// The dashboard, the alerts and the page name the metrics that there are; each
// metric is on the page, and on the dashboard or in an alert.
func TestDashboardAlertsAndPageNameTheMetricsThereAre(t *testing.T) {
	all := names(t)
	if len(all) < 15 {
		t.Fatalf("there are only %d metrics: the test looks in the wrong place", len(all))
	}
	named := map[string]string{}
	read := func(file string) (found []string) {
		text, err := os.ReadFile("../docs/deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range regexp.MustCompile(`\bonedoor_[a-z_]+\b`).FindAllString(string(text), -1) {
			base := name
			for _, of := range []string{"_bucket", "_sum", "_count"} { // of a histogram
				base = strings.TrimSuffix(base, of)
			}
			if !slices.Contains(all, base) {
				t.Errorf("%s names %s, and there is no such metric", file, name)
			}
			named[base] += " " + file
			found = append(found, base)
		}
		return found
	}
	watched := append(read("grafana/onedoor.json"), read("prometheus/onedoor.rules.yaml")...)
	read("prometheus/onedoor.test.yaml")
	page := read("metrics.md")
	for _, name := range all {
		if !slices.Contains(watched, name) {
			t.Errorf("%s is on no dashboard and in no alert", name)
		}
		if !slices.Contains(page, name) {
			t.Errorf("docs/deploy/metrics.md does not have %s", name)
		}
	}
}

// Their queries ask for values of labels that there are.
func TestDashboardAndAlertsAskForLegsAndOutcomesThereAre(t *testing.T) {
	m, _ := metered(t)
	var series strings.Builder
	for s := range scrape(t, m) {
		series.WriteString(s)
	}
	for _, file := range []string{"grafana/onedoor.json", "prometheus/onedoor.rules.yaml"} {
		text, err := os.ReadFile("../docs/deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, label := range regexp.MustCompile(`\b(leg|outcome|status|route)[!=]=?~?\\?"([a-z0-9_|]+)`).FindAllStringSubmatch(string(text), -1) {
			for value := range strings.SplitSeq(label[2], "|") {
				found++
				if !strings.Contains(series.String(), label[1]+`="`+value+`"`) {
					t.Errorf("%s asks for %s %q, which no metric has", file, label[1], value)
				}
			}
		}
		if found < 10 {
			t.Errorf("found only %d values in %s: the test looks in the wrong place", found, file)
		}
	}
}
