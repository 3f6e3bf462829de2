package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/config"
	"onedoor/store"
	"onedoor/verify"
)

// scrape is what a door that does all it can tells Prometheus, and its metrics.
func scrape(t *testing.T) (names []string, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "onedoor.yaml")
	yaml := "public_url: http://auth.localhost:9000\nlisten: 127.0.0.1:0\nprovider: {embedded: {}}\ndatabase: " + filepath.Join(t.TempDir(), "onedoor.db") +
		"\ntracing: {endpoint: \"http://127.0.0.1:1\"}\nverify: {every: 10m}\n"
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(t.Context(), string(cfg.Database), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	d, err := newDoor(t.Context(), cfg, db, slog.New(slog.DiscardHandler), doorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.close() })
	if err := d.verifyTenants(cfg); err != nil {
		t.Fatal(err)
	}
	d.meter.Certificate(":443", time.Now)
	for _, told := range d.told { // as a reload that went wrong does
		told(errors.New("a mistake"))
	}
	w := httptest.NewRecorder()
	d.meter.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return d.meter.Names(), w.Body.String()
}

// The dashboard, the alerts and the page name the metrics that there are; each
// metric is on the page, and on the dashboard or in an alert.
func TestDashboardAlertsAndPageNameTheMetricsThereAre(t *testing.T) {
	all, _ := scrape(t)
	if len(all) < 15 {
		t.Fatalf("there are only %d metrics: the test looks in the wrong place", len(all))
	}
	named := map[string]string{}
	read := func(file string) (found []string) {
		text, err := os.ReadFile("../../docs/deploy/" + file)
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

func TestAConfigurationThatIsRefusedIsCounted(t *testing.T) {
	if _, text := scrape(t); !strings.Contains(text, `onedoor_configuration_reloads_total{outcome="refused"} 1`) {
		t.Error("nobody counts reloads")
	}
}

// Their queries ask for values of labels that there are.
func TestDashboardAndAlertsAskForLegsAndOutcomesThereAre(t *testing.T) {
	_, series := scrape(t)
	for _, finding := range []verify.Outcome{verify.ProviderOpen, verify.ProviderLoose, verify.DoorOpen} { // told by the replica that looks
		series += `outcome="` + string(finding) + `"`
	}
	for _, file := range []string{"grafana/onedoor.json", "prometheus/onedoor.rules.yaml"} {
		text, err := os.ReadFile("../../docs/deploy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for _, label := range regexp.MustCompile(`\b(leg|outcome|status|route)[!=]=?~?\\?"([a-z0-9_.|]+)`).FindAllStringSubmatch(string(text), -1) {
			for value := range strings.SplitSeq(label[2], "|") {
				found++
				if !strings.Contains(series, label[1]+`="`+value+`"`) {
					t.Errorf("%s asks for %s %q, which no metric has", file, label[1], value)
				}
			}
		}
		if found < 10 {
			t.Errorf("found only %d values in %s: the test looks in the wrong place", found, file)
		}
	}
}
