// Package meter tells what happens at the door: as metrics, which Prometheus
// asks for, and as traces, which it sends to an OpenTelemetry collector.
//
// Both are made from the events of package gateway, which hold no secret, and
// neither can slow a login: a metric is an addition in memory, a trace is
// dropped where it finds no room. Reading starts at [Meter.Observe] and
// [Tracer.Observe].
package meter

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"onedoor/gateway"
)

// Options of a Meter.
type Options struct {
	Version  string
	InFlight *atomic.Int64 // requests that are being answered; nil: not measured
	Registry Registry      // of the tenants; nil: not measured
	Now      func() time.Time

	// KeysAge is how long ago the sealing keys were confirmed; nil: not measured.
	KeysAge func() time.Duration
}

// Registry is what is measured of the registry of the tenants.
type Registry interface {
	Size() int64        // tenants in memory
	Octets() int64      // of memory that they take
	Revision() int64    // of the last change that is in memory
	Age() time.Duration // since that was known to be the newest
	Full() bool         // tenants were left out, for want of room
}

// Meter counts. Its labels have values of this program alone, never one that
// came with a request or stands in the registry: anybody can ask for a
// thousand paths, and every value of a label is a series that Prometheus keeps.
type Meter struct {
	registry *prometheus.Registry

	requests  *prometheus.CounterVec   // by route, status
	durations *prometheus.HistogramVec // by route
	providers *prometheus.HistogramVec // by route
	answers   *prometheus.CounterVec   // by route, status
	errors    *prometheus.CounterVec   // by leg, error
	refusals  *prometheus.CounterVec   // by rule
	seals     *prometheus.CounterVec   // by leg, reason
	reloads   *prometheus.CounterVec   // by outcome
	loaded    prometheus.Gauge
	now       func() time.Time

	routes map[string]*route
	other  *route
	legs   map[ended]prometheus.Counter

	mu    sync.Mutex
	rules map[string]bool
}

// route is what is counted for each request, looked up once.
type route struct {
	requests [classes]prometheus.Counter
	answers  [classes]prometheus.Counter
	duration prometheus.Observer
	provider prometheus.Observer
}

// ended is how a part of a login ended.
type ended struct {
	leg     gateway.Leg
	outcome gateway.Outcome
}

// classes are the statuses by their first digit; 0 is where no answer came.
const classes = 7

var classNames = [classes]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx", "other"}

func class(status int) int { return min(status/100, classes-1) }

// The door alone takes microseconds, the provider milliseconds to seconds, and
// its slowest page decides whether people wait.
var buckets = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30}

// New makes a Meter.
func New(o Options) *Meter {
	if o.Now == nil {
		o.Now = time.Now
	}
	m := &Meter{registry: prometheus.NewRegistry(), now: o.Now, routes: map[string]*route{}, rules: map[string]bool{}}
	m.requests = m.counter("requests_total", "Requests that were answered, by route and by the class of the status.", "route", "status")
	m.durations = m.histogram("request_duration_seconds", "Time from a request's head to the last octet of its answer.", "route")
	m.providers = m.histogram("provider_duration_seconds", "Time that the provider took to begin its answer.", "route")
	m.answers = m.counter("provider_answers_total", "Answers of the provider, by the class of the status; none where it did not answer.", "route", "status")
	m.errors = m.counter("provider_errors_total", "Errors that the provider answered, by the leg of the login and the OAuth error code.", "leg", "error")
	m.refusals = m.counter("refusals_total", "Requests that the door refused, by the rule.", "rule")
	m.seals = m.counter("seal_failures_total", "Sealed values that did not open, by the leg of the login.", "leg", "reason")
	m.reloads = m.counter("configuration_reloads_total", "Times that the configuration was read again.", "outcome")
	m.loaded = prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + "configuration_loaded_timestamp_seconds", Help: "When the configuration in use was read."})
	build := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "build_info", Help: "The version, as a label of the number 1.", ConstLabels: prometheus.Labels{"version": o.Version},
	}, func() float64 { return 1 })
	m.Register(m.loaded, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if o.InFlight != nil {
		m.gauge("requests_in_flight", "Requests that are being answered.", func() float64 { return float64(o.InFlight.Load()) })
	}
	if o.Registry != nil {
		m.follow(o.Registry)
	}
	if o.KeysAge != nil {
		m.gauge("seal_keys_age_seconds", "Time since the sealing keys in memory were known to be those of the database.", func() float64 { return o.KeysAge().Seconds() })
	}
	m.prepare()
	return m
}

// prefix begins the name of every metric of ours.
const prefix = "onedoor_"

func (m *Meter) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
	m.Register(c)
	return c
}

func (m *Meter) histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, Buckets: buckets}, labels)
	m.Register(h)
	return h
}

func (m *Meter) gauge(name, help string, value func() float64) {
	m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + name, Help: help}, value))
}

