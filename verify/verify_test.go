package verify

import (
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"onedoor/doctor"
	"onedoor/tenant"
)

func TestALoginThatWorksIsProvenWithoutAnAccount(t *testing.T) {
	for _, mode := range []tenant.Mode{tenant.Transparent, tenant.Relay} {
		t.Run(string(mode), func(t *testing.T) {
			b := newBed(t, mode)
			v, r := b.look(t, "acme")
			if v.Outcome != OK || v.Tenant != "acme" || v.App != "atlas" || v.provider == 0 {
				t.Errorf("%+v", v)
			}
			if len(r.Findings()) > 0 || r.Blind() != "" {
				t.Errorf("%+v, %q", r.Findings(), r.Blind())
			}
			if len(b.visits) != 1 {
				t.Fatalf("the site was visited %d times", len(b.visits))
			}
			h := b.visits[0]
			if h.Get("User-Agent") != Agent || h.Get("Cookie") != "" {
				t.Errorf("the site was sent %v", h)
			}
			at, _ := url.Parse("http://" + h.Get("Test-URL"))
			q := at.Query()
			if q.Get("error") != "login_required" || q.Get("state") == "" || q.Has("code") {
				t.Errorf("the site was visited at %s", at)
			}
		})
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	say := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status); fmt.Fprint(w, text) }
	}
	site := func(f http.HandlerFunc) func(*bed) { return func(b *bed) { b.site = f } }
	provider := func(f http.HandlerFunc) func(*bed) { return func(b *bed) { b.provider = f } }
	to := func(address string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, address, http.StatusFound) }
	}
	back := func(ps ...string) func(*bed) {
		return provider(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?"+strings.Join(ps, "&")+"&state="+r.URL.Query().Get("state"), http.StatusFound)
		})
	}
	for _, tt := range []struct {
		name, label string
		plant       func(*bed)
		want        Outcome
	}{
		{"a tenant that nobody has added", "umbrella", nil, TenantUnknown},
		{"a label that is none", "-", nil, TenantUnknown},
		{"a suspended tenant", "globex", nil, Suspended},
		{"a reserved label", "www", nil, TenantReserved},
		{"a tenant whose issuer no app has", "initech", nil, TenantIssuer},
		{"a callback on the door itself", "acme", func(b *bed) { b.Door = append(b.Door, "http://acme.localhost:"+b.port()) }, DoorRefused},
		{"an issuer that is not there", "acme", func(b *bed) { b.Apps[0].Issuer = "/realms/none" }, IssuerMissing},
		{"another issuer's document", "acme", func(b *bed) { b.document = "http://other.example" }, IssuerMissing},
		{"a redirect URI that is not registered", "acme", func(b *bed) { b.accepts = func(string) bool { return false } }, ProviderURI},
		{"a client that the provider does not know", "acme", provider(say(400, "Client not found.")), ProviderClient},
		{"a client that may not use the code flow", "acme", back("error=unauthorized_client"), ProviderRequest},
		{"an answer of another issuer", "acme", back("error=login_required", "iss=http://other.example"), TenantIssuer},
		{"a provider that is down", "acme", provider(say(503, "")), Unclear},
		{"a provider that was asked too often", "acme", provider(say(429, "Too Many Requests")), Unclear},
		{"a provider that shows its login page all the same", "acme", provider(say(200, "Sign in")), Unclear},
		{"a provider that has another behind it", "acme", provider(to("https://login.example.com/x")), OK},
		{"a lost state", "acme", provider(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Query().Get("redirect_uri")+"?error=login_required", http.StatusFound)
		}), RelayLost},
		{"a door that refuses by its own page", "acme", provider(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "reference1")
			say(403, "refused reference1")(w, nil)
		}), DoorRefused},
		{"a relay to another site", "acme", func(b *bed) {
			b.relay = func(w http.ResponseWriter, r *http.Request, address string) {
				http.Redirect(w, r, strings.Replace(address, "acme", "evil", 1), http.StatusFound)
			}
		}, RelayLost},
		{"a relay that drops the query", "acme", func(b *bed) {
			b.relay = func(w http.ResponseWriter, r *http.Request, address string) {
				address, _, _ = strings.Cut(address, "?")
				http.Redirect(w, r, address, http.StatusFound)
			}
		}, RelayLost},
		{"a name that nobody knows", "acme", func(b *bed) { b.Apps[0].Site = b.template(t, "https://{tenant}.onedoor-verify.invalid") }, SiteDNS},
		{"a site on which nothing listens", "acme", func(b *bed) { b.sites.Close() }, SiteUnreachable},
		{"a site that closes the connection", "acme", site(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), SiteUnreachable},
		{"a site without that callback", "acme", site(say(404, "")), SiteNotFound},
		{"a site that is gone", "acme", site(say(410, "")), SiteNotFound},
		{"a server that does not go by that name", "acme", site(say(421, "")), SiteForeign},
		{"a proxy without an app behind it", "acme", site(say(502, "")), SiteDown},
		{"an app that only fails", "acme", site(say(500, "")), SiteDown},
		{"an app that says 502 to a strange state", "acme", site(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/" {
				w.WriteHeader(502)
			}
		}), OK},
		{"a server that is not set up", "acme", site(say(200, "<h1>Welcome to nginx!</h1>")), SiteForeign},
		{"a parked domain", "acme", site(to("https://parking.example/sale")), SiteForeign},
		{"an app that sends only its callback elsewhere", "acme", site(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/cb" {
				to("https://www.example.com/sorry")(w, r)
			}
		}), OK},
		{"an app all of whose pages lead to its login", "acme", site(to("/login")), OK},
		{"an app all of whose pages lead to the door", "acme", func(b *bed) { b.site = to(b.public + "/authorize?client_id=x") }, OK},
		{"an app that shows a page", "acme", site(say(200, "Try again")), OK},
		{"an app that forbids it", "acme", site(say(403, "")), OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, tenant.Transparent)
			if tt.plant != nil {
				tt.plant(b)
			}
			v, _ := b.look(t, tt.label)
			if v.Outcome != tt.want {
				t.Errorf("%+v, want %s", v, tt.want)
			}
			if v.Outcome.Failing() && (v.Detail == "" || v.Fix == "") {
				t.Errorf("%+v does not say why, or what to do", v)
			}
		})
	}
}

