package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"onedoor/oidc"
)

// memory keeps long states for a test.
type memory struct {
	mu   sync.Mutex
	kept map[string]string
	down error
}

func (m *memory) KeepState(_ context.Context, handle, value string, _ int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil {
		m.kept = map[string]string{}
	}
	m.kept[handle] = value
	return m.down
}

func (m *memory) KeptState(_ context.Context, handle string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if value, ok := m.kept[handle]; ok {
		return value, m.down
	}
	return "", ErrNotKept
}

const acmeURI = "https://acme.example.com/api/auth/callback"

// begin sends an authorization request of shop for acme with that state, and
// returns the answer and the state that reached the provider.
func (b *bed) begin(state string) (*http.Response, string) {
	b.Helper()
	ps := oidc.Params{{Name: "response_type", Value: "code"}, {Name: "client_id", Value: "shop"}, {Name: "redirect_uri", Value: acmeURI}, {Name: "state", Value: state}}
	b.seen = nil
	resp := b.send("GET", "/authorize", ps.Encode(), "", "", nil)
	if len(b.seen) == 0 {
		return resp, ""
	}
	query, err := url.ParseQuery(b.last().query)
	if err != nil {
		b.Fatal(err)
	}
	return resp, query.Get("state")
}

func (b *bed) finish(sealed string) *http.Response {
	b.Helper()
	return b.send("GET", "/onedoor/callback", oidc.Params{{Name: "code", Value: "K"}, {Name: "state", Value: sealed}, {Name: "iss", Value: testOrigin}}.Encode(), "", "", nil)
}

func TestAStateOfAnyLengthAndCharactersComesBackExactly(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	for _, state := range []string{
		"x", `{a}`, "a b&c=d#e\"<'+%", "日本語 한국어", strings.Repeat("s", 900), strings.Repeat("s", 1300),
		strings.Repeat("{é}", 1000), strings.Repeat("s", maxState),
	} {
		_, sealed := b.begin(state)
		if sealed == "" || len(sealed) > maxSealed {
			t.Fatalf("a state of %d octets is sealed in %d characters", len(state), len(sealed))
		}
		loc, err := b.finish(sealed).Location()
		if err != nil || loc.Query().Get("state") != state {
			t.Errorf("a state of %d octets came back as %.40q (%v)", len(state), loc.Query().Get("state"), err)
		}
	}
	for _, value := range b.states.kept {
		if strings.Contains(value, strings.Repeat("s", 20)) {
			t.Error("a state is kept in the clear")
		}
	}
}

func TestAnAbsurdStateIsRefused(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	resp, sealed := b.begin(strings.Repeat("s", maxState+1))
	loc, err := resp.Location()
	if err != nil || sealed != "" || loc.Query().Get("error") != oidc.InvalidRequest || loc.Query().Has("state") {
		t.Errorf("%s, %v", resp.Status, loc)
	}
}

func TestLongStatesDoNotFillTheDisk(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	refused := 0
	for range 2 * longStatesAtOnce {
		if _, sealed := b.begin(strings.Repeat("s", 3000)); sealed == "" {
			refused++
		}
	}
	if refused < longStatesAtOnce {
		t.Errorf("%d of %d were refused", refused, 2*longStatesAtOnce)
	}
	if _, sealed := b.begin("short"); sealed == "" {
		t.Error("an ordinary login is refused beside them")
	}
	b.now = b.now.Add(time.Minute)
	if _, sealed := b.begin(strings.Repeat("s", 3000)); sealed == "" {
		t.Error("still refused a minute later")
	}
}

func TestALoginWhoseKeptStateIsGoneLeadsBackToTheSite(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	_, sealed := b.begin(strings.Repeat("s", 3000))
	b.states.kept = nil
	a := read(t, b.finish(sealed))
	if a.status != http.StatusBadRequest || a.header.Get("Location") != "" {
		t.Errorf("%d %v", a.status, a.header)
	}
	_, sealed = b.begin(strings.Repeat("s", 3000))
	b.states.down = errors.New("disk full")
	if a := read(t, b.finish(sealed)); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || a.header.Get("Location") != "" {
		t.Errorf("where nobody can look: %d %v", a.status, a.header)
	}
	b.states.down = nil
	if resp := b.finish(sealed); resp.StatusCode != http.StatusSeeOther {
		t.Errorf("a moment later: %s", resp.Status)
	}
	b.states.down = errors.New("disk full")
	if resp, sealed := b.begin(strings.Repeat("s", 3000)); sealed != "" || !strings.Contains(resp.Header.Get("Location"), oidc.TemporarilyUnavailable) {
		t.Errorf("with a full disk: %s", resp.Status)
	}
}
