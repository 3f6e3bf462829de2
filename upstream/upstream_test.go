package upstream

import (
	"bufio"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const public = "https://auth.example.com"

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// provider is a fake one whose answer to each request a test can change.
type provider struct {
	*httptest.Server
	answer atomic.Pointer[http.HandlerFunc]
	conns  atomic.Int64
}

func (p *provider) say(h http.HandlerFunc) { p.answer.Store(&h) }

func fake(t *testing.T, h http.HandlerFunc) *provider {
	p := &provider{}
	p.say(h)
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.answer.Load())(w, r) }))
	p.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			p.conns.Add(1)
		}
	}
	p.Start()
	t.Cleanup(p.Close)
	return p
}

// documentOf answers with the metadata of an issuer, at its path alone.
func documentOf(issuer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(issuer, public)
		if r.RequestURI != ConfigurationPath(path) {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[2]s/auth","token_endpoint":"%[2]s/token","jwks_uri":"https://elsewhere.example/jwks"}`, issuer, strings.TrimSuffix(issuer, "/"))
	}
}

func start(t *testing.T, base string, issuers ...string) *Provider {
	t.Helper()
	return startWith(t, base, Options{Issuers: issuers, Refresh: 2 * time.Millisecond})
}

func startWith(t *testing.T, base string, o Options) *Provider {
	t.Helper()
	o.URL, _ = url.Parse(base)
	o.PublicOrigin, o.Retry = public, time.Millisecond
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	return p
}

// run runs p until the test ends; the channel gives what Run returned.
func run(t *testing.T, p *Provider) <-chan error {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { ended <- p.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return ended
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, late := time.NewTicker(time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestTheDocumentIsAskedForByThePublicName(t *testing.T) {
	asked := make(chan *http.Request, 1)
	f := fake(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, openID) {
			select {
			case asked <- r:
			default:
			}
		}
		documentOf(public+"/realms/atlas")(w, r)
	})
	p := start(t, f.URL, "/realms/atlas")
	r := <-asked
	if r.Host != "auth.example.com" || r.Header.Get("X-Forwarded-Proto") != "https" || r.Header.Get("X-Forwarded-Host") != "auth.example.com" || r.Header.Get("X-Forwarded-Port") != "443" {
		t.Errorf("Host %q, headers %v", r.Host, r.Header)
	}
	until(t, "ready", func() bool { return p.Ready() == nil })
	for path, want := range map[string]Endpoint{
		"/realms/atlas/auth": Authorization, "/realms/atlas/token": Token, "/realms/atlas/token/": Token, "/jwks": "", "/": "", "": "", "/realms/atlas/Token": "",
	} {
		if got, iss, _ := p.At(path); got != want || (want != "" && (len(iss) != 1 || iss[0].Path != "/realms/atlas")) {
			t.Errorf("At(%q) = %q %v, want %q", path, got, iss, want)
		}
	}
}

func TestWhatIsNoMetadataSaysWhatItWas(t *testing.T) {
	good := documentOf(public + "/realms/atlas")
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   []string
	}{
		{"an HTML page", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>Welcome</html>") }, []string{"text/html", "no metadata document"}},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/elsewhere" {
				http.Redirect(w, r, "/elsewhere?token=SECRET", http.StatusFound)
				return
			}
			r.RequestURI = ConfigurationPath("/realms/atlas")
			good(w, r)
		}, []string{"redirect", "/elsewhere", "not followed"}},
		{"404", http.NotFound, []string{"404", "provider.issuers"}},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, []string{"answered 500"}},
		{"a document without end", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, `{"issuer":"`)
			for range maxDocument/1024 + 1 {
				if _, err := io.WriteString(w, strings.Repeat("x", 1024)); err != nil {
					return
				}
			}
		}, []string{"more than 1048576 octets"}},
		{"half a document", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, `{"issuer":`)
		}, []string{"broke off"}},
		{"no answer in time", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []string{"does not answer", "timeout"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := fake(t, tt.answer)
			o := Options{Issuers: []string{"/realms/atlas"}, Refresh: 2 * time.Millisecond}
			if tt.name == "no answer in time" {
				o.AnswerTimeout = 100 * time.Millisecond
			}
			p := startWith(t, f.URL, o)
			until(t, "an error", func() bool { return p.Ready() != nil && !errors.Is(p.Ready(), ErrNotReady) })
			text := p.Ready().Error()
			for _, w := range append(tt.want, public+"/realms/atlas", f.URL) {
				if !strings.Contains(text, w) {
					t.Errorf("%q does not say %q", text, w)
				}
			}
			if strings.Contains(text, "SECRET") {
				t.Error("a query got into the error")
			}
			if _, _, err := p.At("/x"); err == nil {
				t.Error("requests would be passed without knowing what they ask")
			}
			f.say(good)
			until(t, "the provider to be taken when it is well again", func() bool { return p.Ready() == nil })
		})
	}
}

