package verify

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"onedoor/doctor"
	"onedoor/tenant"
)

// bed is a door with the provider behind it, of a few lines, and the sites of
// its tenants under one address.
type bed struct {
	*tenant.Directory
	door, sites *httptest.Server
	public      string
	asked       atomic.Int64 // authorization requests

	mu       sync.Mutex
	accepts  func(uri string) bool                                   // the provider's list
	provider http.HandlerFunc                                        // in the place of the authorization endpoint
	relay    func(w http.ResponseWriter, r *http.Request, to string) // in the place of the relay
	site     http.HandlerFunc
	visits   []http.Header
	document string                                         // issuer in the document; "" for the right one
	push     string                                         // where requests are pushed; "": nowhere
	taken    func(w http.ResponseWriter, q url.Values) bool // what was pushed; true: and answered
	pushed   map[string]url.Values
}

const client = "atlas-web"

func newBed(t *testing.T, mode tenant.Mode) *bed {
	t.Helper()
	b := &bed{site: func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "state is nobody's", http.StatusBadRequest)
	}}
	b.door = httptest.NewServer(http.HandlerFunc(b.serveDoor))
	b.sites = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		h := r.Header.Clone()
		h.Set("Test-URL", r.Host+r.URL.String())
		b.visits = append(b.visits, h)
		serve := b.site
		b.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(b.door.Close)
	t.Cleanup(b.sites.Close)
	b.public = b.door.URL
	b.Directory = &tenant.Directory{
		Door: []string{b.public}, Issuers: []string{"/realms/atlas"}, Reserved: []string{"www"},
		Apps: []*tenant.App{{
			Name: "atlas", ClientID: client, Mode: mode, Site: b.template(t, "http://{tenant}.localhost:"+b.port()),
			Callbacks: []string{"/cb"}, RegisteredRedirectURI: b.public + "/onedoor/callback",
		}},
		Registry: tenant.List{
			{ID: "1", Label: "acme", Status: tenant.Active},
			{ID: "2", Label: "globex", Status: tenant.Suspended},
			{ID: "3", Label: "initech", Status: tenant.Active, Issuer: "/realms/other"},
			{ID: "4", Label: "www", Status: tenant.Active},
		},
	}
	b.accepts = func(uri string) bool {
		return uri == b.public+"/onedoor/callback" || strings.HasPrefix(uri, b.public+"/tenants/") && strings.HasSuffix(uri, "/callback")
	}
	return b
}

func (b *bed) template(t *testing.T, text string) tenant.Template {
	t.Helper()
	site, err := tenant.ParseTemplate(text, tenant.Environment{})
	if err != nil {
		t.Fatal(err)
	}
	return site
}

func (b *bed) port() string {
	_, port, _ := net.SplitHostPort(b.sites.Listener.Addr().String())
	return port
}

// siteOf is the callback of a tenant; the bed's door knows no custom domains.
func (b *bed) siteOf(label string) string { return b.Apps[0].Site.Expand(label) + "/cb" }

func (b *bed) serveDoor(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	provider, relay, document, push := b.provider, b.relay, b.document, b.push
	b.mu.Unlock()
	q := r.URL.Query()
	refuse := func(text string) {
		w.Header().Set("X-Request-Id", "reference1")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, text, " reference1")
	}
	switch {
	case r.URL.Path == "/realms/atlas/.well-known/openid-configuration":
		issuer := b.public + "/realms/atlas"
		if document != "" {
			issuer = document
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "authorization_endpoint": b.public + "/authorize", "pushed_authorization_request_endpoint": push})
	case r.URL.Path == "/par":
		b.takePushed(w, r)
	case strings.HasPrefix(r.URL.Path, "/tenants/"):
		to := b.siteOf(strings.Split(r.URL.Path, "/")[2]) + "?" + r.URL.RawQuery
		if relay != nil {
			relay(w, r, to)
			return
		}
		http.Redirect(w, r, to, http.StatusFound)
	case r.URL.Path != "/authorize":
		http.NotFound(w, r)
	case provider != nil && r.Header.Get("X-Forwarded-Host") == "":
		b.asked.Add(1)
		provider(w, r)
	default:
		b.asked.Add(1)
		if push != "" {
			b.mu.Lock()
			pushed := b.pushed[q.Get("request_uri")]
			b.mu.Unlock()
			if len(q) != 2 || q.Get("client_id") != pushed.Get("client_id") {
				refuse("not pushed")
				return
			}
			q = pushed
		}
		b.authorize(w, r, q, refuse)
	}
}

// takePushed is the endpoint for pushed requests (RFC 9126), of public clients.
func (b *bed) takePushed(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	q := r.PostForm
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.taken != nil && b.taken(w, q) {
		return
	}
	if r.Method != http.MethodPost || r.Header.Get("Authorization") != "" || q.Has("client_secret") || q.Get("prompt") != "none" {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	if b.pushed == nil {
		b.pushed = map[string]url.Values{}
	}
	handle := fmt.Sprintf("urn:ietf:params:oauth:request_uri:%d", len(b.pushed))
	b.pushed[handle] = q
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(map[string]any{"request_uri": handle, "expires_in": 60})
}

// authorize is what door and provider do together; what comes with the headers
// of a proxy comes to the provider itself.
func (b *bed) authorize(w http.ResponseWriter, r *http.Request, q url.Values, refuse func(string)) {
	uri := q.Get("redirect_uri")
	known := uri
	if b.Apps[0].Mode == tenant.Transparent && r.Header.Get("X-Forwarded-Host") == "" {
		if _, no := b.RedirectURI(r.Context(), b.Apps[0], uri); no != nil {
			refuse("The way back is not allowed")
			return
		}
		known = b.public + "/onedoor/callback"
	}
	b.mu.Lock()
	ok := b.accepts(known)
	b.mu.Unlock()
	if !ok {
		http.Error(w, "Invalid parameter: redirect_uri", http.StatusBadRequest)
		return
	}
	http.Redirect(w, r, uri+"?"+url.Values{"error": {"login_required"}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
}

func (b *bed) verifier(change ...func(*doctor.ScoutOptions)) *Verifier {
	o := doctor.ScoutOptions{Allowed: []string{b.public}, AsBrowser: true, Localhost: true, Agent: Agent}
	for _, f := range change {
		f(&o)
	}
	direct := o
	direct.Via = map[string]string{b.public: b.public}
	return New(Options{Directory: func() *tenant.Directory { return b.Directory }, Scout: doctor.NewScout(o), Provider: doctor.NewScout(direct)})
}

func (b *bed) look(t *testing.T, label string, change ...func(*doctor.ScoutOptions)) (Verdict, *Round) {
	t.Helper()
	r := b.verifier(change...).Begin()
	all := r.Look(t.Context(), label)
	if len(all) != 1 {
		t.Fatalf("%d verdicts: %+v", len(all), all)
	}
	return all[0], r
}
