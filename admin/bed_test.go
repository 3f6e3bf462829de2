package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"onedoor/admin"
	"onedoor/domains"
	"onedoor/store"
	"onedoor/tenant"
)

const bootstrap = "the token of the configuration"

// bed is an API over a database, a DNS that says what it is told, and a clock.
type bed struct {
	*admin.API
	t     testing.TB
	db    *store.DB
	rules *tenant.Directory
	url   string

	mu    sync.Mutex
	at    time.Time
	texts map[string][]string
}

func (b *bed) now() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

func (b *bed) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at = b.at.Add(d)
}

// TXT makes the bed a DNS.
func (b *bed) TXT(_ context.Context, name string) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if texts, ok := b.texts[name]; ok {
		return texts, nil
	}
	return nil, domains.ErrAbsent
}

func makeBed(t testing.TB, change ...func(*admin.Options)) *bed {
	t.Helper()
	b := &bed{t: t, at: time.Unix(1_790_000_000, 0), texts: map[string][]string{}}
	var err error
	if b.db, err = store.Open(t.Context(), filepath.Join(t.TempDir(), "onedoor.db"), store.Options{Now: b.now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.db.Close() })
	env := tenant.Environment{Production: true, Door: []string{"https://auth.example.com"}}
	site, err := tenant.ParseTemplate("https://{tenant}.example.com", env)
	if err != nil {
		t.Fatal(err)
	}
	b.rules = &tenant.Directory{
		Apps:     []*tenant.App{{Name: "atlas", ClientID: "atlas-web", Site: site, Environment: env, Callbacks: []string{"/cb"}}},
		Issuers:  []string{"/realms/atlas", "/realms/{tenant}"},
		Reserved: []string{"www", "auth"}, Door: env.Door,
	}
	o := admin.Options{
		Store: b.db, Rules: func() *tenant.Directory { return b.rules }, Token: func() string { return bootstrap }, Now: b.now, Version: "test", Rate: 100_000,
		Domains:  domains.New(domains.Options{Store: b.db, Resolver: b, Now: b.now}),
		KeyTimes: func() admin.KeyTimes { return admin.KeyTimes{} },
	}
	for _, f := range change {
		f(&o)
	}
	b.API = admin.New(o)
	server := httptest.NewServer(b.API)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// got is an answer.
type got struct {
	*http.Response
	t    testing.TB
	body []byte
}

// ask sends a request with the configuration's token. header are pairs.
func (b *bed) ask(method, path, body string, header ...string) got {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+bootstrap)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		switch header[i+1] {
		case "":
			r.Header.Del(header[i])
		default:
			r.Header.Set(header[i], header[i+1])
		}
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	return b.send(r)
}

// askAs sends a request whose header fields may repeat, or be empty.
func (b *bed) askAs(method, path, body string, header http.Header) got {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header = header
	r.Header.Set("Authorization", "Bearer "+bootstrap)
	r.Header.Set("Content-Type", "application/json")
	return b.send(r)
}

func (b *bed) send(r *http.Request) got {
	b.t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return got{resp, b.t, text}
}

// is demands a status, and of a problem the code.
func (g got) is(status int, code string) got {
	g.t.Helper()
	if g.StatusCode != status {
		g.t.Fatalf("%s %s: status %d, want %d: %s", g.Request.Method, g.Request.URL, g.StatusCode, status, g.body)
		return g
	}
	if status >= 400 {
		if p := g.problem(); p.Code != code || p.Status != status || p.Type != "about:blank" || p.Title == "" || p.Detail == "" {
			g.t.Errorf("%s %s: %s, want code %s", g.Request.Method, g.Request.URL, g.body, code)
		}
		if ct := g.Header.Get("Content-Type"); ct != "application/problem+json" {
			g.t.Errorf("Content-Type %q", ct)
		}
	}
	return g
}

func (g got) problem() admin.Problem { return into[admin.Problem](g) }

func (g got) tenant() admin.Tenant { return into[admin.Tenant](g) }

func into[T any](g got) T {
	g.t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(g.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		g.t.Fatalf("%s: %v", g.body, err)
	}
	return v
}

// at demands that a problem names these places and no others.
func (g got) at(locations ...string) got {
	g.t.Helper()
	var said []string
	for _, m := range g.problem().Errors {
		said = append(said, m.Location)
		if m.Detail == "" || strings.Contains(m.Detail, "<nil>") {
			g.t.Errorf("at %s it says nothing of what is wrong: %s", m.Location, g.body)
		}
	}
	if strings.Join(said, " ") != strings.Join(locations, " ") {
		g.t.Errorf("mistakes at %q, want %q: %s", said, locations, g.body)
	}
	return g
}

// token adds a token of those scopes and returns its secret.
func (b *bed) token(name string, scopes ...string) string {
	b.t.Helper()
	body, _ := json.Marshal(map[string]any{"name": name, "scopes": scopes})
	return into[admin.NewToken](b.ask("POST", "/v1/tokens", string(body)).is(201, "")).Secret
}
