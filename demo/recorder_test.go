package demo

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// door is a stand-in: it passes an authorization request on to the provider
// with another redirect URI and state, and leads the answer back.
func fakeDoor(provider http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if r.URL.Path == "/callback" {
			back := url.Values{"code": {"sealed-" + q.Get("code")}, "state": {strings.TrimPrefix(q.Get("state"), "sealed-")}}
			http.Redirect(w, r, "http://acme.localhost/callback?"+back.Encode(), http.StatusSeeOther)
			return
		}
		q.Set("redirect_uri", "http://auth.localhost/callback")
		q.Set("state", "sealed-"+q.Get("state"))
		inner := r.Clone(context.Background()) // as over a wire: nothing but what it carries
		inner.URL.RawQuery = q.Encode()
		provider.ServeHTTP(w, inner)
	})
}

func get(t *testing.T, h http.Handler, target string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w.Header().Get("Location")
}

func TestTwoLoginsAtOnceDoNotMix(t *testing.T) {
	r := NewRecorder()
	codes := 0
	provider := r.Provider(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		codes++
		q := req.URL.Query()
		http.Redirect(w, req, q.Get("redirect_uri")+fmt.Sprintf("?code=a-code-of-the-provider-%d&state=", codes)+q.Get("state"), http.StatusSeeOther)
	}))
	door := r.Front(Door, fakeDoor(provider))
	var ways []*Way
	site := r.Front("acme.localhost", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/login" {
			way := r.Begin(req, "login")
			ways = append(ways, way)
			http.Redirect(w, req, fmt.Sprintf("http://auth.localhost/authorize?redirect_uri=http://acme.localhost/callback&state=the-state-of-login-%d", len(ways)), http.StatusSeeOther)
		}
	}))
	next := []string{get(t, site, "http://acme.localhost/login"), get(t, site, "http://acme.localhost/login")}
	for range 2 { // authorize, then the door's callback; the second login first
		for _, i := range []int{1, 0} {
			next[i] = get(t, door, next[i])
		}
	}
	for i := range next {
		get(t, site, next[i])
	}
	for i, w := range ways {
		hops := w.Hops()
		if len(hops) != 4 {
			t.Fatalf("login %d has %d hops, want 4: %+v", i, len(hops), hops)
		}
		asked := hops[1]
		if len(asked.Inner) != 1 || len(asked.Changes) != 2 || asked.Changes[0].To != "http://auth.localhost/callback" {
			t.Errorf("login %d: what the door changed: %+v, inner %d", i, asked.Changes, len(asked.Inner))
		}
		if c := hops[2].Changes; len(c) != 2 || c[0].Name != "code" {
			t.Errorf("login %d: what the door changed on the way back: %+v", i, c)
		}
	}
}

func TestNoSecretIsKept(t *testing.T) {
	r := NewRecorder()
	const secret = "SECRET0123456789abcdefghijkl"
	query := "?state=" + secret + "&code=" + secret + "&id_token_hint=" + secret + "&unknown=SECRET&nonce=" + secret + "&login=x"
	site := r.Front("acme.localhost", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		way := r.Begin(req, "login")
		resp, err := (&http.Client{Transport: r.Transport("server", roundTripper(func(req *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(req.Body)
			if !strings.Contains(string(body), secret) {
				t.Errorf("the body was lost: %q", body)
			}
			return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}}, nil
		}), r.Once())}).Do(form(way.Context(req.Context()), url.Values{"code": {secret}, "client_secret": {secret}, "grant_type": {"authorization_code"}}))
		if err != nil {
			t.Error(err)
			return
		}
		_ = resp.Body.Close()
		http.Redirect(w, req, "http://auth.localhost/authorize/"+secret+query, http.StatusSeeOther)
	}))
	get(t, site, "http://acme.localhost/login"+query)
	hops := r.ways[0].Hops()
	if len(hops) != 2 {
		t.Fatalf("%d hops, want 2", len(hops))
	}
	text := ""
	for _, h := range hops {
		text += h.URL.Lines() + h.BodyLines()
		if h.Location != nil {
			text += h.Location.Lines()
		}
	}
	if strings.Contains(text, "SECRET01") || strings.Contains(text, "unknown=SECRET") || !strings.Contains(text, "state=SECRET…") || !strings.Contains(text, "grant_type=authorization_code") {
		t.Errorf("shown: %s", text)
	}
	if strings.Contains(text, "client_secret=S") {
		t.Errorf("a client secret is shown: %s", text)
	}
}