func TestAnotherIssuerEndsTheStartAndNamesBoth(t *testing.T) {
	for _, tt := range []struct{ path, says string }{
		{"/realms/atlas", "http://keycloak:8080/realms/atlas"},
		{"/realms/atlas", public + "/realms/atlas/"},
		{"/realms/atlas", public + "/realms/Atlas"},
		{"/application/o/x/", public + "/application/o/x"},
		{"/", public + ":443"},
		{"/realms/atlas", ""},
	} {
		t.Run(tt.says, func(t *testing.T) {
			f := fake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"issuer":%q}`, tt.says) })
			u, _ := url.Parse(f.URL)
			p, err := New(Options{URL: u, PublicOrigin: public, Issuers: []string{tt.path}})
			if err != nil {
				t.Fatal(err)
			}
			select {
			case err = <-run(t, p):
			case <-time.After(20 * time.Second):
				t.Fatal("Run goes on")
			}
			var wrong *IssuerError
			if !errors.As(err, &wrong) || wrong.Got != tt.says || !strings.Contains(err.Error(), strings.TrimSuffix(public+tt.path, "/")) || !strings.Contains(err.Error(), f.URL) {
				t.Errorf("Run = %v", err)
			}
			if _, err := p.Issuer(tt.path); !errors.As(err, &wrong) {
				t.Errorf("the issuer is served: %v", err)
			}
		})
	}
}

func TestTheIssuerIsTakenAsTheProviderSpellsIt(t *testing.T) {
	for _, tt := range []struct{ path, says string }{
		{"/", public}, {"/", public + "/"}, {"/application/o/x/", public + "/application/o/x/"}, {"/realms/atlas", public + "/realms/atlas"},
	} {
		f := fake(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"issuer":%q}`, tt.says) })
		p := start(t, f.URL, tt.path)
		until(t, tt.says, func() bool { return p.Ready() == nil })
		if i, err := p.Issuer(tt.path); err != nil || i.ID != tt.says {
			t.Errorf("%+v, %v", i, err)
		}
	}
}

func TestMetadataOutlivesTheProvidersRestart(t *testing.T) {
	f := fake(t, documentOf(public+"/realms/atlas"))
	p := start(t, f.URL, "/realms/atlas")
	until(t, "ready", func() bool { return p.Ready() == nil })
	var asked atomic.Int64
	f.say(func(w http.ResponseWriter, _ *http.Request) { asked.Add(1); w.WriteHeader(503) })
	until(t, "several refreshes in vain", func() bool { return asked.Load() > 5 })
	if i, err := p.Issuer("/realms/atlas"); err != nil || p.Ready() != nil {
		t.Errorf("forgotten: %v, %v", i, err)
	}
	f.say(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"issuer":"https://other.example"}`) })
	until(t, "another issuer to be refused", func() bool { return p.Ready() != nil })
}

func TestIssuersThatShareEndpointsAreAllNamed(t *testing.T) {
	f := fake(t, func(w http.ResponseWriter, r *http.Request) {
		for _, slug := range []string{"/application/o/a/", "/application/o/b/"} {
			if r.RequestURI == ConfigurationPath(slug) {
				fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%[2]s/application/o/authorize/","token_endpoint":"%[2]s/application/o/token/"}`, public+slug, public)
				return
			}
		}
		http.NotFound(w, r)
	})
	p := start(t, f.URL, "/application/o/a/", "/application/o/b/", "/application/o/gone/")
	until(t, "two issuers", func() bool {
		e, iss, _ := p.At("/application/o/authorize/")
		return e == Authorization && len(iss) == 2
	})
	if got := p.Private(); len(got) != 1 || got[0] != "/-" {
		t.Errorf("private paths %v", got)
	}
	_, _, shared := p.At("/application/o/token/")
	_, _, gone := p.At("/application/o/gone/x")
	if shared != nil || gone == nil || p.Ready() == nil {
		t.Error("one issuer that is not there closes its own paths, and only those")
	}
}

func TestPrivatePathsFollowTheProvidersRoot(t *testing.T) {
	for _, tt := range []struct {
		issuers string
		want    string
	}{
		{"/realms/atlas", "/admin /metrics /health /realms/master"},
		{"/realms/master", "/admin /metrics /health"},
		{"/auth/realms/atlas", "/admin /metrics /health /realms/master /auth/admin /auth/metrics /auth/health /auth/realms/master"},
	} {
		if got := strings.Join(private(Keycloak, []string{tt.issuers}), " "); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.issuers, got, tt.want)
		}
	}
}

