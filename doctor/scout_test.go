package doctor

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const appURI = "https://acme.example.com/cb"

func try(t *testing.T, f *fake, q Question) Trial {
	t.Helper()
	s := NewScout(ScoutOptions{Allowed: []string{f.URL}, AsBrowser: true})
	defer s.Close()
	if q.Endpoint == "" {
		q.Endpoint = f.URL + "/authorize"
	}
	return s.Try(context.Background(), q, TryOptions{Controls: true, NearMisses: true})
}

func TestARegisteredRedirectURIIsAcceptedAndItsControlsAreRefused(t *testing.T) {
	trial := try(t, newFake(t), Question{ClientID: "app", RedirectURI: appURI})
	if a := trial.Answer; a.Outcome != Accepted || a.Error != "login_required" || a.StateLost || len(trial.Loose) > 0 || trial.Near != "" {
		t.Errorf("the trial is %+v", trial)
	}
}

func TestAnUnknownClientAndAnUnknownRedirectURIAreToldApart(t *testing.T) {
	f := newFake(t)
	if a := try(t, f, Question{ClientID: "apq", RedirectURI: appURI}).Answer; a.Outcome != RefusedClient {
		t.Errorf("another client: %+v", a)
	}
	trial := try(t, f, Question{ClientID: "app", RedirectURI: "http://acme.example.com/cb/"})
	if trial.Answer.Outcome != RefusedRedirect || trial.Near != "" {
		t.Errorf("two mistakes at once: %+v", trial)
	}
	if trial = try(t, f, Question{ClientID: "app", RedirectURI: appURI + "/"}); trial.Near != appURI || trial.Difference != differSlash {
		t.Errorf("one mistake: %+v", trial)
	}
}

func TestAProviderThatMatchesByPatternIsCaught(t *testing.T) {
	for _, tt := range []struct {
		name    string
		accepts func(uri string) bool
		kinds   []string
	}{
		{"everything", func(string) bool { return true }, []string{ControlForeign, ControlSuffix, ControlPath}},
		{"by how it begins", func(uri string) bool { return strings.HasPrefix(uri, "https://acme.example.com") }, []string{ControlSuffix, ControlPath}},
		{"every page of the site", func(uri string) bool { return strings.HasPrefix(uri, "https://acme.example.com/") }, []string{ControlPath}},
		{"exactly", func(uri string) bool { return uri == appURI }, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.accepts = func(_, uri string) bool { return tt.accepts(uri) }
			trial := try(t, f, Question{ClientID: "app", RedirectURI: appURI})
			var kinds []string
			for _, c := range trial.Loose {
				kinds = append(kinds, c.Kind)
			}
			if strings.Join(kinds, " ") != strings.Join(tt.kinds, " ") {
				t.Errorf("caught by %v, want %v", kinds, tt.kinds)
			}
			c := &examination{Subject: Subject{Issuer: f.URL}}
			v := c.redirect(Client{ID: "app"}, Question{ClientID: "app", RedirectURI: appURI}, trial)
			want := map[int]Cause{0: "", 1: RedirectPrefix, 2: RedirectWildcard, 3: RedirectWildcard}[len(tt.kinds)]
			if v.cause != want {
				t.Errorf("the cause is %q, want %q", v.cause, want)
			}
		})
	}
}

// handler is a provider whose authorization endpoint is this.
func handler(t *testing.T, h http.HandlerFunc) *fake {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return &fake{Server: s}
}

