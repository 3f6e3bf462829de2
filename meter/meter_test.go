package meter

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"onedoor/gateway"
	"onedoor/gateway/gatewaytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fullHouse is a registry that has no room for more.
type fullHouse struct{}

func (fullHouse) Size() int64        { return 3 }
func (fullHouse) Octets() int64      { return 99 }
func (fullHouse) Revision() int64    { return 7 }
func (fullHouse) Age() time.Duration { return 2 * time.Second }
func (fullHouse) Full() bool         { return true }

// metered is a bed whose doors are counted by one Meter.
func metered(t *testing.T) (*Meter, *gatewaytest.Bed) {
	t.Helper()
	inFlight := &atomic.Int64{}
	m := New(Options{
		Version: "v1", InFlight: inFlight,
		Registry: fullHouse{}, KeysAge: func() time.Duration { return 3 * time.Second },
	})
	m.Loaded()
	m.Certificate(":443", time.Now)
	return m, gatewaytest.New(t, gatewaytest.Options{Doors: 3, Observe: func(int) gateway.Options {
		return gateway.Options{Observe: m.Observe, InFlight: inFlight}
	}})
}

// scrape is what Prometheus gets: value by series.
func scrape(t *testing.T, m *Meter) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("the scrape got %d", w.Code)
	}
	out := map[string]string{}
	for line := range strings.Lines(w.Body.String()) {
		if !strings.HasPrefix(line, "#") {
			i := strings.LastIndexByte(line, ' ')
			out[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return out
}

// wait waits until a series has a value: an answer is counted after it was read.
func wait(t *testing.T, m *Meter, series, want string) {
	t.Helper()
	got := ""
	defer func() {
		if got != want {
			t.Errorf("%s is %q, want %q", series, got, want)
		}
	}()
	gatewaytest.Until(t, series, func() bool {
		got = scrape(t, m)[series]
		return got == want
	})
}

func TestALoginAndWhatFailsOfItAreCounted(t *testing.T) {
	m, bed := metered(t)
	bed.Whole(gatewaytest.Pusher, "acme")
	for _, leg := range []string{"pushed", "authorize", "callback", "token"} {
		wait(t, m, `onedoor_login_legs_total{leg="`+leg+`",outcome="ok"}`, "1")
	}
	wait(t, m, `onedoor_requests_total{route="callback",status="3xx"}`, "1")
	wait(t, m, `onedoor_provider_answers_total{route="token_endpoint",status="2xx"}`, "1")
	wait(t, m, `onedoor_provider_duration_seconds_count{route="token_endpoint"}`, "1")

	bed.Begin(0, gatewaytest.Shop, "acme").Return(0, "access_denied")
	wait(t, m, `onedoor_provider_errors_total{error="access_denied",leg="callback"}`, "1")
	login := bed.Begin(0, gatewaytest.Shop, "globex")
	login.Return(1, "")
	login.Redeem(2, "a-wrong-secret")
	wait(t, m, `onedoor_provider_errors_total{error="invalid_client",leg="token"}`, "1")
	wait(t, m, `onedoor_login_legs_total{leg="token",outcome="provider_refused"}`, "1")

	bed.Get(0, "/onedoor/callback?code=c&state=s")
	wait(t, m, `onedoor_seal_failures_total{leg="callback",reason="invalid"}`, "1")
	wait(t, m, `onedoor_refusals_total{rule="state.seal"}`, "1")
	bed.Get(0, "/", "Host", "evil.example")
	wait(t, m, `onedoor_refusals_total{rule="host.unknown"}`, "1")

	bed.HangUp(true)
	login.Redeem(0, gatewaytest.Secret)
	wait(t, m, `onedoor_provider_answers_total{route="token_endpoint",status="none"}`, "1")
	wait(t, m, `onedoor_refusals_total{rule="provider.unreachable"}`, "1")
	wait(t, m, `onedoor_login_legs_total{leg="token",outcome="unavailable"}`, "1")
	wait(t, m, `onedoor_registry_tenants`, "3")
	wait(t, m, `onedoor_registry_revision`, "7")
	wait(t, m, `onedoor_registry_bytes`, "99")
	wait(t, m, `onedoor_registry_age_seconds`, "2")
	wait(t, m, `onedoor_registry_full`, "1")
	wait(t, m, `onedoor_seal_keys_age_seconds`, "3")
	wait(t, m, `onedoor_requests_in_flight`, "0")
	wait(t, m, `onedoor_build_info{version="v1"}`, "1")
}

func TestRequestsThatAreBeingAnsweredAreMeasured(t *testing.T) {
	m, bed := metered(t)
	release := bed.Hold()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		bed.Get(0, "/page")
	}()
	wait(t, m, `onedoor_requests_in_flight`, "1")
	release()
	<-ended
	wait(t, m, `onedoor_requests_in_flight`, "0")
}

func TestReloadsAreCounted(t *testing.T) {
	m := New(Options{Now: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	m.Reloaded(nil)
	m.Reloaded(io.EOF)
	wait(t, m, `onedoor_configuration_reloads_total{outcome="ok"}`, "1")
	wait(t, m, `onedoor_configuration_reloads_total{outcome="refused"}`, "1")
	wait(t, m, `onedoor_configuration_loaded_timestamp_seconds`, "1.8e+09")
}

// Every label that a stranger could choose the value of would be a series for
// each value.
func TestAThousandHostileRequestsAddNoSeries(t *testing.T) {
	m, bed := metered(t)
	word := func() string {
		b := make([]byte, 3+rand.IntN(12))
		for i := range b {
			b[i] = "abcdefghijklmnopqrstuvwxyz.%"[rand.IntN(26)]
		}
		return string(b)
	}
	hostile := []func(){
		func() { bed.Get(0, "/"+word()+"/"+word()) },
		func() { bed.Get(1, "/tenants/"+word()+"/callback?error="+word()) },
		func() { bed.Get(2, "/tenants/acme/callback?error="+word()) },
		func() { bed.Get(0, "/onedoor/"+word()) },
		func() { bed.Get(1, "/", "Host", word()+".example") },
		func() {
			bed.Get(2, "/authorize?"+url.Values{"client_id": {word()}, "redirect_uri": {"https://" + word() + ".example"}}.Encode())
		},
		func() {
			bed.Get(0, "/authorize?"+url.Values{"client_id": {gatewaytest.Shop}, "redirect_uri": {"https://" + word() + ".example.com/callback"}, "response_type": {word()}}.Encode())
		},
		func() {
			bed.Get(1, "/authorize?"+url.Values{"client_id": {gatewaytest.Shop}, "redirect_uri": {"https://acme.example.com/callback"}, "response_type": {word()}, word(): {word(), word()}}.Encode())
		},
		func() { bed.Begin(2, gatewaytest.Shop, "acme").Return(0, word()) },
		func() { bed.Get(0, "/onedoor/callback?state="+word()+"&code="+word()) },
		func() {
			bed.Post(1, "/token", url.Values{"grant_type": {"authorization_code"}, "code": {word()}, "client_id": {word()}})
		},
		func() {
			bed.Get(2, "/"+word(), "X-Forwarded-Host", word(), "User-Agent", word(), "Traceparent", word())
		},
		func() { bed.Get(0, "/realms/"+word()+"/.well-known/openid-configuration") },
		func() { bed.Method(1, strings.ToUpper(word()), "/"+word(), "") },
		func() { bed.Method(1, strings.ToUpper(word()), "/tenants/acme/callback", "") },
	}
	names := func() []string {
		var out []string
		for series := range scrape(t, m) {
			if strings.HasPrefix(series, prefix) {
				out = append(out, series)
			}
		}
		slices.Sort(out)
		return out
	}
	answered := func() (n int) {
		for series, value := range scrape(t, m) {
			var x int
			if strings.HasPrefix(series, "onedoor_requests_total") {
				_, _ = fmt.Sscan(value, &x)
				n += x
			}
		}
		return n
	}
	for _, ask := range hostile {
		ask()
		ask()
	}
	gatewaytest.Until(t, "the first requests to be counted", func() bool { return answered() >= 2*len(hostile) })
	before := names()
	for i := range 1000 {
		hostile[i%len(hostile)]()
	}
	gatewaytest.Until(t, "the requests to be counted", func() bool { return answered() >= 1000+2*len(hostile) })
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("%d series became %d, such as %q", len(before), len(after), slices.DeleteFunc(after, func(s string) bool { return slices.Contains(before, s) }))
	}
	for _, series := range before {
		for _, label := range []string{"acme", "globex", gatewaytest.Shop + `"`} {
			if strings.Contains(series, label) {
				t.Errorf("the series %s tells of %s", series, label)
			}
		}
	}
}

func TestARuleThatIsNoneOfOursIsNoLabel(t *testing.T) {
	m := New(Options{})
	for i := range 1000 {
		m.Observe(&gateway.Event{Status: 400, Rule: fmt.Sprintf("tenant.status%c%c", 'a'+i%26, 'a'+i/26%26)})
		m.Observe(&gateway.Event{Status: 400, Rule: fmt.Sprintf("Tenant %d", i)})
		m.Observe(&gateway.Event{Status: 400, Route: fmt.Sprintf("route%d", i)})
	}
	n := 0
	for series := range scrape(t, m) {
		if strings.HasPrefix(series, "onedoor_refusals_total") {
			n++
		}
		if strings.Contains(series, "route1") {
			t.Error(series)
		}
	}
	if n > maxRules+1 {
		t.Errorf("%d rules are told apart, want %d and one", n, maxRules)
	}
}

func TestTheMetricsKeepToTheConventions(t *testing.T) {
	m, bed := metered(t)
	bed.Whole(gatewaytest.Shop, "acme")
	bed.Get(0, "/onedoor/callback?code=c&state=s")
	wait(t, m, `onedoor_refusals_total{rule="state.seal"}`, "1")
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// Counting is on every request's way.
func TestCountingALegAllocatesNothing(t *testing.T) {
	m := New(Options{})
	e := &gateway.Event{Route: "callback", Status: 303, Leg: gateway.LegCallback, Duration: time.Millisecond, Asked: time.Now(), ProviderStatus: 200}
	if n := testing.AllocsPerRun(100, func() { m.Observe(e) }); n != 0 {
		t.Errorf("counting a request allocates %v times", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	m := New(Options{})
	e := &gateway.Event{Route: "token_endpoint", Status: 200, Leg: gateway.LegToken, Duration: time.Millisecond, Asked: time.Now(), ProviderStatus: 200}
	b.ReportAllocs()
	for b.Loop() {
		m.Observe(e)
	}
}
