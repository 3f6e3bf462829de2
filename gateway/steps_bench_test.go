//go:build unix

package gateway

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"onedoor/horizon"
	"onedoor/oidc"
	"onedoor/registry"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// BenchmarkStep is the door's own work for each step of a login in transparent
// mode, from the raw request to what is sent on: parameters read, registry
// asked, sealed and opened, bound to the browser. What the proxy does with the
// request after that is not in it. CPU is the process's, so that the collector
// counts and other programs do not.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		bed := newStepBed(b, n)
		for _, step := range []struct {
			name string
			do   func(*stepBed, int) string
		}{{"authorize", (*stepBed).authorize}, {"callback", (*stepBed).callback}, {"token", (*stepBed).token}} {
			b.Run(fmt.Sprintf("%s/tenants=%d", step.name, n), func(b *testing.B) {
				b.ReportAllocs()
				before := cpuTime(b)
				for i := 0; b.Loop(); i++ {
					if step.do(bed, i%len(bed.labels)) == "" {
						b.Fatal("refused")
					}
				}
				b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/op")
			})
		}
	}
}

// stepBed is one login for each of many tenants, in no order.
type stepBed struct {
	g      *Gateway
	issuer *upstream.Issuer
	labels []string

	authorizations, callbacks, tokens []string // of the requests
	cookies                           []http.Header

	w       nobody
	hr      http.Request
	issuers []*upstream.Issuer
	client  http.Header // of token requests
	body    strings.Reader
}

// Read and Close make the body that a test sends.
func (s *stepBed) Read(b []byte) (int, error) { return s.body.Read(b) }
func (s *stepBed) Close() error               { return nil }

