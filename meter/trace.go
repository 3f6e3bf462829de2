package meter

import (
	"crypto/rand"
	"encoding/binary"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resource "go.opentelemetry.io/proto/otlp/resource/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"

	"onedoor/gateway"
)

// TraceOptions of a Tracer.
type TraceOptions struct {
	Endpoint string      // of a collector that takes OTLP over HTTP: its origin, or the whole address
	Header   http.Header // for the collector: its key
	Sample   float64     // which part of all logins is traced, 0 to 1
	Version  string
	Instance string // which replica this is
	Log      *slog.Logger
	Retry    time.Duration // the first pause after a collector that did not take spans. Default 1s.
}

// Tracer makes a trace of each login: a span for each leg, and below it one for
// what the provider was asked. The trace id is the login id, so the legs are
// one trace whichever replicas they came to. What a browser says of a trace
// (traceparent, W3C Trace Context) is not read: anybody could write into
// anybody's trace.
type Tracer struct {
	o         TraceOptions
	address   string
	resource  *resource.Resource
	client    *http.Client
	queue     chan *trace.Span
	threshold uint64

	sent, dropped atomic.Int64
	away          bool // the collector; for Run alone
}

// maxQueued bounds the spans that wait to be sent. One is some 700 octets: when
// the collector is away they take 3 MB, and what comes then is dropped.
const maxQueued = 4096

// NewTracer makes a Tracer; [Tracer.Run] sends what it is told.
func NewTracer(o TraceOptions) (*Tracer, error) {
	u, err := url.Parse(o.Endpoint)
	if err != nil {
		return nil, err
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1/traces" // OTLP §OTLP/HTTP Request
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Retry <= 0 {
		o.Retry = time.Second
	}
	return &Tracer{
		o: o, address: u.String(), queue: make(chan *trace.Span, maxQueued), threshold: threshold(o.Sample),
		resource: &resource.Resource{Attributes: []*common.KeyValue{
			text("service.name", "onedoor"), text("service.version", o.Version), text("service.instance.id", o.Instance),
		}},
		client: &http.Client{
			Timeout: 10 * time.Second,
			// Nobody but the collector that is configured gets them.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport:     &http.Transport{MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second},
		},
	}, nil
}

// Collectors are the Tracer's own metrics.
func (t *Tracer) Collectors() []prometheus.Collector {
	count := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: prefix + name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	return []prometheus.Collector{
		count("trace_spans_sent_total", "Spans that the collector took.", &t.sent),
		count("trace_spans_dropped_total", "Spans for which there was no room, or that the collector did not take.", &t.dropped),
	}
}

// threshold is the number below which an id is sampled.
func threshold(share float64) uint64 {
	switch {
	case share >= 1:
		return 1 << 63
	case share <= 0:
		return 0
	}
	return uint64(share * (1 << 63))
}

// sampled decides by the id alone, so that all replicas decide alike: a login
// is traced whole or not at all. An id is a hash: its octets are as good as
// random.
func (t *Tracer) sampled(id gateway.LoginID) bool {
	return binary.BigEndian.Uint64(id[8:])>>1 < t.threshold
}

// Observe traces a leg of a login. It never waits.
func (t *Tracer) Observe(e *gateway.Event) {
	if e.Leg == "" {
		return
	}
	id := e.Login
	if id.IsZero() {
		_, _ = rand.Read(id[:]) // a leg that could not be joined to its login
	}
	if !t.sampled(id) {
		return
	}
	leg := t.leg(e, id)
	t.enqueue(leg)
	if !e.Asked.IsZero() {
		t.enqueue(t.call(e, leg))
	}
}

func (t *Tracer) enqueue(s *trace.Span) {
	select {
	case t.queue <- s:
	default:
		t.dropped.Add(1)
	}
}

// leg is the span of a leg. The first one of a login is the root of its trace,
// and its id follows from the trace's: the others, on whichever replica, name
// it as their parent without having heard of it.
func (t *Tracer) leg(e *gateway.Event, id gateway.LoginID) *trace.Span {
	s := &trace.Span{
		TraceId: id[:], Name: string(e.Leg), Kind: trace.Span_SPAN_KIND_SERVER,
		StartTimeUnixNano: nano(e.Time), EndTimeUnixNano: nano(e.Time.Add(e.Duration)),
	}
	root := id[8:]
	switch {
	case e.Begins:
		s.SpanId = root
	case e.Login.IsZero():
		s.SpanId = newSpanID()
	default:
		s.SpanId, s.ParentSpanId = newSpanID(), root
	}
	s.Attributes = []*common.KeyValue{
		text("http.request.method", method(e.Method)), number("http.response.status_code", e.Status),
		text("onedoor.route", e.Route), text("onedoor.request", e.Request), text("onedoor.outcome", string(e.Outcome())),
	}
	for _, a := range []struct{ name, value string }{
		{"onedoor.app", e.App}, {"onedoor.tenant", e.Tenant}, {"onedoor.rule", e.Rule}, {"onedoor.provider_error", e.ProviderError},
	} {
		if a.value != "" {
			s.Attributes = append(s.Attributes, text(a.name, a.value))
		}
	}
	if o := e.Outcome(); o != gateway.OK && o != gateway.Gone {
		why := e.Rule
		if why == "" {
			why = e.ProviderError
		}
		s.Attributes = append(s.Attributes, text("error.type", errorType(why, e.Status)))
		s.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: why}
	}
	return s
}

// call is the span of what the provider was asked.
func (t *Tracer) call(e *gateway.Event, leg *trace.Span) *trace.Span {
	s := &trace.Span{
		TraceId: leg.TraceId, SpanId: newSpanID(), ParentSpanId: leg.SpanId, Name: "provider", Kind: trace.Span_SPAN_KIND_CLIENT,
		StartTimeUnixNano: nano(e.Asked), EndTimeUnixNano: nano(e.Asked.Add(e.Provider)),
		Attributes: []*common.KeyValue{text("http.request.method", method(e.Method)), text("onedoor.route", e.Route)},
	}
	if e.ProviderStatus != 0 {
		s.Attributes = append(s.Attributes, number("http.response.status_code", e.ProviderStatus))
	}
	if e.ProviderStatus == 0 || e.ProviderStatus >= http.StatusBadRequest {
		why := e.ProviderError
		if why == "" {
			why = e.Rule
		}
		s.Attributes = append(s.Attributes, text("error.type", errorType(why, e.ProviderStatus)))
		s.Status = &trace.Status{Code: trace.Status_STATUS_CODE_ERROR, Message: why}
	}
	return s
}

// method is a method as the semantic conventions for HTTP have it: a caller's
// own invention is not repeated.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodPatch:
		return m
	}
	return "_OTHER"
}

// errorType is what went wrong in one word: a rule, an OAuth error code, or the
// status of the answer.
func errorType(why string, status int) string {
	if why != "" {
		return why
	}
	return strconv.Itoa(status)
}

func newSpanID() []byte {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never returns an error (crypto/rand since Go 1.24)
	return id
}

func nano(t time.Time) uint64 { return uint64(t.UnixNano()) }

func text(name, value string) *common.KeyValue {
	return &common.KeyValue{Key: name, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func number(name string, value int) *common.KeyValue {
	return &common.KeyValue{Key: name, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(value)}}}
}