func TestWhatBecomesOfALoginIsNamed(t *testing.T) {
	back := func(params string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			http.Redirect(w, r, q.Get("redirect_uri")+"?"+strings.Replace(params, "STATE", q.Get("state"), 1), http.StatusSeeOther)
		}
	}
	for _, tt := range []struct {
		name    string
		answer  http.HandlerFunc
		outcome Outcome
		cause   Cause
	}{
		{"login required", back("error=login_required&state=STATE"), Accepted, ""},
		{"a code, of a session without a person", back("code=hush&state=STATE"), Accepted, ""},
		{"without state", back("error=login_required"), Accepted, RedirectState},
		{"another issuer", back("error=login_required&state=STATE&iss=http%3A%2F%2Fother"), Accepted, TokenIssuer},
		{"a request that it will not have", back("error=invalid_scope&state=STATE"), RefusedRequest, ClientRefused},
		{"a login page", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>Log in</h1>")) }, Unclear, RedirectUnclear},
		{"to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://sso.example.net/?secret=1", http.StatusFound)
		}, Elsewhere, RedirectElsewhere},
		{"round in circles", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) }, Unclear, RedirectUnclear},
		{"down", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, Down, ProviderDown},
		{"asked too often", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) }, Down, ""},
		{"busy", back("error=temporarily_unavailable&state=STATE"), Down, ProviderDown},
		{"cut off", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, Unreachable, ReachRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := handler(t, tt.answer)
			q := Question{Endpoint: f.URL, ClientID: "app", RedirectURI: appURI}
			s := NewScout(ScoutOptions{Allowed: []string{f.URL}})
			defer s.Close()
			a := s.Ask(context.Background(), q)
			if a.Outcome != tt.outcome {
				t.Errorf("the answer is %+v, want %s", a, tt.outcome)
			}
			c := &examination{Subject: Subject{Issuer: f.URL}}
			if v := c.redirect(Client{ID: "app"}, q, Trial{Answer: a}); v.cause != tt.cause {
				t.Errorf("the cause is %q (%s), want %q", v.cause, v.said, tt.cause)
			}
			text, err := json.Marshal(a)
			if err != nil || strings.Contains(string(text), "hush") || strings.Contains(string(text), "secret") || strings.Contains(string(text), "state=") {
				t.Errorf("the answer holds a secret: %s, %v", text, err)
			}
		})
	}
}

// A relay: the provider knows its address, and the browser must arrive at the
// site behind it, with its cookies on the way.
func TestALoginThroughARelayMustArriveAtTheSite(t *testing.T) {
	relayed := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/authorize":
			http.SetCookie(w, &http.Cookie{Name: "binding", Value: "1", Secure: true})
			http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?error=login_required&state="+r.URL.Query().Get("state"), http.StatusFound)
		case "/tenants/acme/callback":
			if _, err := r.Cookie("binding"); err != nil {
				http.Error(w, "no cookie", http.StatusBadRequest)
				return
			}
			http.Redirect(w, r, appURI+"?"+r.URL.RawQuery, http.StatusFound)
		}
	}))
	defer relayed.Close()
	s := NewScout(ScoutOptions{Allowed: []string{relayed.URL}})
	defer s.Close()
	q := Question{Endpoint: relayed.URL + "/authorize", ClientID: "app", RedirectURI: relayed.URL + "/tenants/acme/callback", Ends: appURI}
	if a := s.Ask(context.Background(), q); a.Outcome != Accepted || a.At != appURI || a.StateLost {
		t.Errorf("the answer is %+v", a)
	}
	q.Ends = "https://globex.example.com/cb"
	if a := s.Ask(context.Background(), q); a.Outcome != Elsewhere {
		t.Errorf("another site: %+v", a)
	}
}

func TestADetourCarriesThePublicHost(t *testing.T) {
	var host, proto string
	f := handler(t, func(w http.ResponseWriter, r *http.Request) {
		host, proto = r.Host, r.Header.Get("X-Forwarded-Proto")
		q := r.URL.Query()
		http.Redirect(w, r, q.Get("redirect_uri")+"?state="+q.Get("state"), http.StatusFound)
	})
	s := NewScout(ScoutOptions{Via: map[string]string{"https://auth.example.com": f.URL}})
	defer s.Close()
	a := s.Ask(context.Background(), Question{Endpoint: "https://auth.example.com/authorize", ClientID: "app", RedirectURI: appURI, Parameters: url.Values{"kc_idp_hint": {"acme"}, "prompt": {"login"}}})
	if a.Outcome != Accepted || host != "auth.example.com" || proto != "https" {
		t.Errorf("the answer is %+v, asked as %s, %s", a, host, proto)
	}
}