func newStepBed(b *testing.B, tenants int) *stepBed {
	b.Helper()
	site := mustTemplate(b, "https://{tenant}.example.com")
	all := make([]string, tenants)
	for i := range all {
		all[i] = fmt.Sprintf("t%06d", i)
	}
	known := registry.New(registry.Options{Source: labelled(all), StaleAfter: 24 * time.Hour})
	go known.Run(b.Context())
	known.Await(b.Context())
	now := func() time.Time { return time.Unix(1_800_000_000, 0) }
	ring, err := seal.NewRing(now, seal.NewKey(1))
	if err != nil {
		b.Fatal(err)
	}
	d := openDoor(b, setup{
		upstream: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q,"code_challenge_methods_supported":["plain","S256"],"authorization_response_iss_parameter_supported":true}`,
				testOrigin, testOrigin+"/authorize", testOrigin+"/token")
		}),
		issuers: []string{"/"},
		directory: &tenant.Directory{
			Registry: known, Reserved: []string{"auth", "www"}, Door: []string{testOrigin},
			Apps: []*tenant.App{{
				Name: "atlas", ClientID: "atlas-web", Mode: tenant.Transparent, Type: tenant.Confidential, Site: site,
				Callbacks: []string{"/api/auth/callback"}, BrowserBinding: true, RegisteredRedirectURI: testOrigin + callbackPath,
			}},
		},
		gateway: func(o *Options) { o.Ring, o.LoginTTL, o.CodeTTL, o.Now = ring, time.Hour, time.Minute, now },
	})
	s := &stepBed{g: d.gateway, w: nobody{header: http.Header{}}, client: http.Header{
		"Content-Type": {"application/x-www-form-urlencoded"}, "Authorization": {"Basic YXRsYXMtd2ViOnNlY3JldA=="},
	}}
	if s.issuer, err = d.provider.Issuer("/"); err != nil {
		b.Fatal(err)
	}
	s.issuers = []*upstream.Issuer{s.issuer}
	const most = 1 << 12
	for _, i := range rand.Perm(tenants)[:min(tenants, most)] {
		s.labels = append(s.labels, all[i])
	}
	// Each step's requests are made from the answers of the one before.
	for i, label := range s.labels {
		uri := "https://" + label + ".example.com/api/auth/callback"
		s.authorizations = append(s.authorizations, "?"+oidc.Params{
			{Name: "client_id", Value: "atlas-web"},
			{Name: "scope", Value: "openid email profile"},
			{Name: "response_type", Value: "code"},
			{Name: "redirect_uri", Value: uri},
			{Name: "state", Value: "dGhlIGFwcCdzIG93biBzdGF0ZSwgb3BhcXVl"},
			{Name: "nonce", Value: "n-0S6_WzA2Mj-0123456789"},
		}.Encode())
		state := parameter(b, s.authorize(i), "state")
		pair, _, _ := strings.Cut(s.w.header.Get("Set-Cookie"), ";")
		s.cookies = append(s.cookies, http.Header{"Cookie": {pair}})
		s.callbacks = append(s.callbacks, "?"+oidc.Params{
			{Name: "state", Value: state},
			{Name: "session_state", Value: "5d1f4f3e-9f0b-4d55-8d8e-0a2c1c9e6b7a"},
			{Name: "iss", Value: testOrigin},
			{Name: "code", Value: "0f6c1b9e-4a57-4a0e-9d0b-6a3f6f0c2f10.5d1f4f3e-9f0b-4d55-8d8e-0a2c1c9e6b7a.b0c1d2e3"},
		}.Encode())
		code := parameter(b, s.callback(i), "code")
		s.tokens = append(s.tokens, oidc.Params{
			{Name: "grant_type", Value: "authorization_code"}, {Name: "code", Value: code}, {Name: "redirect_uri", Value: uri},
		}.Encode())
	}
	return s
}

// labelled is a database of tenants with these labels, that never changes.
type labelled []string

func (l labelled) Each(_ context.Context, f func(tenant.Tenant) error) (int64, error) {
	for _, label := range l {
		if err := f(tenant.Tenant{ID: fmt.Sprintf("t_%016x", rand.Uint64()), Label: label, Status: tenant.Active}); err != nil {
			return 0, err
		}
	}
	return 1, nil
}

func (labelled) Since(context.Context, int64, int) ([]registry.Change, error) { return nil, nil }
func (labelled) Revision(context.Context) (int64, error)                      { return 1, nil }
func (labelled) Mark(context.Context, int64) (string, error)                  { return "", nil }
func (l labelled) Count(context.Context) (int64, error)                       { return int64(len(l)), nil }

// request is one as dispatch hands it on.
func (s *stepBed) request(method, path, query string, header http.Header) *request {
	clear(s.w.header)
	s.hr = http.Request{Method: method, Header: header}
	return &request{Request: &s.hr, log: s.g.Log, path: path, query: query, caller: horizon.Caller{Horizon: horizon.Public, Origin: testOrigin}}
}

// authorize does what Gateway.authorize does before it lets the request pass.
func (s *stepBed) authorize(i int) string {
	r := s.request(http.MethodGet, "/authorize", s.authorizations[i], nil)
	f, bad := s.g.readForm(&s.w, r)
	if bad != nil {
		return ""
	}
	app, issuer := s.g.app(s.issuers, f.params.Get("client_id"))
	to, bad := s.g.checkTarget(r, app, issuer, f.params)
	if bad != nil || s.g.checkRequest(app, issuer, f.params) != nil {
		return ""
	}
	t := s.g.begin(app, to, issuer, f.params)
	next, bad := s.g.toProvider(r, app, to, issuer, f.params, &t)
	if bad != nil {
		return ""
	}
	s.g.bind(&s.w, r, &t)
	s.g.send(r, next)
	return r.query
}

// callback is the whole of it: nothing is passed on.
func (s *stepBed) callback(i int) string {
	r := s.request(http.MethodGet, callbackPath, s.callbacks[i], s.cookies[i])
	s.g.callback(&s.w, r)
	if s.w.status != http.StatusSeeOther {
		return ""
	}
	_, query, _ := strings.Cut(s.w.header["Location"][0], "?")
	return query
}

// token does what Gateway.token does before it lets the request pass.
func (s *stepBed) token(i int) string {
	s.body.Reset(s.tokens[i])
	r := s.request(http.MethodPost, "/token", "", s.client)
	r.Body = s
	f, app, issuer, bad := s.g.backChannel(&s.w, r, s.issuers)
	if bad != nil || app == nil {
		return ""
	}
	ps, bad := s.g.redeem(r, app, issuer, f.params)
	if bad != nil {
		return ""
	}
	body := ps.Encode()
	setBody(r, body)
	return body
}

func parameter(b testing.TB, query, name string) string {
	b.Helper()
	q, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil || q.Get(name) == "" {
		b.Fatalf("no %s in %q", name, query)
	}
	return q.Get(name)
}

// cpuTime is what this process has used so far, in nanoseconds.
func cpuTime(b testing.TB) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
