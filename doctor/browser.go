package doctor

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"onedoor/oidc"
)

//go:embed browser.html
var browserPage string

var browserTemplate = template.Must(template.New("browser").Parse(browserPage))

// task is an address that the browser is to ask.
type task struct {
	For string `json:"for"`
	URL string `json:"url"`
}

// asked is what became of it. A script is not told why an address can't be
// loaded.
type asked struct {
	For      string          `json:"for"`
	URL      string          `json:"url"`
	Readable bool            `json:"readable"` // CORS lets scripts read it
	Opaque   bool            `json:"opaque"`   // there is an answer that scripts may not read
	Status   int             `json:"status"`
	Document json.RawMessage `json:"document"`
	Error    string          `json:"error"`
	Millis   int64           `json:"millis"`
}

type browserReport struct {
	Cookies bool    `json:"cookies"`
	Visits  []asked `json:"visits"`
}

const maxBrowserReport = 1 << 20

// BrowserVantage serves a page on listen, a loopback address, and waits for what
// a browser tells it. open is told the address, which holds a token: nobody else
// on the machine can answer in the browser's place.
func BrowserVantage(listen string, open func(url string)) Vantage {
	return Vantage{Name: Browser, Look: func(ctx context.Context, p Plan) (Sight, error) {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", listen)
		if err != nil {
			return Sight{}, err
		}
		tasks := tasksOf(p)
		s := &browserServer{token: strings.ToLower(rand.Text()), host: l.Addr().String(), plan: p, tasks: tasks, got: make(chan browserReport, 1)}
		server := &http.Server{Handler: s, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		open("http://" + s.host + "/" + s.token + "/")
		select {
		case told := <-s.got:
			// The page is still to be told that it was heard.
			stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			_ = server.Shutdown(stop)
			return s.sight(told), nil
		case <-ctx.Done():
			return Sight{}, errors.New("no browser opened the page in time")
		}
	}}
}

// tasksOf are the documents of the plan and what else browsers open, as far as
// it was named.
func tasksOf(p Plan) (all []task) {
	allow := newAllowed(p.Allowed)
	for _, b := range p.Bases {
		all = append(all, task{"discovery", documentURL(b.URL)})
	}
	for _, at := range p.Front {
		if u := mustURL(at); allow.has(u.Hostname(), portOf(u)) {
			all = append(all, task{"authorization_endpoint", at})
		}
	}
	return all
}

// browserServer serves the page, once for whoever has the token.
type browserServer struct {
	token, host string
	plan        Plan
	tasks       []task
	got         chan browserReport
}

func (s *browserServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer") // the token is in the path
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Host != s.host { // a name that was made to lead here (DNS rebinding)
		http.Error(w, "wrong host", http.StatusMisdirectedRequest)
		return
	}
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/"+s.token+"/":
		s.page(w)
	case r.Method == http.MethodPost && r.URL.Path == "/"+s.token+"/report" && r.Header.Get("Origin") == "http://"+s.host:
		s.report(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (s *browserServer) page(w http.ResponseWriter) {
	nonce := rand.Text()
	// The browser itself keeps the page from asking anybody who was not named.
	w.Header().Set("Content-Security-Policy", fmt.Sprintf(
		"default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; script-src 'nonce-%s'; style-src 'nonce-%s'; connect-src 'self' %s",
		nonce, nonce, strings.Join(s.plan.Allowed, " ")))
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = browserTemplate.Execute(w, map[string]any{"Nonce": nonce, "Tasks": s.tasks}) // the browser has gone: nobody is left to tell
}

func (s *browserServer) report(w http.ResponseWriter, r *http.Request) {
	var body browserReport
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBrowserReport)).Decode(&body); err != nil || len(body.Visits) > len(s.tasks) {
		http.Error(w, "not a report of this page", http.StatusBadRequest)
		return
	}
	select {
	case s.got <- body:
	default: // one is enough
	}
	w.WriteHeader(http.StatusNoContent)
}

// sight makes of the browser's answers what the other vantages give.
func (s *browserServer) sight(told browserReport) Sight {
	out := Sight{Version: planVersion, Plan: s.plan.Digest(), Vantage: Browser, Bases: make([]Seen, len(s.plan.Bases)), Cookies: &told.Cookies}
	for i, b := range s.plan.Bases {
		seen := Seen{Base: b, Discovery: Visit{For: "discovery", URL: documentURL(b.URL), Failure: failBrowser}}
		for _, a := range told.Visits {
			switch {
			case a.URL == seen.Discovery.URL:
				seen.Discovery = a.visit()
			case a.For == "authorization_endpoint" && i == 0:
				v := a.visit()
				if !slices.ContainsFunc(seen.Endpoints, func(e Visit) bool { return e.URL == v.URL }) {
					seen.Endpoints = append(seen.Endpoints, v)
				}
			}
		}
		out.Bases[i] = seen
	}
	return out
}

func (a asked) visit() Visit {
	v := Visit{For: a.For, URL: a.URL, Millis: a.Millis}
	switch {
	case a.Readable:
		v.Answer = &Answer{Status: a.Status}
		if m, err := oidc.ParseMetadata(a.Document); err == nil {
			v.Answer.Document = newDocument(m)
		}
	case a.Opaque:
		v.Answer = &Answer{}
	default:
		v.Failure, v.Error = failBrowser, bounded(oneLine(a.Error), 60)
	}
	return v
}