func TestOAuthMetadataIsFetchedWhereItLies(t *testing.T) {
	const issuer = public + "/realms/atlas"
	f := fake(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.RequestURI {
		case "/realms/atlas/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realms/atlas":
			fmt.Fprintf(w, `{"issuer":%q}`, issuer)
		case "/realms/atlas/.well-known/oauth-authorization-server":
			fmt.Fprint(w, `{"issuer":"https://other.example"}`)
		default:
			http.NotFound(w, r)
		}
	})
	p := start(t, f.URL, "/realms/atlas")
	until(t, "ready", func() bool { return p.Ready() == nil })
	i, _ := p.Issuer("/realms/atlas")
	if len(i.OAuth) != 1 || i.OAuth["/.well-known/oauth-authorization-server/realms/atlas"] == nil {
		t.Errorf("%v", i.OAuth)
	}
}

// TestConnectionsAreKept: http.DefaultTransport opens thousands here, since it
// keeps two.
func TestConnectionsAreKept(t *testing.T) {
	f := fake(t, documentOf(public+"/r"))
	p := startWith(t, f.URL, Options{Issuers: []string{"/r"}})
	until(t, "ready", func() bool { return p.Ready() == nil })
	var wg sync.WaitGroup
	work := make(chan struct{})
	for range 64 {
		wg.Go(func() {
			for range work {
				r, _ := http.NewRequest(http.MethodGet, "http://x/y", nil)
				resp, err := p.RoundTrip(r)
				if err != nil {
					t.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	for range 10_000 {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	if n := f.conns.Load(); n > 200 {
		t.Errorf("%d connections for 10,000 requests, at most 200 are good", n)
	}
}

// TestTheProviderInsideIsReachedLikeAnyOther: streaming, upgrades and trailers
// work over the listener in memory.
func TestTheProviderInsideIsReachedLikeAnyOther(t *testing.T) {
	next := make(chan struct{})
	h := http.NewServeMux()
	h.HandleFunc("/.well-known/openid-configuration", documentOf(public))
	h.HandleFunc("/stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-End")
		for range 3 {
			io.WriteString(w, "tick\n")
			w.(http.Flusher).Flush()
			<-next
		}
		w.Header().Set("X-End", r.Host)
	})
	p, err := New(Options{Handler: h, PublicOrigin: public, Issuers: []string{"/"}})
	if err != nil {
		t.Fatal(err)
	}
	run(t, p)
	until(t, "ready", func() bool { return p.Ready() == nil })
	r, _ := http.NewRequest(http.MethodGet, "http://x/stream", nil)
	resp, err := p.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for range 3 {
		if line, err := lines.ReadString('\n'); line != "tick\n" {
			t.Fatalf("%q, %v", line, err)
		}
		next <- struct{}{}
	}
	_, _ = io.Copy(io.Discard, lines)
	if got := resp.Trailer.Get("X-End"); got != "auth.example.com" {
		t.Errorf("trailer %q", got)
	}
}

func writePEM(t *testing.T, file string, der []byte) {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAPrivateCertificateAuthorityIsBelieved(t *testing.T) {
	p := &provider{}
	p.say(documentOf(public + "/r"))
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*p.answer.Load())(w, r) }))
	defer p.Close()
	p.Config.ErrorLog = nil
	u, _ := url.Parse(p.URL)
	file := t.TempDir() + "/ca.pem"
	writePEM(t, file, p.Certificate().Raw)
	with, err := New(Options{URL: u, PublicOrigin: public, Issuers: []string{"/r"}, CAFile: file})
	if err != nil {
		t.Fatal(err)
	}
	run(t, with)
	until(t, "ready", func() bool { return with.Ready() == nil })
	if _, err := New(Options{URL: u, PublicOrigin: public, CAFile: "/nowhere.pem"}); err == nil {
		t.Error("a missing file is no error")
	}
}

func TestATenantsIssuerHasEndpointsOfItsOwn(t *testing.T) {
	f := fake(t, func(w http.ResponseWriter, r *http.Request) {
		slug, ok := strings.CutSuffix(r.URL.Path, "/.well-known/openid-configuration")
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"issuer":"%s%s/","authorization_endpoint":"%[1]s/application/o/authorize/","token_endpoint":"%[1]s/application/o/token/"}`, public, slug)
	})
	p := startWith(t, f.URL, Options{Issuers: []string{"/application/o/{tenant}/"}, Tenant: func(context.Context, string, string) (bool, error) { return true, nil }})
	if i, err := p.Issuer("/application/o/acme/"); err == nil || !strings.Contains(err.Error(), "not below it") {
		t.Errorf("%v, %v", i, err)
	}
}
