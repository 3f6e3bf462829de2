package meter

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"onedoor/gateway"
	"onedoor/gateway/gatewaytest"
)

// collector is one that takes OTLP over HTTP.
type collector struct {
	*httptest.Server
	t *testing.T

	mu     sync.Mutex
	raw    [][]byte
	header http.Header // of the last request
	spans  []received
	refuse []int // statuses to answer first
}

type received struct {
	*trace.Span
	instance string
}

func newCollector(t *testing.T, refuse ...int) *collector {
	t.Helper()
	c := &collector{t: t, refuse: refuse}
	c.Server = httptest.NewServer(http.HandlerFunc(c.take))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.t.Errorf("%s %s of %q: %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = r.Header
	if len(c.refuse) > 0 {
		w.WriteHeader(c.refuse[0])
		c.refuse = c.refuse[1:]
		return
	}
	var all trace.TracesData
	if err := proto.Unmarshal(body, &all); err != nil {
		c.t.Error(err)
	}
	c.raw = append(c.raw, body)
	for _, rs := range all.ResourceSpans {
		for _, ss := range rs.ScopeSpans {
			for _, s := range ss.Spans {
				c.spans = append(c.spans, received{s, attribute(rs.Resource.Attributes, "service.instance.id")})
			}
		}
	}
}

func attribute(all []*common.KeyValue, name string) string {
	for _, kv := range all {
		if kv.Key == name {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

// tracers are running ones, one for each door; stop sends what they have.
func tracers(t *testing.T, n int, o TraceOptions) (all []*Tracer, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var ran sync.WaitGroup
	for i := range n {
		o.Instance = "door-" + string(rune('a'+i))
		tr, err := NewTracer(o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, tr)
		ran.Go(func() { tr.Run(ctx) })
	}
	stop = func() {
		cancel()
		ran.Wait()
	}
	t.Cleanup(stop)
	return all, stop
}

// told waits until a tracer was told of the last leg.
func told(t *testing.T, events *events, n int) {
	t.Helper()
	gatewaytest.Until(t, "the events", func() bool {
		events.mu.Lock()
		defer events.mu.Unlock()
		return events.n >= n
	})
}

type events struct {
	mu sync.Mutex
	n  int
}

func (e *events) then(f func(*gateway.Event)) func(*gateway.Event) {
	return func(x *gateway.Event) {
		f(x)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.n++
	}
}

func TestALoginIsOneTraceWhicheverReplicasItsLegsCameTo(t *testing.T) {
	c := newCollector(t)
	all, stop := tracers(t, 2, TraceOptions{Endpoint: c.URL, Sample: 1, Version: "v1"})
	seen := &events{}
	bed := gatewaytest.New(t, gatewaytest.Options{Doors: 2, Observe: func(door int) gateway.Options {
		return gateway.Options{Observe: seen.then(all[door].Observe)}
	}})
	login := bed.Whole(gatewaytest.Pusher, "acme")
	told(t, seen, 4)
	stop()

	legs, children := map[string]received{}, 0
	ids, doors := map[string]bool{}, map[string]bool{}
	for _, s := range c.spans {
		ids[hex.EncodeToString(s.TraceId)] = true
		doors[s.instance] = true
		if s.Name == "provider" {
			children++
			continue
		}
		legs[s.Name] = s
	}
	if len(ids) != 1 || len(doors) != 2 || len(legs) != 4 || children != 3 {
		t.Fatalf("%d traces from %d doors with %d legs and %d calls, want 1, 2, 4, 3", len(ids), len(doors), len(legs), children)
	}
	root := legs["pushed"]
	if len(root.ParentSpanId) != 0 {
		t.Error("the first leg has a parent")
	}
	for name, s := range legs {
		if name != "pushed" && !bytes.Equal(s.ParentSpanId, root.SpanId) {
			t.Errorf("%s is no child of the first leg", name)
		}
		if attribute(s.Attributes, "onedoor.app") != gatewaytest.Pusher || attribute(s.Attributes, "onedoor.tenant") != "acme" || attribute(s.Attributes, "onedoor.outcome") != "ok" {
			t.Errorf("%s has %v", name, s.Attributes)
		}
		if len(s.SpanId) != 8 || s.StartTimeUnixNano == 0 || s.EndTimeUnixNano < s.StartTimeUnixNano || s.Kind != trace.Span_SPAN_KIND_SERVER {
			t.Errorf("%s is no sound span: %v", name, s)
		}
	}
	for _, s := range c.spans {
		if s.Name == "provider" && s.Kind != trace.Span_SPAN_KIND_CLIENT {
			t.Errorf("the call is of kind %s", s.Kind)
		}
	}
	c.holdsNothingOf(append(login.Secrets, bed.Verifiers()...))
}

// holdsNothingOf looks for secrets in what went over the wire.
func (c *collector) holdsNothingOf(secrets []string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.raw) == 0 || len(secrets) < 8 {
		c.t.Fatalf("%d requests, %d secrets: the test looks in the wrong place", len(c.raw), len(secrets))
	}
	for _, s := range secrets {
		for _, raw := range c.raw {
			if bytes.Contains(raw, []byte(s)) || bytes.Contains(raw, []byte(url.QueryEscape(s))) {
				c.t.Errorf("a trace holds %q", s)
			}
		}
	}
}

func TestAFailedLoginSaysInItsTraceWhy(t *testing.T) {
	c := newCollector(t)
	all, stop := tracers(t, 1, TraceOptions{Endpoint: c.URL, Sample: 1})
	seen := &events{}
	bed := gatewaytest.New(t, gatewaytest.Options{Observe: func(int) gateway.Options { return gateway.Options{Observe: seen.then(all[0].Observe)} }})
	login := bed.Begin(0, gatewaytest.Shop, "acme")
	login.Return(0, "")
	login.Redeem(0, "a-wrong-secret")
	other := bed.Begin(0, gatewaytest.Shop, "globex")
	bed.Get(0, "/onedoor/callback?state=hunter22&code=hunter22", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	told(t, seen, 5)
	stop()
	why := map[string]string{}
	for _, s := range c.spans {
		if s.Status.GetCode() == trace.Status_STATUS_CODE_ERROR {
			why[s.Name] += s.Status.Message
		}
		if hex.EncodeToString(s.TraceId) == "4bf92f3577b34da6a3ce929d0e0e4736" {
			t.Error("a browser chose the trace")
		}
	}
	if why["token"] != "invalid_client" || why["provider"] != "invalid_client" || why["callback"] != "state.seal" {
		t.Errorf("the traces say %v", why)
	}
	c.holdsNothingOf(append(append(login.Secrets, other.Secrets...), "hunter22"))
}

func TestReplicasAgreeWhichLoginsAreTraced(t *testing.T) {
	newTracer := func(share float64) *Tracer {
		tr, err := NewTracer(TraceOptions{Endpoint: "http://127.0.0.1:1", Sample: share})
		if err != nil {
			t.Fatal(err)
		}
		return tr
	}
	one, other := newTracer(0.1), newTracer(0.1)
	n, none, every := 0, newTracer(0), newTracer(1)
	for range 10_000 {
		var id gateway.LoginID
		_, _ = rand.Read(id[:])
		if one.sampled(id) != other.sampled(id) {
			t.Fatal("two replicas decide differently")
		}
		if one.sampled(id) {
			n++
		}
		if none.sampled(id) || !every.sampled(id) {
			t.Fatal("none and all are not that")
		}
	}
	if n < 800 || n > 1200 {
		t.Errorf("of 10,000 logins %d are traced, want about 1,000", n)
	}
}

// A collector that is away costs a bounded memory, no time and one line.
func TestACollectorThatIsAwaySlowsNothing(t *testing.T) {
	var log gatewaytest.Log
	closed := httptest.NewServer(nil)
	closed.Close()
	all, stop := tracers(t, 1, TraceOptions{Endpoint: closed.URL, Sample: 1, Log: log.Logger(), Retry: time.Millisecond})
	tr := all[0]
	e := &gateway.Event{Time: time.Now(), Leg: gateway.LegCallback, Login: gateway.LoginID{1}, Status: 303}
	nobody, err := NewTracer(TraceOptions{Endpoint: closed.URL, Sample: 1}) // and nobody sends what it has
	if err != nil {
		t.Fatal(err)
	}
	observed := make(chan struct{})
	go func() {
		defer close(observed)
		for range 20 * maxQueued {
			tr.Observe(e)
			nobody.Observe(e)
		}
	}()
	select {
	case <-observed:
	case <-time.After(20 * time.Second):
		t.Fatal("whoever tells of a leg waits for the collector")
	}
	if len(tr.queue) > maxQueued || tr.dropped.Load() == 0 {
		t.Errorf("%d spans wait, %d were dropped", len(tr.queue), tr.dropped.Load())
	}
	gatewaytest.Until(t, "the line", func() bool { return log.Count("traces are not taken") > 0 })
	stop()
	if n := log.Count("traces are not taken"); n != 1 {
		t.Errorf("%d lines say that traces are not taken", n)
	}
	if sent := tr.sent.Load(); sent != 0 {
		t.Errorf("%d spans were sent to nobody", sent)
	}
}

func TestACollectorThatComesBackGetsWhatWaited(t *testing.T) {
	var log gatewaytest.Log
	c := newCollector(t, http.StatusServiceUnavailable, http.StatusTooManyRequests)
	all, stop := tracers(t, 1, TraceOptions{Endpoint: c.URL + "/", Sample: 1, Log: log.Logger(), Retry: time.Millisecond})
	for range maxBatch {
		all[0].Observe(&gateway.Event{Time: time.Now(), Leg: gateway.LegCallback, Login: gateway.LoginID{1}, Status: 303})
	}
	gatewaytest.Until(t, "the spans", func() bool { return all[0].sent.Load() == maxBatch })
	stop()
	if log.Count("traces are not taken") != 1 || log.Count("traces are taken again") != 1 {
		t.Error("the log does not say that the collector went and came back")
	}
}

func TestACollectorThatRefusesIsNotAskedAgain(t *testing.T) {
	c := newCollector(t, http.StatusBadRequest)
	all, stop := tracers(t, 1, TraceOptions{Endpoint: c.URL, Sample: 1})
	for range maxBatch {
		all[0].Observe(&gateway.Event{Time: time.Now(), Leg: gateway.LegCallback, Login: gateway.LoginID{1}, Status: 303})
	}
	gatewaytest.Until(t, "the refusal", func() bool { return all[0].dropped.Load() == maxBatch })
	stop()
	if len(c.spans) != 0 {
		t.Error("the spans were sent again")
	}
}

func TestACollectorGetsItsKeyAndNobodyReadsItInTheLog(t *testing.T) {
	var log gatewaytest.Log
	c := newCollector(t, http.StatusUnauthorized)
	all, stop := tracers(t, 1, TraceOptions{
		Endpoint: c.URL, Sample: 1, Log: log.Logger(), Header: http.Header{"X-Api-Key": {"hunter22"}, "User-Agent": {"mine"}, "Content-Type": {"text/plain"}},
	})
	for range maxBatch {
		all[0].Observe(&gateway.Event{Time: time.Now(), Leg: gateway.LegCallback, Login: gateway.LoginID{1}, Status: 303})
	}
	gatewaytest.Until(t, "the refusal", func() bool { return all[0].dropped.Load() == maxBatch })
	stop()
	if c.header.Get("X-Api-Key") != "hunter22" || c.header.Get("User-Agent") != "mine" {
		t.Errorf("the collector got %v", c.header)
	}
	if log.Count("traces are not taken") != 1 || log.Count("hunter22") != 0 {
		t.Error("the log does not say that the collector refused, or holds the key")
	}
}