func TestACertificateThatBrowsersDoNotTrustIsNamed(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	for _, tt := range []struct {
		name, site string
		change     func(*doctor.ScoutOptions)
		want       Outcome
	}{
		{"the right one", "https://{tenant}.example.com", func(o *doctor.ScoutOptions) { o.CA = own }, SiteNotFound},
		{"of nobody known", "https://{tenant}.example.com", func(*doctor.ScoutOptions) {}, SiteAuthority},
		{"for another name", "https://{tenant}.example.net", func(o *doctor.ScoutOptions) { o.CA = own }, SiteName},
		{"an old one", "https://{tenant}.example.com", func(o *doctor.ScoutOptions) {
			o.CA, o.Now = own, func() time.Time { return s.Certificate().NotAfter.Add(time.Hour) }
		}, SiteExpired},
		{"none", "https://{tenant}.example.com", func(o *doctor.ScoutOptions) {
			plain := httptest.NewServer(http.NotFoundHandler())
			t.Cleanup(plain.Close)
			o.Connect = func(host, _ string) string {
				if strings.HasSuffix(host, "example.com") {
					return plain.Listener.Addr().String()
				}
				return ""
			}
		}, SiteTLS},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, tenant.Transparent)
			b.Apps[0].Site = b.template(t, tt.site)
			v, _ := b.look(t, "acme", func(o *doctor.ScoutOptions) {
				o.Connect = func(host, _ string) string {
					if strings.Contains(host, "example") {
						return s.Listener.Addr().String()
					}
					return ""
				}
				tt.change(o)
			})
			if v.Outcome != tt.want {
				t.Errorf("%+v, want %s", v, tt.want)
			}
		})
	}
}

