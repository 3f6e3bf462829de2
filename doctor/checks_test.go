package doctor

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// The set-ups that need no provider of their own; the others are the gallery's.

func TestAProviderThatIsRightYieldsNoFinding(t *testing.T) {
	f := newFake(t)
	r := examine(t, Subject{
		Issuer: f.URL, Clients: []Client{{ID: "app", RedirectURIs: []string{"https://acme.example.com/cb"}, Through: true}},
	}, pretend("app", func(*Sight) {}))
	if !r.OK || len(r.Findings) > 0 || len(r.Configuration) > 0 {
		t.Errorf("found %+v", r.Findings)
	}
	if c := r.check("redirect/0/0"); c.Status != OK || !strings.Contains(c.Said, "login_required") {
		t.Errorf("the redirect URI: %+v", c)
	}
}

func TestWhatANetworkSeesIsNamed(t *testing.T) {
	for _, tt := range []struct {
		failure string
		address string
		want    Cause
	}{
		{failDNS, "", ReachDNS},
		{failTimeout, "192.0.2.7", ReachTimeout},
		{failUnreachable, "192.0.2.7", ReachUnreachable},
		{failBlocked, "192.0.2.7", ReachBlocked},
		{failRefused, "192.0.2.7", ReachRefused},
		{failRefused, "127.0.0.1", ReachLoopback},
		{failUnknownName, "", ReachUnknownName},
		{failTLS, "", TLSFailed},
		{failNotYet, "", TLSNotYet},
	} {
		t.Run(string(tt.want), func(t *testing.T) {
			f := newFake(t)
			secure := strings.HasPrefix(string(tt.want), "tls.")
			r := examine(t, Subject{Issuer: f.URL}, pretend("app", func(s *Sight) {
				v := &s.Bases[0].Discovery
				*v = Visit{For: v.For, URL: v.URL, Failure: tt.failure}
				if tt.address != "" {
					v.Dials = []Dial{{Address: net.JoinHostPort(tt.address, portOfURL(v.URL)), Failure: tt.failure}}
				}
				if secure {
					v.URL = strings.Replace(v.URL, "http:", "https:", 1)
					v.Handshake = &Handshake{Failure: tt.failure, NotBefore: time.Now().Add(time.Hour).Unix()}
				}
			}))
			wantFirst(t, r, tt.want)
		})
	}
}

// One cause, one finding: from here and from the app's network the same is
// wrong, and what depends on it could not be looked at.
func TestTheSameReasonInTwoPlacesIsOneFinding(t *testing.T) {
	f := newFake(t)
	f.Close()
	r := examine(t, Subject{Issuer: f.URL, Clients: []Client{{ID: "app", RedirectURIs: []string{"https://acme.example.com/cb"}, Through: true}}})
	found := wantFirst(t, r, r.Findings[0].Cause)
	if len(found.Same) < 3 || r.check("redirect/0/0").Because != found.Check.ID {
		t.Errorf("folded are %+v", found.Same)
	}
}

// A second mistake is not hidden by the first.
func TestTwoMistakesAreTwoFindings(t *testing.T) {
	f := newFake(t)
	f.document = func(w http.ResponseWriter, r *http.Request) {
		base := "http://" + r.Host
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q,"token_endpoint":%q}`, base, base+"/authorize", base+"/token")
	}
	r := examine(t, Subject{
		Issuer: f.URL, Discovery: []string{strings.Replace(f.URL, "127.0.0.1", "localhost", 1)},
		Clients: []Client{{ID: "app", RedirectURIs: []string{appURI + "/"}, Through: true}},
	})
	if len(r.Findings) != 2 || r.Findings[0].Cause != ProviderFollowsHost || r.Findings[1].Cause != RedirectUnregistered {
		t.Errorf("found %+v", r.Findings)
	}
}

func TestWhatStandsInPlaceOfADocumentIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   Cause
	}{
		{"a page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>Welcome to nginx!</h1>") }, DocNotJSON},
		{"a login page", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>Please sign in</h1>") }, DocLogin},
		{"a ban", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) }, DocForbidden},
		{"nothing", http.NotFound, DocNotFound},
		{"an error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oh", http.StatusBadGateway) }, ProviderDown},
		{"a silent end", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ProviderDown},
		{"the wrong name", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusMisdirectedRequest) }, DoorInternalURL},
		{"another case", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.ToUpper(r.URL.Path), http.StatusMovedPermanently)
		}, DocRedirect},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.document = tt.answer
			wantFirst(t, examine(t, Subject{Issuer: f.URL}), tt.want)
		})
	}
}

func TestAProviderThatIsToldApartByItsHostIsNamed(t *testing.T) {
	f := newFake(t)
	f.issuer = "http://auth.example.test"
	f.document = func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Forwarded-Host") != "auth.example.test" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":%q}`, f.issuer, f.issuer+"/authorize")
	}
	r := examine(t, Subject{Issuer: f.issuer, Discovery: []string{f.URL}}, pretend("app", func(*Sight) {}))
	if i := causeAt(r, DocHostRouted); i < 0 {
		t.Errorf("found %+v", r.Findings)
	}
}

