// Package doctor finds out why logins fail: checks that name the cause and not
// its symptoms, seen from the machine it runs on, from inside the app's network
// and from the browser; and the proof, without an account, that a login would
// work.
//
// It changes nothing, follows no redirect to another host and asks nobody but
// hosts that were named to it: [gate] is the only way out. Reading starts at
// [Examine]; what one place can see is look.go, what it means is in the checks_*
// files, and how a cause takes its symptoms with it is graph.go. The probe for
// redirect URIs, [Scout.Try], stands on its own.
package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"onedoor/oidc"
)

// Subject is what is examined: a provider as its apps know it, with or without
// a door before it.
type Subject struct {
	// Issuer is the issuer identifier, as browsers reach it and as the app
	// expects it in tokens. With a Door there may be several.
	Issuer string
	// Discovery are the addresses at which the app is told to fetch the
	// document, where that is not the issuer: with or without /.well-known/….
	Discovery []string
	// Kind is "keycloak", "authentik" or ""; it is recognised from the document.
	Kind string

	Clients []Client
	// LoginURLs are addresses of the app at which a login begins.
	LoginURLs []string
	// Origins are sites whose scripts call the provider: for CORS.
	Origins []string
	// Token is a token of the provider, of which only iss, aud, times and the
	// header are looked at. It is never sent anywhere.
	Token string

	// Log are lines that the app or the provider has written. Nothing but the
	// messages that are recognised in them is kept.
	Log string

	Door *Door // nil: there is none

	// CA are PEM certificates to trust besides the system's.
	CA []byte
	// Also are further origins that may be asked.
	Also []string
	// Names are words that a shared report must not hold: tenants' labels.
	Names []string
}

// Client is an OAuth client and the redirect URIs that it is believed to have.
type Client struct {
	Name         string // for people; "" with a single client
	ID           string
	Issuer       string // "" for the subject's
	RedirectURIs []string
	// Ends says where a browser must arrive, by redirect URI, where that is
	// another address: the site behind a relay.
	Ends map[string]string
	// Through sends its requests through the door; others go to the provider as
	// the door would send them.
	Through bool
	// Registered is what the door sends in place of RedirectURIs of a client
	// that goes through it: the one that the provider has to know. "" where it
	// sends them as they are.
	Registered string
	Parameters url.Values
	Public     bool // without a secret: a script may call the token endpoint
	Pushes     bool // it must push its requests (RFC 9126), which takes its secret
}

// Door is the configuration of the door that is examined.
type Door struct {
	File     string
	Public   []string // public origins; the first is the issuers'
	Internal []string
	Upstream string   // origin; "" with the provider inside
	Issuers  []string // issuer identifiers
	Unasked  string   // why its tenants are not known
}

// Options say how.
type Options struct {
	Vantages []Vantage     // beside the machine that this runs on
	Timeout  time.Duration // of the whole; default 60s
	Now      func() time.Time
	// Progress is told what is being waited for; "" when it is done.
	Progress func(what string)
}

// Vantage is a place to look from. Look gets a plan and gives what was seen.
type Vantage struct {
	Name string
	Look func(ctx context.Context, plan Plan) (Sight, error)
}

// Here is the name of the machine that the examination runs on, Browser that of
// the browser. Any other is a network of servers.
const (
	Here    = "here"
	Browser = "browser"
)

// ErrCouldNotLook is an examination that saw nothing it could judge.
var ErrCouldNotLook = errors.New("could not look")

