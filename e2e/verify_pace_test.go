//go:build e2e && linux

package e2e

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"onedoor/e2e/lab"
	"onedoor/verify"
)

var verifyTenants = flag.Int("verify.tenants", 80, "tenants that are verified while people log in")

// betweenTenants is what verify.every: 10m is for 10,000 tenants.
const betweenTenants = 60 * time.Millisecond

// TestPeopleLogInWhileTenantsAreVerified lets people log in while a door
// verifies tenants at the pace of 10,000 in ten minutes: every login works, and
// so does every tenant's. It reports how long logins take, with it and without.
func TestPeopleLogInWhileTenantsAreVerified(t *testing.T) {
	w := shared(t)
	site := newLanding(t, w.issuer())
	config := w.config(t, fmt.Sprintf("  web:\n    client_id: %s\n    site: http://{tenant}.localhost:%d\n    callbacks: [/callback]", transparentClient, site.port))
	dir := lab.TempDir(t, "pace")
	file := filepath.Join(dir, "onedoor.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for i := range *verifyTenants {
		fmt.Fprintf(&rows, "{\"label\":\"v%05d\"}\n", i)
	}
	list := filepath.Join(dir, "tenants.jsonl")
	if err := os.WriteFile(list, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	onedoor(t, "", "tenant", "import", "-c", file, list)
	every := time.Duration(*verifyTenants) * betweenTenants
	// logins are how long logins took, with passwords, until done says so.
	logins := func(done func(n int) bool) (took []time.Duration) {
		app := w.appOf(t, w.issuer(), transparentClient, site, "acme")
		for n := 0; !done(n); n++ {
			began := time.Now()
			app.mustRedeem(app.code(newPerson(t, lab.Username).must(app.AuthCodeURL("s"), app.origin), "s"))
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		return took
	}
	alone := func() []time.Duration {
		door := w.serve(t, config)
		defer door.Stop()
		logins(func(n int) bool { return n == 3 }) // warm
		return logins(func(n int) bool { return n >= 10 && n >= *verifyTenants/100 })
	}
	without := alone()

	port := lab.FreePort(t)
	door := w.serve(t, regexp.MustCompile(`(?m)^admin: .*$`).ReplaceAllString(config, fmt.Sprintf(`admin: {listen: "127.0.0.1:%d"}`, port))+
		fmt.Sprintf("verify: {every: %s}\n", every))
	metrics := func() string {
		resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
		if err != nil {
			return ""
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		return string(text)
	}
	began := time.Now()
	with := logins(func(int) bool {
		return strings.Contains(metrics(), "onedoor_verify_round_ended_timestamp_seconds") || time.Since(began) > 2*every+time.Minute
	})
	last := metrics()
	door.Stop()
	without = append(without, alone()...)
	slices.Sort(without)

	looked := 0
	for _, m := range regexp.MustCompile(`(?m)^onedoor_verifications_total\{outcome="([^"]+)"\} (\d+)$`).FindAllStringSubmatch(last, -1) {
		n, _ := strconv.Atoi(m[2])
		if looked += n; n > 0 && m[1] != string(verify.OK) && m[1] != string(verify.Unclear) { // not looked at for a moment is not wrong
			t.Errorf("%d tenants were found %s, and nothing is wrong with any", n, m[1])
		}
	}
	if looked < *verifyTenants {
		t.Errorf("%d of %d tenants were looked at", looked, *verifyTenants)
	}
	at := func(all []time.Duration, part float64) time.Duration { return all[int(part*float64(len(all)-1))] }
	ratio := func(part float64) float64 { return float64(at(with, part)) / float64(at(without, part)) }
	t.Logf("%d tenants, one in %s: %s. Logins: %d with, %d without; median %s and %s (ratio %.2f), 95th percentile %s and %s (ratio %.2f)",
		*verifyTenants, betweenTenants, strings.Join(regexp.MustCompile(`(?m)^onedoor_verify_(round_seconds|slowdown).*$`).FindAllString(last, -1), ", "),
		len(with), len(without), at(with, .5).Round(time.Millisecond), at(without, .5).Round(time.Millisecond), ratio(.5),
		at(with, .95).Round(time.Millisecond), at(without, .95).Round(time.Millisecond), ratio(.95))
}
