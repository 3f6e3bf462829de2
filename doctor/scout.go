package doctor

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Scout asks a provider what it would do with a login, without a person and
// without an account. It goes through the same gate as everything here.
type Scout struct {
	gate *gate
	// via are the origins to which requests for an origin are really sent, with
	// the headers of a reverse proxy.
	via map[string]string
}

// ScoutOptions are where a Scout may go.
type ScoutOptions struct {
	Allowed []string          // origins that were named
	Via     map[string]string // by origin: where its requests are sent instead, as a proxy would
	CA      []byte            // PEM certificates to trust besides the system's
	// AsBrowser looks names under localhost up as browsers do.
	AsBrowser bool
	// Localhost leaves those names to no name service, as Chromium does.
	Localhost bool
	// KeepAlive keeps connections, for many questions.
	KeepAlive bool
	Now       func() time.Time

	// Inside answers for an origin in the network's place.
	Inside map[string]http.RoundTripper
	// Connect says where connections to a host and port are made in the place of
	// the addresses that its name leads to; "" for those.
	Connect func(host, port string) string
	Agent   string // the User-Agent; "" for the doctor's
}

// NewScout makes one.
func NewScout(o ScoutOptions) *Scout {
	if o.Now == nil {
		o.Now = time.Now
	}
	names := slices.Clone(o.Allowed)
	for _, to := range o.Via {
		names = append(names, to)
	}
	s := &Scout{gate: newGate(newAllowed(names), o.AsBrowser, o.CA, o.Now), via: o.Via}
	s.gate.transport.DisableKeepAlives, s.gate.transport.MaxIdleConnsPerHost = !o.KeepAlive, keptConnections
	s.gate.inside, s.gate.connect, s.gate.localhost = o.Inside, o.Connect, o.Localhost
	if o.Agent != "" {
		s.gate.agent = o.Agent
	}
	return s
}

func newScout(p Plan, now func() time.Time) *Scout {
	return NewScout(ScoutOptions{Allowed: p.Allowed, CA: []byte(p.CA), AsBrowser: true, Now: now})
}

// Through is the same scout with a detour.
func (s *Scout) Through(via map[string]string) *Scout { return &Scout{gate: s.gate, via: via} }

// Close lets go of connections.
func (s *Scout) Close() { s.gate.transport.CloseIdleConnections() }

// Question is an authorization request that no person sees: with prompt=none
// (OIDC Core §3.1.2.1) the provider answers at once, and where nobody is logged
// in, with error=login_required, at the redirect URI if it accepts that for the
// client, and with a page of its own if it does not (RFC 6749 §4.1.2.1).
type Question struct {
	Endpoint    string // the authorization endpoint
	Push        string // where the request is pushed before (RFC 9126), of a public client; "" where it is not
	ClientID    string
	RedirectURI string
	// Ends is where the browser must arrive, without the query; "" for the
	// RedirectURI. It is another address behind a relay.
	Ends       string
	Parameters url.Values // further ones; those above can't be overridden
}

// Outcome is what became of a Question.
type Outcome string

// The outcomes.
const (
	Accepted        Outcome = "accepted"         // the browser was sent where it should be
	RefusedRedirect Outcome = "refused redirect" // the provider, or the door, showed a page of its own
	RefusedClient   Outcome = "refused client"   // the same, and it says that it does not know the client
	RefusedRequest  Outcome = "refused request"  // sent to the redirect URI, with an error that is not about the person
	RefusedPush     Outcome = "refused push"     // the request was not taken, for another reason than those two
	Elsewhere       Outcome = "elsewhere"        // the browser was sent to an address that was not named
	Down            Outcome = "down"             // 5xx; or 429: it has no time for us
	Unreachable     Outcome = "unreachable"      // no answer
	Unclear         Outcome = "unclear"          // a page where there should be none
)

