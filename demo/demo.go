// Package demo is what stands around the door when nobody has a provider or an
// app of their own yet: tenants' sites that are real OpenID Connect clients, a
// private network in which they live, and the record of how each login went.
//
// It knows the door and the provider as handlers only. Reading starts at New; a
// login goes site.go, and recorder.go tells how its hops are found again.
package demo

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"onedoor/page"
)

// Options of a Demo.
type Options struct {
	Public   string       // the origin that browsers use for the door: http://auth.localhost:8080
	Internal string       // the one that only the sites' servers can use: http://onedoor:9000
	Network  *Network     // in which the sites' servers live
	Recorder *Recorder    // that the provider was wrapped with
	Door     http.Handler // what the public origin answers
	Apps     []App
	Username string // whom the overview suggests to log in as
	Log      *slog.Logger
	Now      func() time.Time
}

// App is an OAuth client with a site for each of its tenants.
type App struct {
	Name     string
	ClientID string
	Secret   string
	Tenants  []Tenant
	// Relay makes the app send the relay's addresses as its redirect URIs; the
	// provider must know each. Otherwise it sends the address of the site that
	// is asked for, and the provider knows the door's only.
	Relay bool
}

// Tenant is a customer with a site.
type Tenant struct{ Label, Name string }

// Paths on the sites.
const (
	CallbackPath = "/callback"
	LogoutPath   = "/" // where a logout ends
	welcomePath  = "/welcome"
	loginPath    = "/login"
	leavePath    = "/logout"
)

// Demo is the handler of everything that a browser can reach.
type Demo struct {
	Options
	port  string // ":8080", or ""
	hosts map[string]http.Handler
	sites []*site
	apps  []*client
}

// New makes a Demo.
func New(o Options) (*Demo, error) {
	public, err := url.Parse(o.Public)
	if err != nil {
		return nil, fmt.Errorf("public origin %q: %v", o.Public, err)
	}
	d := &Demo{Options: o, hosts: map[string]http.Handler{public.Host: o.Recorder.Front(Door, o.Door)}}
	if public.Port() != "" {
		d.port = ":" + public.Port()
	}
	for i := range o.Apps {
		c := newClient(d, &o.Apps[i])
		d.apps = append(d.apps, c)
		for _, t := range o.Apps[i].Tenants {
			s := newSite(c, t)
			d.sites = append(d.sites, s)
			d.hosts[s.host] = o.Recorder.Front(s.name, s.handler())
		}
	}
	overview := http.HandlerFunc(d.overview)
	for _, name := range []string{"localhost", "127.0.0.1", "[::1]"} {
		d.hosts[name+d.port] = overview
	}
	return d, nil
}

// ServeHTTP sends a request to the site, or the door, that its Host names.
func (d *Demo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, ok := d.hosts[strings.ToLower(r.Host)]
	if !ok {
		page.Refuse(w, r, http.StatusMisdirectedRequest, page.Refusal{Key: page.Misdirected})
		return
	}
	h.ServeHTTP(w, r)
}

// Overview is the address of the page with all links.
func (d *Demo) Overview() string { return "http://localhost" + d.port }

// Site is the origin of a tenant's site.
func (d *Demo) Site(label string) string { return "http://" + label + ".localhost" + d.port }

// Close closes the connections of the sites' servers.
func (d *Demo) Close() {
	for _, c := range d.apps {
		c.base.CloseIdleConnections()
	}
}

// random is a value that nobody guesses.
func random() string { return rand.Text() + rand.Text() }