// A tenant that has proven a domain can have it lead anywhere (server-side
// request forgery).
func TestATenantsOwnSiteMayNotLeadToThisMachine(t *testing.T) {
	b := newBed(t, tenant.Transparent)
	own := "http://127.0.0.1:" + b.port()
	b.Registry = tenant.List{{ID: "1", Label: "acme", Status: tenant.Active, Sites: map[string]string{"atlas": own}}}
	b.relay = func(w http.ResponseWriter, r *http.Request, _ string) {
		http.Redirect(w, r, own+"/cb?"+r.URL.RawQuery, http.StatusFound)
	}
	if v, _ := b.look(t, "acme"); v.Outcome != SiteAddress || len(b.visits) > 0 {
		t.Errorf("%+v, %d visits", v, len(b.visits))
	}
	local := b.verifier()
	local.Local = true
	if v := local.Begin().Look(t.Context(), "acme")[0]; v.Outcome != OK {
		t.Errorf("where the door is local itself: %+v", v)
	}
}

func TestAProviderThatRedirectsAnywhereIsOneFinding(t *testing.T) {
	for _, tt := range []struct {
		name    string
		mode    tenant.Mode
		accepts func(b *bed, uri string) bool
		want    Outcome
		grave   bool
	}{
		{"anywhere", tenant.Transparent, func(*bed, string) bool { return true }, ProviderOpen, true},
		{"by how it begins", tenant.Transparent, func(b *bed, uri string) bool {
			u, _ := url.Parse(uri)
			return strings.HasPrefix(u.Hostname(), "127.0.0.1")
		}, ProviderOpen, true},
		{"every page of the door", tenant.Transparent, func(b *bed, uri string) bool { return strings.HasPrefix(uri, b.public+"/") }, ProviderLoose, false},
		{"anywhere, in relay mode", tenant.Relay, func(*bed, string) bool { return true }, ProviderOpen, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, tt.mode)
			b.Registry = tenant.List{{ID: "1", Label: "acme", Status: tenant.Active}, {ID: "2", Label: "globex", Status: tenant.Active}}
			b.accepts = func(uri string) bool { return tt.accepts(b, uri) }
			r := b.verifier().Begin()
			for _, label := range []string{"acme", "globex"} {
				if v := r.Look(t.Context(), label)[0]; v.Outcome != OK {
					t.Errorf("%+v", v)
				}
			}
			all := r.Findings()
			if len(all) != 1 || all[0].Outcome != tt.want || all[0].Grave() != tt.grave || all[0].App != "atlas" {
				t.Fatalf("%+v", all)
			}
		})
	}
}

func TestAControlThatCannotBeAskedIsNoProof(t *testing.T) {
	b := newBed(t, tenant.Transparent)
	v := b.verifier()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + closed.Addr().String()
	_ = closed.Close()
	v.Provider = doctor.NewScout(doctor.ScoutOptions{Allowed: []string{b.public}, Via: map[string]string{b.public: address}})
	r := v.Begin()
	if got := r.Look(t.Context(), "acme")[0]; got.Outcome != OK || r.Blind() == "" {
		t.Errorf("%+v, %q", got, r.Blind())
	}
}

// Where a login leads to another provider, a control that leads there, too, may
// have been accepted.
func TestAControlThatFaresAsLoginsDoIsNoProof(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"leads elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example.com/x", http.StatusFound)
		},
		"is a login page":       func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "Sign in") },
		"is asked too often":    func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTooManyRequests) },
		"is refused by a page":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) },
		"is refused by another": nil,
	} {
		b := newBed(t, tenant.Relay)
		b.provider = answer
		if answer == nil { // logins come back, and what is refused leads to a page elsewhere
			b.provider = func(w http.ResponseWriter, r *http.Request) {
				q := r.URL.Query()
				to := "https://errors.example.com/"
				if b.accepts(q.Get("redirect_uri")) {
					to = q.Get("redirect_uri") + "?" + url.Values{"error": {"login_required"}, "state": {q.Get("state")}}.Encode()
				}
				http.Redirect(w, r, to, http.StatusFound)
			}
		}
		_, r := b.look(t, "acme")
		if refused := strings.HasPrefix(name, "is refused"); (r.Blind() == "") != refused || len(r.Findings()) > 0 {
			t.Errorf("a control that %s: %q, %+v", name, r.Blind(), r.Findings())
		}
	}
}