// Examine looks from every vantage and judges what it sees. The error is about
// what was asked, never about what was found.
func Examine(ctx context.Context, s Subject, o Options) (*Report, error) {
	if o.Timeout <= 0 {
		o.Timeout = time.Minute
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	began := o.Now()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	plan, err := s.Plan(Here)
	if err != nil {
		return nil, err
	}
	c := &examination{Subject: s, o: o, plan: plan, sights: map[string]*Sight{}, blind: map[string]string{}}
	c.look(ctx)
	c.scout = newScout(plan, o.Now)
	defer c.scout.Close()
	c.names()
	c.build(ctx)
	r := c.graph.judge(ctx, o.Progress)
	r.Subject, r.Vantages, r.Table = c.title(), c.vantages(), c.table()
	r.Configuration = c.configuration(r)
	r.TookMillis = o.Now().Sub(began).Milliseconds()
	return r, nil
}

// examination is one run.
type examination struct {
	Subject
	o      Options
	plan   Plan
	order  []string          // vantages that looked, Here first
	sights map[string]*Sight // by vantage
	blind  map[string]string // vantages that could not look, and why
	scout  *Scout
	graph  graph
	logins []login // what the app's login addresses do
}

// look asks all vantages at once, and then the browser, which is asked about
// what the others were told as well.
func (c *examination) look(ctx context.Context) {
	here := Vantage{Name: Here, Look: func(ctx context.Context, p Plan) (Sight, error) { return Look(ctx, p, c.o.Now), nil }}
	var first, last []Vantage
	for _, v := range append([]Vantage{here}, c.o.Vantages...) {
		c.order = append(c.order, v.Name)
		if v.Name == Browser {
			last = append(last, v)
		} else {
			first = append(first, v)
		}
	}
	c.lookFrom(ctx, first)
	c.lookFrom(ctx, last)
	c.order = slices.DeleteFunc(c.order, func(name string) bool { return c.sights[name] == nil })
}

func (c *examination) lookFrom(ctx context.Context, all []Vantage) {
	var wait sync.WaitGroup
	var mu sync.Mutex
	waiting := []string{}
	tell := func() { // with mu held, once they look
		if len(waiting) > 0 {
			c.o.Progress("looking from " + strings.Join(waiting, ", "))
		} else {
			c.o.Progress("")
		}
	}
	var looks []func()
	for _, v := range all {
		plan, err := c.Plan(v.Name)
		if err != nil { // Examine has tried it
			c.blind[v.Name] = err.Error()
			continue
		}
		if v.Name == Browser {
			plan.Front = c.frontAddresses()
		}
		waiting = append(waiting, v.Name)
		looks = append(looks, func() {
			sight, err := v.Look(ctx, plan)
			if err == nil {
				err = sight.check(plan)
			}
			mu.Lock()
			defer mu.Unlock()
			waiting = slices.DeleteFunc(waiting, func(name string) bool { return name == v.Name })
			tell()
			if err != nil {
				c.blind[v.Name] = err.Error()
				return
			}
			sight.Vantage = v.Name
			c.sights[v.Name] = &sight
		})
	}
	tell()
	for _, look := range looks {
		wait.Go(look)
	}
	wait.Wait()
}

// frontAddresses are the login pages that the documents name.
func (c *examination) frontAddresses() (all []string) {
	for _, name := range c.order {
		if s := c.sights[name]; s != nil {
			for _, b := range s.Bases {
				if d := b.document(); d != nil && b.Base.Role != roleUpstream {
					if at := d.Endpoints["authorization_endpoint"]; at != "" && !slices.Contains(all, at) {
						all = append(all, at)
					}
				}
			}
		}
	}
	return all
}

// title says what is examined.
func (c *examination) title() string {
	if c.Door != nil {
		return strings.Join(c.Door.Issuers, ", ")
	}
	return c.Issuer
}

// issuers are all issuer identifiers that are examined.
func (s *Subject) issuers() []string {
	if s.Door != nil {
		return s.Door.Issuers
	}
	return []string{s.Issuer}
}

// issuerOf is a client's.
func (s *Subject) issuerOf(cl Client) string {
	if cl.Issuer != "" {
		return cl.Issuer
	}
	return s.issuers()[0]
}

// names learns the kind of the provider from the first document that tells it.
func (c *examination) names() {
	if c.Kind != "" {
		return
	}
	for _, name := range c.order {
		for _, b := range c.sights[name].Bases {
			if d := b.document(); d != nil && c.Kind == "" {
				c.Kind = d.kind()
			}
			for _, v := range append([]Visit{b.Discovery}, b.Variants...) {
				if c.Kind == "" && v.Answer != nil && strings.Contains(v.Answer.Said, "Realm does not exist") {
					c.Kind = "keycloak"
				}
			}
		}
	}
}

// originOf is the origin of a URL, "" for what is none.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); port == "80" && u.Scheme == "http" || port == "443" && u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host
}

const wellKnown = "/.well-known/openid-configuration"

// documentURL is where the document of an issuer lies (OIDC Discovery §4.1). A
// full address of a document stays as it is.
func documentURL(base string) string {
	if strings.Contains(base, "/.well-known/") {
		return base
	}
	return strings.TrimSuffix(base, "/") + wellKnown
}

// checkURL refuses what cannot be asked.
func checkURL(what, text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %q is not a URL", what, text)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("%s: %q is not an http or https URL", what, text)
	case u.User != nil:
		return fmt.Errorf("%s: the URL holds a user name or password; leave it out", what)
	case u.Fragment != "":
		return fmt.Errorf("%s: %q has a fragment", what, text)
	}
	return nil
}

// Document is what a metadata document says, as far as it matters here.
type Document struct {
	Issuer    string            `json:"issuer"`
	Endpoints map[string]string `json:"endpoints"`
	IssParam  bool              `json:"iss_parameter,omitempty"`
	S256      bool              `json:"s256,omitempty"`
}

// frontChannel are the endpoints that a browser opens, backChannel those that a
// server calls.
var (
	frontChannel = []string{"authorization_endpoint", "end_session_endpoint"}
	backChannel  = []string{
		"token_endpoint", "jwks_uri", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint",
		"pushed_authorization_request_endpoint", "device_authorization_endpoint",
	}
)

func newDocument(m *oidc.Metadata) *Document {
	d := &Document{
		Issuer: bounded(m.String("issuer"), 500), Endpoints: map[string]string{},
		IssParam: m.Bool("authorization_response_iss_parameter_supported"),
		S256:     slices.Contains(m.Strings("code_challenge_methods_supported"), "S256"),
	}
	for _, name := range slices.Concat(frontChannel, backChannel) {
		if u := m.String(name); u != "" {
			d.Endpoints[name] = bounded(u, 500)
		}
	}
	return d
}

// kind recognises a provider by its authorization endpoint.
func (d *Document) kind() string {
	switch at := d.Endpoints["authorization_endpoint"]; {
	case strings.HasSuffix(at, "/protocol/openid-connect/auth"):
		return "keycloak"
	case strings.HasSuffix(at, "/application/o/authorize/"):
		return "authentik"
	}
	return ""
}

func bounded(s string, limit int) string {
	if len(s) > limit {
		return strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}