func TestArrivalIsComparedAsItIsWritten(t *testing.T) {
	for _, tt := range []struct {
		location, ends string
		want           bool
	}{
		{appURI + "?error=x", appURI, true},
		{appURI, appURI, true},
		{appURI + "#error=x", appURI, true},
		{appURI + "?a=1&error=x", appURI + "?a=1", true},
		{appURI + "x?error=x", appURI, false},
		{"https://acme.example.com.evil.example/cb?error=x", "https://acme.example.com", false},
		{"https://acme.example.com@evil.example/cb", "https://acme.example.com", false},
		{"https://ACME.example.com/cb?error=x", appURI, false},
	} {
		to, err := url.Parse(tt.location)
		if err != nil {
			t.Fatal(err)
		}
		if got := arrived(tt.location, to, tt.ends); got != tt.want {
			t.Errorf("%s at %s: %v", tt.location, tt.ends, got)
		}
	}
}

// What a browser would be sent on with is told only where nobody could use it.
func TestALandingHoldsNothingThatCouldBeACode(t *testing.T) {
	for query, told := range map[string]bool{"error=login_required": true, "code=c": false, "error=x&code=c": false, "error=x&response=jwt": false, "": false} {
		a := AnswerTo{}
		a.arrive(mustURL(appURI+"?"+query), "")
		if (a.Landing != "") != told {
			t.Errorf("%q: %q", query, a.Landing)
		}
	}
}

func TestAVisitOfASiteNamesItForThatVisitAlone(t *testing.T) {
	f := newFake(t)
	s := NewScout(ScoutOptions{Agent: "visitor"})
	defer s.Close()
	if v := s.Visit(t.Context(), f.URL+"/authorize?client_id=app&redirect_uri="+appURI, VisitOptions{}); v.Answer == nil || v.Answer.Status != http.StatusFound || strings.Contains(v.URL, "?") {
		t.Errorf("%+v", v)
	}
	if a := s.Ask(t.Context(), Question{Endpoint: f.URL + "/authorize", ClientID: "app", RedirectURI: appURI}); a.Outcome != Unreachable {
		t.Errorf("afterwards it is asked: %+v", a)
	}
	if v := s.Visit(t.Context(), f.URL, VisitOptions{Foreign: true}); v.Answer != nil || v.Cause() != ReachLoopback {
		t.Errorf("%+v", v)
	}
}

// trickle answers for an origin, and never comes to the end of it.
type trickle struct{}

func (trickle) RoundTrip(r *http.Request) (*http.Response, error) {
	out, in := io.Pipe()
	context.AfterFunc(r.Context(), func() { _ = in.CloseWithError(r.Context().Err()) })
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: out, Request: r}, nil
}

func TestAnAnswerWithoutEndDoesNotTakeTheTimeOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const origin = "https://auth.example.com"
		s := NewScout(ScoutOptions{Allowed: []string{origin}, Inside: map[string]http.RoundTripper{origin: trickle{}}})
		for name, ask := range map[string]func() Outcome{
			"a login": func() Outcome {
				return s.Ask(t.Context(), Question{Endpoint: origin, ClientID: "app", RedirectURI: appURI}).Outcome
			},
			"a pushed one": func() Outcome {
				return s.Ask(t.Context(), Question{Endpoint: origin, Push: origin, ClientID: "app", RedirectURI: appURI}).Outcome
			},
			"an app's": func() Outcome {
				if l := s.begin(t.Context(), origin); l.failed == "" {
					return Accepted
				}
				return Unreachable
			},
		} {
			began := time.Now()
			if got := ask(); got != Unreachable || time.Since(began) != stepTimeout {
				t.Errorf("%s: %s after %s", name, got, time.Since(began))
			}
		}
	})
}
