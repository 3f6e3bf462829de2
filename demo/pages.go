package demo

import (
	"embed"
	"html/template"
	"net/http"
	"strings"

	"onedoor/page"
)

//go:embed pages/*.html
var pageFiles embed.FS

var pages = template.Must(template.New("").ParseFS(pageFiles, "pages/*.html"))

// view is what the pages show; each takes what it needs.
type view struct {
	Site       *site
	App        *App
	Public     string
	Internal   string
	Callback   string
	Registered string // what the provider knows
	Username   string
	Overview   string
	Failure    string

	Person person
	Way    []hopView
	Once   []hopView // what the app asked outside of any login
	Learnt []learnt
	Others []*site
	Sites  []*site
}

type person struct{ Name, Email, Subject, Issuer string }

// learnt is an endpoint of the metadata, and who uses it.
type learnt struct {
	Name, URL string
	Channel   Channel
}

// Name is what people call the site.
func (s *site) Name() string { return s.tenant.Name }

// Origin is the site's origin.
func (s *site) Origin() string { return "http://" + s.host }

// Mode is how the site's app uses the door.
func (s *site) Mode() string {
	if s.app.Relay {
		return "relay"
	}
	return "transparent"
}

// AppName is the name of the app.
func (s *site) AppName() string { return s.app.Name }

func (s *site) view() view {
	v := view{
		Site: s, App: s.app, Public: s.demo.Public, Internal: s.demo.Internal,
		Callback: s.callback, Registered: s.callback, Username: s.demo.Username, Overview: s.demo.Overview(),
	}
	if !s.app.Relay {
		v.Registered = s.demo.Public + "/onedoor/callback"
	}
	for _, other := range s.demo.sites {
		if other != s {
			v.Others = append(v.Others, other)
		}
	}
	return v
}

// home is the site's front page, and where a logout ends.
func (s *site) home(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.session(r); ok {
		s.welcome(w, r)
		return
	}
	v := s.view()
	title := s.tenant.Name
	if begun, ok := s.pending.get(r.URL.Query().Get("state")); ok && begun.tenant == s.tenant.Label &&
		begun.way.Kind == "logout" && s.sameBrowser(r, begun.browser) {
		begun.way.Close()
		title, v.Way = "You are logged out", s.hops(begun.way)
	}
	s.write(w, r, http.StatusOK, title, "home.html", v)
}

// welcome shows who is logged in, and the way of that login.
func (s *site) welcome(w http.ResponseWriter, r *http.Request) {
	now, ok := s.session(r)
	if !ok {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	v := s.view()
	v.Person = person{now.name, now.email, now.subject, s.demo.Public}
	way := s.demo.Recorder.Find(r.URL.Query().Get("login"))
	if way == nil || !s.sameBrowser(r, way.owner) {
		way = s.demo.Recorder.Find(now.way)
	}
	if way != nil {
		way.Close()
		v.Way = s.hops(way)
	}
	if p, err := s.discover(r.Context()); err == nil {
		if e, err := endpointsOf(p); err == nil {
			v.Learnt = []learnt{
				{"authorization_endpoint", e.Authorize, Front},
				{"end_session_endpoint", e.EndSession, Front},
				{"token_endpoint", e.Token, Back},
				{"jwks_uri", e.Keys, Back},
			}
			v.Once = s.hops(s.once)
		}
	}
	name := now.name
	if name == "" {
		name = "somebody"
	}
	s.write(w, r, http.StatusOK, "Welcome, "+name, "welcome.html", v)
}

func (s *site) hops(w *Way) []hopView {
	var list []hopView
	for _, h := range w.Hops() {
		list = append(list, s.explain(h))
	}
	return list
}

// fail tells the person that a login came to nothing, and why.
func (s *site) fail(w http.ResponseWriter, r *http.Request, status int, title string, err error) {
	s.demo.Log.Warn("a login came to nothing", "site", s.host, "error", err)
	v := s.view()
	v.Failure = short(err.Error())
	s.write(w, r, status, title, "failure.html", v)
}

func (s *site) notFound(w http.ResponseWriter, r *http.Request) {
	page.Refuse(w, r, http.StatusNotFound, page.Refusal{Key: page.NotFound, BackURL: s.Origin() + "/", BackLabel: s.tenant.Name})
}

func (s *site) write(w http.ResponseWriter, r *http.Request, status int, title, name string, v view) {
	where := s.Origin()
	if title != s.tenant.Name {
		where = s.tenant.Name + " · " + where
	}
	s.demo.write(w, r, status, page.Page{
		Title: title, Site: where, Wide: len(v.Way) > 0,
		// The logout's form is sent on to the door, and comes back.
		Forms: "'self' " + s.demo.Public,
		Body:  pages.Lookup(name), Data: v,
	})
}

// overview is the page with all links.
func (d *Demo) overview(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/" {
		page.Refuse(w, r, http.StatusNotFound, page.Refusal{Key: page.NotFound, BackURL: d.Overview(), BackLabel: "onedoor demo"})
		return
	}
	d.write(w, r, http.StatusOK, page.Page{
		Title: "One door, three tenants", Site: "onedoor demo", Wide: true, Body: pages.Lookup("overview.html"),
		Data: view{Sites: d.sites, Public: d.Public, Internal: d.Internal, Username: d.Username},
	})
}

func (d *Demo) write(w http.ResponseWriter, r *http.Request, status int, p page.Page) {
	p.Lang = "en"
	if err := page.Write(w, r, status, p); err != nil {
		d.Log.Error("a page could not be made", "path", r.URL.Path, "error", err)
	}
}

// hopView is a hop as the pages show it.
type hopView struct {
	Hop
	Note string
}

// Lines is the URL with a parameter on each line.
func (a Address) Lines() string {
	var b strings.Builder
	b.WriteString(a.Base)
	for i, p := range a.Params {
		b.WriteString("\n  " + []string{"?", "&"}[min(i, 1)] + p.Name + "=" + p.Value)
	}
	return b.String()
}

// BodyLines is the hop's form with a parameter on each line.
func (h Hop) BodyLines() string {
	lines := make([]string, len(h.Body))
	for i, p := range h.Body {
		lines[i] = "  " + p.Name + "=" + p.Value
	}
	return strings.Join(lines, "\n")
}
