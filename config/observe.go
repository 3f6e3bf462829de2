package config

import (
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Tracing sends logins as traces to an OpenTelemetry collector: a span for each
// part of a login and for what the provider was asked, joined across replicas.
// Codes, states, tokens and cookies are in none.
type Tracing struct {
	// Endpoint is where the collector takes OTLP over HTTP: its origin, or the
	// whole address where that is not `/v1/traces`. Without it nothing is sent.
	Endpoint string `yaml:"endpoint" example:"http://otel-collector:4318" restart:"true"`

	// Headers are header fields for the collector, `NAME: VALUE` each on a line: a
	// key that it asks for, as `Authorization: Bearer …` or `x-api-key: …`.
	Headers Secret `yaml:"headers" restart:"true" lines:"true"`

	// HeadersFile is a file that holds the value of `headers`.
	HeadersFile string `yaml:"headers_file" example:"collector.headers"`

	// Sample is which part of the logins is traced: 1 is all of them, 0.1 every
	// tenth. All replicas choose the same ones.
	Sample float64 `yaml:"sample" default:"0.1" min:"0" max:"1" restart:"true"`
}

// Traces are the records of logins, which `onedoor trace` shows: times, tenant,
// app, outcome, and the rule that refused. Codes, states, tokens and persons are
// in none. A login takes some 2 KiB in the database.
type Traces struct {
	// Keep is how long a login is kept after it was last heard of; `0s` keeps
	// none.
	Keep time.Duration `yaml:"keep" default:"72h" min:"0s" max:"2160h" restart:"true"`

	// Limit is how many logins are kept; beyond it the oldest go.
	Limit int `yaml:"limit" default:"250000" min:"1000" max:"100000000" restart:"true"`

	// Unredeemed is how many people must come back from the provider within
	// `window`, and no app redeem a code, for a warning in the log. 0 is never.
	Unredeemed int `yaml:"unredeemed" default:"10" min:"0" max:"1000000" restart:"true"`

	// Window is the time in which they are counted.
	Window time.Duration `yaml:"window" default:"30m" min:"1m" max:"24h" restart:"true"`
}

// Audit is the log of who changed what: tenants, sites, tokens and keys, before
// and after. `onedoor audit` shows it. An entry takes some 300 octets in the
// database.
type Audit struct {
	// Keep is how long an entry is kept; `0s` is for ever. What a removed tenant
	// was stands nowhere else: a year is longer than its label rests. Those of the
	// last two days, and the newest one, are always there.
	Keep time.Duration `yaml:"keep" default:"8760h" min:"0s" max:"876000h" restart:"true"`
}

func (d *decoder) tracing(t *Tracing) {
	const path = "tracing.endpoint"
	if at := d.secretLines("tracing.headers", &t.Headers, "tracing.headers_file", &t.HeadersFile); at != "" {
		header := eachHeader(t.Headers, func(message, hint string) { d.wrong(at, message, hint) })
		if len(header) == 0 && !d.said[at] {
			d.wrong(at, "holds no header field", headerHint)
		}
	}
	if t.Endpoint == "" {
		return
	}
	u, err := url.Parse(t.Endpoint)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		d.wrong(path, "is not an http or https address", "where the collector takes OTLP over HTTP: http://otel-collector:4318")
	case u.User != nil, u.RawQuery != "", u.Fragment != "", strings.Contains(t.Endpoint, "#"):
		d.wrong(path, "has more than origin and path", "leave out user, query and fragment; a key for the collector belongs into tracing.headers")
	case u.Port() == "4317":
		d.wrong(path, "4317 is where collectors take OTLP over gRPC", "OTLP over HTTP has port 4318")
	}
}

// own are header fields that the request has anyhow.
var own = []string{"Connection", "Content-Encoding", "Content-Length", "Content-Type", "Host", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

const headerHint = "NAME: VALUE on a line, as Authorization: Bearer …"

// Header is Headers as they are sent.
func (t Tracing) Header() http.Header { return eachHeader(t.Headers, func(string, string) {}) }

// eachHeader reads header fields. No value is in a message.
func eachHeader(text Secret, wrong func(message, hint string)) http.Header {
	header, n := http.Header{}, 0
	for line := range strings.Lines(string(text)) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, colon := strings.Cut(line, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		switch {
		case !colon || value == "" || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			wrong(fmt.Sprintf("line %d is no header field", n), headerHint)
		case slices.Contains(own, name):
			wrong(fmt.Sprintf("line %d: %s is set by the door", n, name), "leave it out")
		default:
			header.Add(name, value)
		}
	}
	return header
}

func setFloat(text string, v reflect.Value, f field) (message, hint string) {
	low, high := mustFloat(f.min), mustFloat(f.max)
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x >= low && x <= high) { // NaN is neither
		return fmt.Sprintf("%q is not a number in bounds", text), fmt.Sprintf("from %s to %s", f.min, f.max)
	}
	v.SetFloat(x)
	return "", ""
}

// mustFloat reads a bound or a default from a struct tag of this package.
func mustFloat(tag string) float64 {
	x, err := strconv.ParseFloat(tag, 64)
	if err != nil {
		panic(fmt.Sprintf("config: struct tag %q is no number", tag)) // a tag of ours, never input
	}
	return x
}