// AnswerTo is what became of a Question, without state or code.
type AnswerTo struct {
	Outcome Outcome `json:"outcome"`
	Status  int     `json:"status,omitempty"`
	// Error is the error parameter that came to the redirect URI.
	Error string `json:"error,omitempty"`
	// Said is the beginning of the page's text.
	Said string `json:"said,omitempty"`
	// At is the address that answered last, or to which it led, without a query.
	At   string   `json:"at,omitempty"`
	Hops []string `json:"hops,omitempty"` // the addresses on the way, without queries
	// StateLost says that the browser arrived without the state that was sent.
	StateLost bool          `json:"state_lost,omitempty"`
	Issuer    string        `json:"iss,omitempty"` // RFC 9207
	Insecure  []string      `json:"insecure,omitempty"`
	Took      time.Duration `json:"-"`

	// Reference is that of the door's own page, where it is one.
	Reference string `json:"reference,omitempty"`
	// Landing is the whole address to which the browser is sent with an error; ""
	// where it is sent with anything that could be a secret.
	Landing string `json:"-"`
}

const (
	maxHops         = 8
	keptConnections = 16
)

// Ask asks. It follows redirects between named hosts only, as a browser with an
// empty jar would, and none beyond the end.
func (s *Scout) Ask(ctx context.Context, q Question) AnswerTo {
	began := time.Now()
	state := rand.Text()
	at, err := q.request(state)
	if err != nil {
		return AnswerTo{Outcome: Unclear, Said: err.Error()}
	}
	ends := q.Ends
	if ends == "" {
		ends = q.RedirectURI
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		return AnswerTo{Outcome: Unclear, Said: err.Error()}
	}
	a := AnswerTo{}
	if q.Push != "" {
		if at, err = s.push(ctx, q, at, &a); err != nil {
			a.Outcome, a.Said = Unreachable, bounded(oneLine(rootOf(err).Error()), maxSaid)
		}
	}
	for range maxHops {
		if at == nil {
			break // it was not taken
		}
		a.At = bare(at)
		a.Hops = append(a.Hops, a.At)
		got, err := s.step(ctx, at, jar, &a)
		if err != nil {
			a.Outcome, a.Said = Unreachable, bounded(oneLine(rootOf(err).Error()), maxSaid)
			break
		}
		a.Status = got.Status
		if got.to == nil {
			a.page(got.Answer)
			break
		}
		if arrived(got.location, got.to, ends) {
			a.arrive(got.to, state)
			break
		}
		if !s.named(got.to) {
			a.Outcome, a.At = Elsewhere, bare(got.to)
			break
		}
		at = got.to
	}
	if a.Outcome == "" {
		a.Outcome, a.Said = Unclear, fmt.Sprintf("still redirected after %d steps", maxHops)
	}
	a.Took = time.Since(began)
	return a
}

// rootOf is an error without the URL that net/http puts before it: its query
// holds our state.
func rootOf(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok && u.Unwrap() != nil {
		if _, is := err.(*url.Error); is { //nolint:errorlint // the outermost one is meant
			return u.Unwrap()
		}
	}
	return err
}

// request is the authorization request, as an ordinary client sends it.
func (q Question) request(state string) (*url.URL, error) {
	u, err := url.Parse(q.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("the authorization endpoint %q is not a URL", q.Endpoint)
	}
	challenge := sha256.Sum256([]byte(rand.Text()))
	ps := u.Query()
	for name, values := range q.Parameters {
		ps[name] = values
	}
	for name, value := range map[string]string{
		"client_id": q.ClientID, "redirect_uri": q.RedirectURI, "response_type": "code", "scope": "openid",
		"prompt": "none", "state": state, "nonce": rand.Text(),
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		ps.Set(name, value)
	}
	u.RawQuery = ps.Encode()
	return u, nil
}

func (s *Scout) named(u *url.URL) bool {
	if s.via[originOf(u.String())] != "" {
		return true
	}
	return s.gate.allowed.has(u.Hostname(), portOf(u))
}