func TestOneTenantIsOneRequestToTheProvider(t *testing.T) {
	b := newBed(t, tenant.Transparent)
	r := b.verifier().Begin()
	r.Look(t.Context(), "acme")
	before := b.asked.Load()
	r.Look(t.Context(), "acme")
	if n := b.asked.Load() - before; n != 1 {
		t.Errorf("%d authorization requests", n)
	}
}

// A public client has no secret, so its requests can be pushed without one.
func TestAPublicAppThatPushesItsRequestsIsTried(t *testing.T) {
	say := func(status int, text string) func(http.ResponseWriter, url.Values) bool {
		return func(w http.ResponseWriter, _ url.Values) bool {
			w.WriteHeader(status)
			fmt.Fprint(w, text)
			return true
		}
	}
	for _, tt := range []struct {
		name  string
		plant func(*bed)
		want  Outcome
	}{
		{"a login that works", nil, OK},
		{"a redirect URI that is not registered", func(b *bed) {
			b.taken = func(w http.ResponseWriter, q url.Values) bool {
				return say(400, `{"error":"invalid_request","error_description":"Invalid parameter: redirect_uri"}`)(w, q)
			}
		}, ProviderURI},
		{"one that is refused only in front", func(b *bed) { b.accepts = func(string) bool { return false } }, ProviderURI},
		{"a client that is unknown", func(b *bed) { b.taken = say(401, `{"error":"invalid_client"}`) }, ProviderClient},
		{"a client that may not", func(b *bed) { b.taken = say(400, `{"error":"invalid_scope"}`) }, ProviderRequest},
		{"a provider that is down", func(b *bed) { b.taken = say(502, "Bad Gateway") }, Unclear},
		{"a provider that was asked too often", func(b *bed) { b.taken = say(429, "") }, Unclear},
		{"an answer that is none", func(b *bed) { b.taken = say(201, "<html>") }, ProviderRequest},
		{"no endpoint for it", func(b *bed) { b.push = "" }, Unclear},
		{"an endpoint of a stranger", func(b *bed) { b.push = "http://stranger.example.com/par" }, Unclear},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t, tenant.Transparent)
			b.Apps[0].RequirePAR, b.Apps[0].Type, b.push = true, tenant.Public, b.public+"/par"
			if tt.plant != nil {
				tt.plant(b)
			}
			v, r := b.look(t, "acme")
			if v.Outcome != tt.want || len(r.Findings()) > 0 {
				t.Errorf("%+v, want %s; %+v", v, tt.want, r.Findings())
			}
			if v.Outcome.Failing() && (v.Detail == "" || v.Fix == "") {
				t.Errorf("%+v does not say why, or what to do", v)
			}
			if tt.name == "an endpoint of a stranger" && v.stalled {
				t.Errorf("%+v: it was asked", v)
			}
		})
	}
	b := newBed(t, tenant.Relay)
	b.Apps[0].RequirePAR, b.Apps[0].Type, b.push = true, tenant.Native, b.public+"/par"
	b.accepts = func(string) bool { return true }
	if v, r := b.look(t, "acme"); v.Outcome != OK || len(r.Findings()) != 1 || r.Findings()[0].Outcome != ProviderOpen {
		t.Errorf("%+v, %+v", v, r.Findings())
	}
}

func TestAnAppThatPushesItsRequestsIsNotCalledBroken(t *testing.T) {
	b := newBed(t, tenant.Transparent)
	b.Apps[0].RequirePAR = true
	if v, _ := b.look(t, "acme"); v.Outcome != Unclear || b.asked.Load() != 7 && len(b.visits) != 1 {
		t.Errorf("%+v", v)
	}
	b.site = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }
	if v, _ := b.look(t, "acme"); v.Outcome != SiteNotFound {
		t.Errorf("%+v", v)
	}
}