func causeAt(r *Report, cause Cause) int {
	for i, f := range r.Findings {
		if f.Cause == cause {
			return i
		}
	}
	return -1
}

func TestHowTwoIssuersDifferIsNamed(t *testing.T) {
	for _, tt := range []struct {
		name, issuer string
		want         Cause
	}{
		{"a slash", "%s/", IssuerSlash},
		{"a path", "%s/realms/orbit", IssuerPath},
		{"https", "https%s", IssuerScheme},
		{"another port", "http://127.0.0.1:1", IssuerPort},
		{"a lost port", "http://127.0.0.1", ProxyPort},
		{"another name", "https://login.example.com", IssuerHost},
		{"a name behind the proxy", "http://keycloak:8080", ProxyHost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			switch {
			case strings.HasPrefix(tt.issuer, "%s"):
				f.issuer = fmt.Sprintf(tt.issuer, f.URL)
			case strings.HasPrefix(tt.issuer, "https%s"):
				f.issuer = "https" + strings.TrimPrefix(f.URL, "http")
			default:
				f.issuer = tt.issuer
			}
			f.endpoints = map[string]string{"authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/jwks"}
			told := f.URL
			if tt.want == ProxyHost {
				told = strings.Replace(told, "127.0.0.1", "auth.example.localhost", 1)
			}
			r := examine(t, Subject{Issuer: told})
			if r.Findings[0].Cause != tt.want {
				t.Errorf("found %+v, want %s", r.Findings, tt.want)
			}
		})
	}
	f := newFake(t)
	f.issuer = f.URL + "/realms/Atlas"
	c := &examination{Subject: Subject{Issuer: f.URL + "/realms/atlas"}, sights: map[string]*Sight{}}
	v := c.issuer(c.Issuer, view{place{Here, &Sight{}, &Seen{Base: Base{Role: rolePublic, URL: c.Issuer}}, "x"}, &Document{Issuer: f.issuer}})
	if v.cause != IssuerCase {
		t.Errorf("another case is %s", v.cause)
	}
}

func TestKeysThatNoClientCanUseAreNamed(t *testing.T) {
	for _, tt := range []struct {
		keys string
		want Cause
	}{
		{`{"keys":[]}`, KeysEmpty},
		{`<html>not found</html>`, KeysNone},
		{`{"keys":{}}`, KeysNone},
	} {
		f := newFake(t)
		f.keys = tt.keys
		wantFirst(t, examine(t, Subject{Issuer: f.URL}), tt.want)
	}
}

func token(t *testing.T, kid string, claims map[string]any) string {
	t.Helper()
	part := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(map[string]string{"alg": "ES256", "kid": kid}) + "." + part(claims) + ".c2lnbmF0dXJl"
}

func TestWhatIsWrongWithATokenIsNamed(t *testing.T) {
	f := newFake(t)
	now := time.Now().Unix()
	for _, tt := range []struct {
		name  string
		token string
		want  Cause
	}{
		{"another issuer", token(t, "k1", map[string]any{"iss": "http://server:9000", "aud": "app"}), TokenIssuer},
		{"another client", token(t, "k1", map[string]any{"iss": f.URL, "aud": []string{"other"}}), TokenAudience},
		{"another key", token(t, "k2", map[string]any{"iss": f.URL, "aud": "app"}), KeysToken},
		{"the future", token(t, "k1", map[string]any{"iss": f.URL, "aud": "account", "azp": "app", "iat": now + 3600}), ClockOff},
		{"nothing", token(t, "k1", map[string]any{"iss": f.URL, "aud": "app", "iat": now, "exp": now + 60}), ""},
		{"no JWT", "opaque-token", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := examine(t, Subject{Issuer: f.URL, Clients: []Client{{ID: "app"}}, Token: tt.token})
			if tt.want != "" {
				wantFirst(t, r, tt.want)
			} else if !r.OK {
				t.Errorf("found %+v", r.Findings)
			}
		})
	}
}

func TestTheProvidersSecureCookieOverPlainHTTPIsNamed(t *testing.T) {
	f := newFake(t)
	f.sets = []*http.Cookie{{Name: "SESSION", Value: "secret", Secure: true}}
	s := NewScout(ScoutOptions{Allowed: []string{"http://auth.example.test"}, Via: map[string]string{"http://auth.example.test": f.URL}})
	defer s.Close()
	at := s.Ask(context.Background(), Question{Endpoint: "http://auth.example.test/authorize", ClientID: "app", RedirectURI: "https://acme.example.com/cb"})
	if at.Outcome != Accepted {
		t.Fatalf("the answer is %+v", at)
	}
	v := providerCookies("http://auth.example.test", map[string][]string{"http://auth.example.test": at.Insecure})
	if v.cause != CookieSecure || !strings.Contains(v.said, "SESSION") || strings.Contains(v.said, "secret") {
		t.Errorf("it says %+v", v)
	}
}

