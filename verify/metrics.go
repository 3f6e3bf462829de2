package verify

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Collectors are the Runner's metrics. No label is a tenant's.
func (r *Runner) Collectors() []prometheus.Collector {
	all := []prometheus.Collector{&failingCollector{r}}
	for _, outcome := range Outcomes {
		all = append(all, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "onedoor_verifications_total", Help: "Looks at a tenant's login, by what was found.",
			ConstLabels: prometheus.Labels{"outcome": string(outcome)},
		}, func() float64 { return float64(r.counts[outcome].Load()) }))
	}
	return all
}

// failingCollector tells what only the replica that verifies knows; the others
// are silent, so that a sum over all replicas is right.
type failingCollector struct{ r *Runner }

var (
	failingDesc  = prometheus.NewDesc("onedoor_verify_failing", "Logins of tenants that would fail, by what is wrong; and findings about the provider. From the replica that verifies.", []string{"outcome"}, nil)
	roundDesc    = prometheus.NewDesc("onedoor_verify_round_seconds", "How long the last round around all tenants took.", nil, nil)
	endedDesc    = prometheus.NewDesc("onedoor_verify_round_ended_timestamp_seconds", "When it ended.", nil, nil)
	everyDesc    = prometheus.NewDesc("onedoor_verify_interval_seconds", "How long it is to take: verify.every.", nil, nil)
	slowdownDesc = prometheus.NewDesc("onedoor_verify_slowdown", "By how much the verification holds back because the provider is slow; 1: not at all.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *failingCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{failingDesc, roundDesc, endedDesc, everyDesc, slowdownDesc} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *failingCollector) Collect(to chan<- prometheus.Metric) {
	counts := map[Outcome]int{ProviderOpen: 0, ProviderLoose: 0, DoorOpen: 0}
	for _, o := range Outcomes {
		if o.Failing() {
			counts[o] = 0
		}
	}
	c.r.mu.Lock()
	leading := c.r.leading
	for _, v := range c.r.failing {
		if _, known := counts[Outcome(v.Outcome)]; known { // a newer replica may have others
			counts[Outcome(v.Outcome)]++
		}
	}
	c.r.mu.Unlock()
	if !leading {
		return
	}
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	for o, n := range counts {
		gauge(failingDesc, float64(n), string(o))
	}
	if ended := c.r.ended.Load(); ended > 0 {
		gauge(roundDesc, float64(c.r.lasted.Load())/1000)
		gauge(endedDesc, float64(ended))
	}
	gauge(everyDesc, c.r.Every.Seconds())
	gauge(slowdownDesc, c.r.pace.held())
}