// arrived says whether a Location leads to the end, whose own query stays
// (RFC 6749 §3.1.2). It is compared as it was written.
func arrived(location string, to *url.URL, ends string) bool {
	for _, text := range []string{location, to.String()} {
		rest, ok := strings.CutPrefix(text, ends)
		if ok && (rest == "" || rest[0] == '?' || rest[0] == '#' || strings.Contains(ends, "?") && rest[0] == '&') {
			return true
		}
	}
	return false
}

// notThePerson are errors that say nothing about the person, but that the
// provider will not have this request (RFC 6749 §4.1.2.1; OIDC Core §3.1.2.6).
var notThePerson = []string{
	"invalid_request", "unauthorized_client", "unsupported_response_type", "invalid_scope", "access_denied",
	"invalid_request_uri", "invalid_request_object", "request_not_supported", "request_uri_not_supported", "registration_not_supported",
}

// arrive notes how the browser arrived.
func (a *AnswerTo) arrive(to *url.URL, state string) {
	ps := to.Query()
	if to.Fragment != "" && len(ps) == 0 {
		ps, _ = url.ParseQuery(to.Fragment)
	}
	a.Outcome, a.At, a.Error = Accepted, bare(to), bounded(oneLine(ps.Get("error")), 60)
	a.StateLost, a.Issuer = ps.Get("state") != state, bounded(oneLine(ps.Get("iss")), 300)
	if ps.Get("error") != "" && !slices.ContainsFunc([]string{"code", "id_token", "access_token", "response"}, ps.Has) {
		a.Landing = to.String()
	}
	switch {
	case slices.Contains(notThePerson, a.Error):
		a.Outcome, a.Said = RefusedRequest, bounded(oneLine(ps.Get("error_description")), maxSaid)
	case a.Error == "server_error", a.Error == "temporarily_unavailable":
		a.Outcome = Down
	}
}

var (
	saysRedirect = regexp.MustCompile(`(?i)redirect[_ ]?(ion )?ur[il]|callback url|way back is not allowed|site is not known|registered redirect`)
	saysClient   = regexp.MustCompile(`(?i)client not found|client_id|client (identifier|is invalid|is unknown|disabled|authentication failed)|invalid[_ ]client|unknown client|unauthorized_client|application is not known`)
)

// page judges a page that stands where a redirect should be.
func (a *AnswerTo) page(answer *Answer) {
	a.Said, a.Reference = answer.Said, answer.reference
	switch {
	case answer.Status >= 500, answer.Status == http.StatusTooManyRequests:
		a.Outcome = Down
	case answer.Status < 400:
		a.Outcome = Unclear
	case saysRedirect.MatchString(a.Said):
		a.Outcome = RefusedRedirect
	case saysClient.MatchString(a.Said):
		a.Outcome = RefusedClient
	default:
		a.Outcome = RefusedRedirect
	}
}

// Trial is a Question with what keeps its answer honest.
type Trial struct {
	Answer AnswerTo `json:"answer"`
	// Loose are negative controls that were accepted although nobody can have
	// registered them: the provider sends codes to addresses by pattern.
	Loose []Control `json:"loose,omitempty"`
	// Near is a similar redirect URI that is accepted where the one asked is
	// not, and Difference what tells them apart.
	Near       string `json:"near,omitempty"`
	Difference string `json:"difference,omitempty"`
}

// Cause is why a login would fail, "" where it would not: the worst first.
func (t Trial) Cause() Cause {
	if len(t.Loose) > 0 && t.Loose[0].Kind != ControlPath {
		return RedirectWildcard
	}
	switch a := t.Answer; {
	case a.Outcome == RefusedRedirect:
		return RedirectUnregistered
	case a.Outcome == RefusedClient:
		return ClientUnknown
	case a.Outcome == RefusedRequest, a.Outcome == RefusedPush:
		return ClientRefused
	case a.Outcome == Elsewhere:
		return RedirectElsewhere
	case a.Outcome == Down:
		return ProviderDown
	case a.Outcome == Unreachable:
		return ReachRefused
	case a.Outcome == Unclear:
		return RedirectUnclear
	case a.StateLost:
		return RedirectState
	case len(t.Loose) > 0:
		return RedirectPrefix
	}
	return ""
}

