package doctor

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// stranger is a server that nobody named.
func stranger(t *testing.T) (url string, asked *atomic.Int64) {
	t.Helper()
	asked = &atomic.Int64{}
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	t.Cleanup(s.Close)
	return s.URL, asked
}

func TestNoRequestLeavesForAHostThatWasNotNamed(t *testing.T) {
	other, asked := stranger(t)
	g := newGate(newAllowed([]string{"http://auth.example.com"}), true, nil, time.Now)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, other, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := g.RoundTrip(r)
	var unnamed *NotNamedError
	if !errors.As(err, &unnamed) {
		t.Errorf("the request ends with %v, %v", resp, err)
	}
	if _, err := g.dial(context.Background(), "tcp", strings.TrimPrefix(other, "http://")); !errors.As(err, &unnamed) {
		t.Errorf("dialling ends with %v", err)
	}
	if asked.Load() != 0 {
		t.Error("it was asked")
	}
}

func TestARedirectIsReportedAndNotFollowed(t *testing.T) {
	other, asked := stranger(t)
	f := newFake(t)
	f.document = func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other+wellKnown, http.StatusFound) }
	found := wantFirst(t, examine(t, Subject{Issuer: f.URL}), DocRedirect)
	if !strings.Contains(found.Check.Said, other) {
		t.Errorf("it says %q, and not where the redirect leads", found.Check.Said)
	}
	if asked.Load() != 0 {
		t.Error("the redirect was followed")
	}
}

func TestEndpointsOfAHostThatWasNotNamedAreReportedAndNotAsked(t *testing.T) {
	other, asked := stranger(t)
	f := newFake(t)
	f.endpoints = map[string]string{"token_endpoint": other + "/token"}
	found := wantFirst(t, examine(t, Subject{Issuer: f.URL}), ReachNotNamed)
	if found.Status != Warning || !strings.Contains(found.Fix[0], "--also "+other) {
		t.Errorf("the finding is %+v", found)
	}
	if asked.Load() != 0 {
		t.Error("it was asked")
	}
	s := Subject{Issuer: f.URL, Also: []string{other}}
	if r := examine(t, s); !r.OK || asked.Load() == 0 {
		t.Errorf("named, it is not asked: %+v", r.Findings)
	}
}

func TestALoginIsFollowedToNamedHostsOnly(t *testing.T) {
	other, asked := stranger(t)
	f := newFake(t)
	s := NewScout(ScoutOptions{Allowed: []string{f.URL}, AsBrowser: true})
	defer s.Close()
	entry := httptest.NewServer(http.RedirectHandler(other+"/login?secret=1", http.StatusFound))
	defer entry.Close()
	s.gate.allowed = newAllowed([]string{entry.URL})
	a := s.Ask(context.Background(), Question{Endpoint: entry.URL, ClientID: "app", RedirectURI: "https://acme.example.com/cb"})
	if a.Outcome != Elsewhere || a.At != other+"/login" {
		t.Errorf("the answer is %+v", a)
	}
	if asked.Load() != 0 {
		t.Error("it was asked")
	}
}

func TestOtherPortsOfANamedHostAreNotAsked(t *testing.T) {
	a := newAllowed([]string{"https://auth.example.com:8443/realms/atlas"})
	for port, want := range map[string]bool{"8443": true, "443": true, "80": true, "6379": false} {
		if a.has("AUTH.example.com", port) != want {
			t.Errorf("port %s: %v, want %v", port, !want, want)
		}
	}
	if a.has("example.com", "443") || a.has("evil.auth.example.com", "443") {
		t.Error("another host is allowed")
	}
}

// A proxy of the environment would see every name, and answer in their place.
func TestNoProxyOfTheEnvironmentIsUsed(t *testing.T) {
	proxy, asked := stranger(t)
	t.Setenv("HTTP_PROXY", proxy)
	t.Setenv("http_proxy", proxy)
	f := newFake(t)
	if r := examine(t, Subject{Issuer: f.URL}); !r.OK {
		t.Errorf("found %+v", r.Findings)
	}
	if asked.Load() != 0 {
		t.Error("the proxy was asked")
	}
}

func TestNoForeignSiteIsAtAnAddressOfThisMachinesOwn(t *testing.T) {
	for _, own := range []string{
		"127.0.0.1", "127.9.9.9", "::1", "::", "0.0.0.0", "169.254.169.254", "fe80::1%eth0", "224.0.0.1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
		"fd00:ec2::254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "::ffff:100.100.100.200",
		"64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "::127.0.0.1", "::169.254.169.254",
	} {
		if left, err := notOwn([]netip.Addr{netip.MustParseAddr(own)}); !errors.Is(err, errOwn) {
			t.Errorf("%s is visited: %v, %v", own, left, err)
		}
	}
	for _, theirs := range []string{"192.0.2.1", "10.0.0.1", "2001:db8::1", "64:ff9b::c000:201", "2002:c000:201::1", "fd00::1"} {
		if left, err := notOwn([]netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr(theirs)}); err != nil || len(left) != 1 || left[0].String() != theirs {
			t.Errorf("%s is not visited: %v, %v", theirs, left, err)
		}
	}
}