func form(ctx context.Context, v url.Values) *http.Request {
	r, _ := http.NewRequestWithContext(ctx, "POST", "http://onedoor:9000/token", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

func TestAForeignTraceparentBelongsToNobody(t *testing.T) {
	r := NewRecorder()
	provider := r.Provider(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for _, header := range []string{"", "x", "00-", "00-00000000000000000000000000000000-0000000000000001-01"} {
		req := httptest.NewRequest("GET", "http://auth.localhost/authorize", nil)
		req.Header.Set("Traceparent", header)
		provider.ServeHTTP(httptest.NewRecorder(), req)
	}
	if len(r.ways) != 0 || len(r.inFlight) != 0 {
		t.Errorf("%d ways, %d in flight", len(r.ways), len(r.inFlight))
	}
}

func TestTheRecordStaysBounded(t *testing.T) {
	r := NewRecorder()
	var way *Way
	site := r.Front("acme.localhost", http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/login" {
			way = r.Begin(req, "login")
		}
		http.Redirect(w, req, "http://acme.localhost/again?state=a-state-that-always-returns", http.StatusSeeOther)
	}))
	for range 3 * maxWays {
		get(t, site, "http://acme.localhost/login")
	}
	for range 3 * maxHops {
		get(t, site, "http://acme.localhost/again?state=a-state-that-always-returns")
	}
	if len(r.ways) != maxWays || len(r.keys) > maxWays*maxKeys || len(r.inFlight) != 0 {
		t.Errorf("%d ways, %d keys, %d in flight", len(r.ways), len(r.keys), len(r.inFlight))
	}
	for _, w := range r.ways {
		if len(w.hops) > maxHops {
			t.Errorf("a way of %d hops", len(w.hops))
		}
		w.Close()
	}
	if len(r.keys) != 0 {
		t.Errorf("%d keys of ways that are closed", len(r.keys))
	}
	if n := len(way.Hops()); n == 0 {
		t.Error("a closed way lost its hops")
	}
}

func TestTheSitesNetworkKnowsTheInternalNameOnly(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Host != "onedoor:9000" {
			t.Errorf("asked for %s", r.Host)
		}
	}))
	defer inside.Close()
	n := NewNetwork("onedoor:9000", inside.Listener.Addr().String())
	transport := n.transport()
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport}
	resp, err := c.Get("http://onedoor:9000/")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	// The server is there, and this name leads to it on any machine.
	if resp, err := c.Get(inside.URL); err == nil {
		_ = resp.Body.Close()
		t.Error("another address was reached")
	}
	if got := n.Dialled(); len(got) != 2 || got[0] != "onedoor:9000" {
		t.Errorf("dialled %v", got)
	}
}

func TestWhatVisitorsMakeMoreOfIsBounded(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBounded[int](3, time.Minute, func() time.Time { return now })
	for i := range 5 {
		b.put(fmt.Sprint(i), i)
	}
	if _, ok := b.get("1"); ok {
		t.Error("the oldest is still there")
	}
	if v, ok := b.take("4"); !ok || v != 4 {
		t.Error("the newest is gone")
	}
	if _, ok := b.take("4"); ok {
		t.Error("taken twice")
	}
	now = now.Add(2 * time.Minute)
	if _, ok := b.get("3"); ok {
		t.Error("one is older than it may be")
	}
	if len(b.values) != len(b.order) {
		t.Errorf("%d values, %d in order", len(b.values), len(b.order))
	}
}