// Control is a redirect URI that must be refused.
type Control struct {
	Kind        string `json:"kind"` // ControlForeign, …
	RedirectURI string `json:"redirect_uri"`
}

// The kinds of controls, the worst first.
const (
	ControlForeign = "foreign" // another site altogether
	ControlSuffix  = "suffix"  // the site's name goes on: https://acme.example.com.evil.example
	ControlPath    = "path"    // another page of the site
)

// control is the host of the negative controls. It can't be anybody's (RFC 2606
// §2), and nothing is ever sent there.
const control = "onedoor-negative-control.invalid"

// Controls are the negative controls of a redirect URI.
func Controls(redirectURI string) []Control {
	all := []Control{{ControlForeign, "https://" + control + "/callback"}}
	u, err := url.Parse(redirectURI)
	if err != nil || u.Host == "" {
		return all
	}
	suffix, path := *u, *u
	suffix.Host = u.Hostname() + "." + control
	if !strings.Contains(u.Hostname(), ":") { // no IPv6 address
		all = append(all, Control{ControlSuffix, suffix.String()})
	}
	path.Path, path.RawPath, path.RawQuery = strings.TrimSuffix(u.Path, "/")+"/onedoor-negative-control", "", ""
	return append(all, Control{ControlPath, path.String()})
}

// TryOptions say what is tried beside the question itself.
type TryOptions struct {
	Controls   bool // negative controls, which must be refused
	NearMisses bool // where it is refused: which similar redirect URI is accepted
}

// Try asks a question and its controls. Each is one request to the provider, or
// a few where a door or a relay stands before it; near misses are up to 48.
func (s *Scout) Try(ctx context.Context, q Question, o TryOptions) Trial {
	var t Trial
	var wait sync.WaitGroup
	wait.Go(func() { t.Answer = s.Ask(ctx, q) })
	controls := Controls(q.RedirectURI)
	loose := make([]bool, len(controls))
	if o.Controls {
		for i, c := range controls {
			wait.Go(func() { loose[i] = s.accepts(ctx, q, c.RedirectURI) })
		}
	}
	wait.Wait()
	for i, c := range controls {
		if loose[i] {
			t.Loose = append(t.Loose, c)
		}
	}
	if o.NearMisses && t.Answer.Outcome == RefusedRedirect && t.Answer.Reference == "" { // else it was a door's page
		t.Near, t.Difference = s.near(ctx, q)
	}
	return t
}

// accepts says whether the provider sends a browser to a redirect URI.
func (s *Scout) accepts(ctx context.Context, q Question, redirectURI string) bool {
	q.RedirectURI, q.Ends = redirectURI, ""
	a := s.Ask(ctx, q)
	return a.Outcome == Accepted || a.Outcome == RefusedRequest
}

// near finds the likeliest similar redirect URI that is accepted.
func (s *Scout) near(ctx context.Context, q Question) (uri, difference string) {
	const atOnce = 4
	for batch := range slices.Chunk(nearMisses(q.RedirectURI), atOnce) {
		found := make([]bool, len(batch))
		var wait sync.WaitGroup
		for i, n := range batch {
			wait.Go(func() { found[i] = s.accepts(ctx, q, n.uri) })
		}
		wait.Wait()
		if i := slices.Index(found, true); i >= 0 {
			return batch[i].uri, batch[i].difference
		}
		if ctx.Err() != nil {
			return "", ""
		}
	}
	return "", ""
}