// follow measures the registry of the tenants.
func (m *Meter) follow(r Registry) {
	m.gauge("registry_tenants", "Tenants in memory.", func() float64 { return float64(r.Size()) })
	m.gauge("registry_bytes", "Memory that the tenants take.", func() float64 { return float64(r.Octets()) })
	m.gauge("registry_revision", "Revision of the registry in memory; replicas agree when it is the same.", func() float64 { return float64(r.Revision()) })
	m.gauge("registry_age_seconds", "Time since the registry in memory was known to be the newest.", func() float64 { return r.Age().Seconds() })
	m.gauge("registry_full", "1 where tenants were left out of memory because there are more than tenants.limit.", func() float64 {
		if r.Full() {
			return 1
		}
		return 0
	})
}

// prepare makes the series that alerts look at, so that the first refusal is
// an increase from 0 and not a beginning at 1.
func (m *Meter) prepare() {
	for _, name := range gateway.Routes {
		m.routes[name] = m.route(name)
	}
	m.other = m.route("other")
	legs := m.counter("login_legs_total", "Parts of logins and logouts, by how they ended.", "leg", "outcome")
	m.legs = map[ended]prometheus.Counter{}
	for _, leg := range gateway.Legs {
		for _, outcome := range gateway.Outcomes {
			m.legs[ended{leg, outcome}] = legs.WithLabelValues(string(leg), string(outcome))
		}
	}
	for _, outcome := range []string{"ok", "refused"} {
		m.reloads.WithLabelValues(outcome)
	}
}

func (m *Meter) route(name string) *route {
	r := &route{duration: m.durations.WithLabelValues(name)}
	for i, class := range classNames {
		if i == 0 {
			continue // every request is answered somehow
		}
		r.requests[i] = m.requests.WithLabelValues(name, class)
	}
	if gateway.AsksProvider(name) {
		r.provider = m.providers.WithLabelValues(name)
		for i, class := range classNames {
			r.answers[i] = m.answers.WithLabelValues(name, class)
		}
	}
	return r
}

// Observe counts one request. It is [gateway.Options.Observe].
func (m *Meter) Observe(e *gateway.Event) {
	r := m.routes[e.Route]
	if r == nil {
		r = m.other
	}
	r.requests[class(max(e.Status, 100))].Inc()
	r.duration.Observe(e.Duration.Seconds())
	if !e.Asked.IsZero() && r.provider != nil {
		r.answers[class(e.ProviderStatus)].Inc()
		r.provider.Observe(e.Provider.Seconds())
	}
	if c := m.legs[ended{e.Leg, e.Outcome()}]; c != nil { // nil for a request that is no part of a login
		c.Inc()
	}
	if e.ProviderError != "" {
		m.errors.WithLabelValues(string(e.Leg), e.ProviderError).Inc()
	}
	if e.Rule != "" {
		m.refusals.WithLabelValues(m.rule(e.Rule)).Inc()
	}
	if e.Seal != "" {
		m.seals.WithLabelValues(string(e.Leg), string(e.Seal)).Inc()
	}
}

// maxRules bounds the rules that are told apart; there are some eighty.
const maxRules = 200

// rule is a rule's name as a label. Names are texts of the program, but for
// that of a parameter or a status at their end; should one ever be somebody
// else's, it makes no series of its own.
func (m *Meter) rule(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.rules[name] {
		return name
	}
	if len(m.rules) >= maxRules || len(name) > 64 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_.") != "" {
		return "other"
	}
	m.rules[name] = true
	return name
}

// Reloaded counts that the configuration was read again; err is why it was
// refused.
func (m *Meter) Reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues("refused").Inc()
		return
	}
	m.reloads.WithLabelValues("ok").Inc()
	m.Loaded()
}

// Loaded notes that a configuration is in use from now on.
func (m *Meter) Loaded() { m.loaded.Set(float64(m.now().Unix())) }

// Certificate measures when the certificate of a listener expires.
func (m *Meter) Certificate(listener string, expires func() time.Time) {
	m.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: prefix + "certificate_expiry_timestamp_seconds", Help: "When the certificate of a listener expires.",
		ConstLabels: prometheus.Labels{"listener": listener},
	}, func() float64 { return float64(expires().Unix()) }))
}

// Register adds what another room measures. Names begin with "onedoor_".
func (m *Meter) Register(cs ...prometheus.Collector) { m.registry.MustRegister(cs...) }

// Names are the metrics of ours that there are, whoever registered them.
func (m *Meter) Names() (names []string) {
	all := make(chan *prometheus.Desc)
	go func() {
		defer close(all)
		m.registry.Describe(all)
	}()
	for d := range all {
		_, name, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ = strings.Cut(name, `"`)
		if strings.HasPrefix(name, prefix) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Handler answers Prometheus.
func (m *Meter) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}