// app is a site whose login begins at /login.
func app(t *testing.T, login http.HandlerFunc) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/login", login)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

func TestWhatAnAppDoesAtItsLoginIsNamed(t *testing.T) {
	f := newFake(t)
	f.accepts = func(string, string) bool { return true }
	send := func(w http.ResponseWriter, r *http.Request, uri string) {
		http.Redirect(w, r, f.URL+"/authorize?response_type=code&client_id=app&redirect_uri="+uri+"&state=hush", http.StatusFound)
	}
	for _, tt := range []struct {
		name  string
		login func(w http.ResponseWriter, r *http.Request)
		want  Cause
	}{
		{"a strict cookie", func(w http.ResponseWriter, r *http.Request) {
			http.SetCookie(w, &http.Cookie{Name: "state", Value: "hush", SameSite: http.SameSiteStrictMode})
			send(w, r, "http://"+r.Host+"/cb")
		}, CookieSameSite},
		{"another host", func(w http.ResponseWriter, r *http.Request) { send(w, r, "http://other.example.com/cb") }, CookieHost},
		{"an error", func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "connect ECONNREFUSED 127.0.0.1:8080", http.StatusInternalServerError)
		}, AppLogin},
		{"another provider", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example.net/authorize?client_id=app&redirect_uri=x", http.StatusFound)
		}, IssuerHost},
		{"an internal name", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://keycloak:8080/authorize?client_id=app&redirect_uri=x", http.StatusFound)
		}, SplitFrontChannel},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := Subject{Issuer: f.URL, LoginURLs: []string{app(t, tt.login) + "/login"}}
			r := examine(t, s)
			if len(r.Findings) == 0 || r.Findings[0].Cause != tt.want {
				t.Errorf("found %+v, want %s", r.Findings, tt.want)
			}
			text, err := json.Marshal(r)
			if err != nil || strings.Contains(string(text), "hush") {
				t.Errorf("a state is in the report: %s, %v", text, err)
			}
		})
	}
}

// A line of the log is a symptom of what was found, or says what was not seen.
func TestWhatTheLogSaysIsFoldedOrFound(t *testing.T) {
	const line = "[next-auth][error][SIGNIN_OAUTH_ERROR] connect ECONNREFUSED 127.0.0.1:80 token=hush"
	f := newFake(t)
	r := examine(t, Subject{Issuer: f.URL, Log: line})
	if found := wantFirst(t, r, AppLog); found.Status != Warning || !r.OK || !strings.Contains(found.Check.Said, "ECONNREFUSED") || len(found.Fix) == 0 {
		t.Errorf("the finding is %+v", found)
	}
	if b, err := json.Marshal(r); err != nil || strings.Contains(string(b), "hush") {
		t.Errorf("the line itself is in the report: %s, %v", b, err)
	}
	f.Close()
	r = examine(t, Subject{Issuer: f.URL, Log: line})
	if len(r.Findings) != 1 || r.check("log/0").Because == "" {
		t.Errorf("beside its cause: %+v", r.Findings)
	}
	if c := examine(t, Subject{Issuer: f.URL, Log: "all is well"}).check("log"); c.Status != Skipped {
		t.Errorf("an unknown line: %+v", c)
	}
}

func TestAProviderWithoutTLSIsWorthAThought(t *testing.T) {
	c := &examination{Subject: Subject{Issuer: "http://auth.example.com"}, sights: map[string]*Sight{}, order: []string{Here}}
	c.sights[Here] = &Sight{Bases: []Seen{{Base: Base{Role: rolePublic, URL: c.Issuer, Issuer: c.Issuer}}}}
	c.scout = newScout(Plan{}, time.Now)
	c.clientChecks(nil)
	r := c.graph.judge(context.Background(), func(string) {})
	if found := wantFirst(t, r, IssuerInsecure); found.Status != Warning || !r.OK {
		t.Errorf("the finding is %+v", found)
	}
}

func TestTheClockThatIsWrongIsToldFromACertificateThatIsOld(t *testing.T) {
	later := func() time.Time { return time.Now().Add(200 * 365 * 24 * time.Hour) }
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	s.StartTLS()
	defer s.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	subject := Subject{Issuer: s.URL, CA: ca}
	r, err := Examine(context.Background(), subject, Options{Now: later})
	if err != nil {
		t.Fatal(err)
	}
	wantFirst(t, r, ClockOff)
	if r := examine(t, subject); causeAt(r, ClockOff) >= 0 || causeAt(r, TLSExpired) >= 0 {
		t.Errorf("with the right clock: %+v", r.Findings)
	}
}
