package provider

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/store"
)

// maxBody bounds what is read of a form. A login or token request has some
// kilobytes (THREATS T-29).
const maxBody = 64 << 10

// maxStored bounds a parameter that is kept with the login. Keycloak's bound is
// the same, so clients know it.
const maxStored = 4000

const parPrefix = "urn:ietf:params:oauth:request_uri:"

// exchange is what one front-channel request knows besides what the engine
// does. It travels in the request's context.
type exchange struct {
	redirectURI string // where a response goes; known to be the client's
	formPost    bool   // the response is a form, not a redirect
	hint        string // subject of the id_token_hint; noSubject for a bad one
	uiLocales   string
	own         bool // the answer is a page or redirect of ours, not a response
	away        bool // the database was: no answer of the engine's counts

	spent *goidc.AuthnSession // the login that was asked for, where it is finished
}

// noSubject is nobody's: a hint that means nobody we know.
const noSubject = "-"

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	x, _ := ctx.Value(exchangeKey{}).(*exchange)
	return x
}

// Names in a login's Store.
const (
	storeFormPost  = "form_post"
	storeHint      = "hint"
	storeUILocales = "ui_locales"
	storeBrowser   = "browser" // hash of the cookie of the browser that began
	storeAuthTime  = "auth_time"
	storeSID       = "sid"
)

// remember puts into a login what later requests need, and recall reads it.
func (x *exchange) remember(as *goidc.AuthnSession) {
	if as.Store == nil {
		as.Store = map[string]any{}
	}
	as.Store[storeFormPost], as.Store[storeHint], as.Store[storeUILocales] = x.formPost, x.hint, x.uiLocales
}

func (x *exchange) recall(as *goidc.AuthnSession) {
	x.redirectURI = as.RedirectURI
	x.formPost, _ = as.Store[storeFormPost].(bool)
	x.hint, _ = as.Store[storeHint].(string)
	x.uiLocales, _ = as.Store[storeUILocales].(string)
}

// authorize is the authorization endpoint (RFC 6749 §3.1, OIDC Core §3.1.2).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	ps, err := readParams(w, r)
	if err != nil {
		refuseParams(w, r, err)
		return
	}
	x := &exchange{}
	if strings.HasPrefix(ps.Get("request_uri"), parPrefix) {
		// What was pushed counts, and nothing beside it (RFC 9126 §4, THREATS T-25).
		ps = oidc.Params{{Name: "client_id", Value: ps.Get("client_id")}, {Name: "request_uri", Value: ps.Get("request_uri")}}
	} else {
		client, err := p.store.Client(r.Context(), ps.Get("client_id"))
		if err != nil {
			p.refuseClient(w, r, err)
			return
		}
		if !hasRedirectURI(client, ps.Get("redirect_uri")) {
			page.Refuse(w, r, http.StatusBadRequest, page.Refusal{Key: page.InvalidRedirectURI})
			return
		}
		x.redirectURI = ps.Get("redirect_uri")
		ps, err = p.mendRequest(x, ps)
		if err == nil && client.RequirePushedRequests {
			err = &oidc.Error{Code: oidc.InvalidRequest, Description: "this client pushes its requests"} // RFC 9126 §6
		}
		if err != nil {
			p.respond(w, r, x, errorResponse(err, ps.Get("state"), p.issuer))
			return
		}
	}
	r2 := r.Clone(context.WithValue(r.Context(), exchangeKey{}, x))
	r2.Method, r2.Body = http.MethodGet, http.NoBody
	r2.URL.RawQuery = ps.Encode()
	p.front(w, r2, x)
}

// front lets the engine answer, and sends an authorization response our way.
func (p *Provider) front(w http.ResponseWriter, r *http.Request, x *exchange) {
	answer := &buffered{header: http.Header{}}
	p.engine.ServeHTTP(answer, r)
	if x.away {
		refuseAway(w, r)
		return
	}
	if x.spent != nil && p.beginAgain(w, r, x.spent) {
		return
	}
	location := answer.header.Get("Location")
	if location == "" || x.own {
		answer.send(w, r)
		return
	}
	u, err := url.Parse(location)
	if err != nil {
		page.Refuse(w, r, http.StatusInternalServerError, page.Refusal{Key: page.Internal})
		return
	}
	// The engine sorts and re-encodes the redirect URI's own query. It holds no
	// parameter of a response (AddClient), so these are the engine's.
	var response oidc.Params
	for _, name := range []string{"code", "state", "iss", "error", "error_description", "error_uri"} {
		if v := u.Query().Get(name); v != "" {
			response = append(response, oidc.Param{Name: name, Value: v})
		}
	}
	for _, cookie := range answer.header.Values("Set-Cookie") {
		w.Header().Add("Set-Cookie", cookie)
	}
	p.respond(w, r, x, response)
}

// respond sends the browser to the client with an authorization response. After
// a POST that held a password the redirect must be 303 (RFC 9700 §4.12).
func (p *Provider) respond(w http.ResponseWriter, r *http.Request, x *exchange, response oidc.Params) {
	if x.formPost {
		fields := make([]page.Field, len(response))
		for i, f := range response {
			fields[i] = page.Field(f)
		}
		page.FormPost(w, r, x.redirectURI, fields)
		return
	}
	redirect(w, oidc.AppendQuery(x.redirectURI, response))
}

func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(http.StatusSeeOther)
}

func errorResponse(err error, state, issuer string) oidc.Params {
	var e *oidc.Error
	if !errors.As(err, &e) {
		e = &oidc.Error{Code: oidc.ServerError}
	}
	return e.Response(state, state != "", issuer)
}

// mendRequest takes out of an authorization request what the engine would
// refuse and a provider should ignore, and refuses what it would ignore and a
// provider should refuse.
func (p *Provider) mendRequest(x *exchange, ps oidc.Params) (oidc.Params, error) {
	switch ps.Get("response_mode") {
	case "", "query":
	case "form_post":
		x.formPost = true
	default:
		return ps, &oidc.Error{Code: oidc.InvalidRequest, Description: "response_mode is query or form_post"}
	}
	switch {
	case ps.Get("request") != "":
		return ps, &oidc.Error{Code: oidc.RequestNotSupported, Description: "request objects are not supported"}
	case ps.Get("request_uri") != "":
		return ps, &oidc.Error{Code: oidc.RequestURINotSupported, Description: "only the request_uri of a pushed request is supported"}
	case ps.Get("response_type") != "" && ps.Get("response_type") != "code":
		return ps, &oidc.Error{Code: oidc.UnsupportedResponseType, Description: "response_type is code"}
	}
	for _, q := range ps {
		if len(q.Value) > maxStored && q.Name != "id_token_hint" && q.Name != "claims" {
			return ps, &oidc.Error{Code: oidc.InvalidRequest, Description: "a parameter is longer than 4000 octets"}
		}
	}
	prompt := strings.Fields(ps.Get("prompt"))
	if slices.Contains(prompt, "none") && len(prompt) > 1 {
		return ps, &oidc.Error{Code: oidc.InvalidRequest, Description: "prompt none stands alone"} // OIDC Core §3.1.2.1
	}
	if age := ps.Get("max_age"); age != "" {
		// Ignoring one that is not understood would weaken what the client asked for.
		if n, err := strconv.Atoi(age); err != nil || n < 0 {
			return ps, &oidc.Error{Code: oidc.InvalidRequest, Description: "max_age is a number of seconds"}
		}
	}
	if hint := ps.Get("id_token_hint"); hint != "" {
		token, err := p.readHint(hint)
		if x.hint = token.Subject; err != nil {
			x.hint = noSubject
		}
	}
	x.uiLocales = ps.Get("ui_locales")
	// Unknown scopes and acr_values are ignored (OIDC Core §3.1.2.1), and so are
	// claims and display, which are voluntary.
	known := slices.DeleteFunc(strings.Fields(ps.Get("scope")), func(s string) bool { return !slices.Contains(scopes, s) })
	if ps.Get("scope") != "" {
		ps = ps.Set("scope", strings.Join(known, " "))
	}
	return ps.Without("response_mode", "id_token_hint", "acr_values", "claims", "display", "registration"), nil
}

// hasRedirectURI compares octets (RFC 9700 §2.1), save the port of a native
// app's loopback address.
func hasRedirectURI(c store.Client, uri string) bool {
	if slices.Contains(c.RedirectURIs, uri) {
		return uri != ""
	}
	if c.Type != string(Native) {
		return false
	}
	plain := withoutPort(uri)
	return plain != uri && slices.ContainsFunc(c.RedirectURIs, func(have string) bool { return withoutPort(have) == plain })
}

func (p *Provider) refuseClient(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, store.ErrNotFound) {
		page.Refuse(w, r, http.StatusBadRequest, page.Refusal{Key: page.InvalidClient})
		return
	}
	p.storeFailed(w, r, "client was not read", err)
}

var errTooLarge = errors.New("the request is too large")

// readParams reads the parameters of a GET from its query and of a POST from
// its body. A parameter that stands twice is an error (RFC 6749 §3.1).
func readParams(w http.ResponseWriter, r *http.Request) (oidc.Params, error) {
	raw := r.URL.RawQuery
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			return nil, errTooLarge
		}
		raw = string(body)
	}
	ps, err := oidc.ParseParams(raw)
	if err != nil {
		return nil, err
	}
	if name := ps.Repeated(); name != "" {
		return nil, errors.New("a parameter stands twice")
	}
	return ps, nil
}

func refuseParams(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, errTooLarge) {
		page.Refuse(w, r, http.StatusRequestEntityTooLarge, page.Refusal{Key: page.TooLarge})
		return
	}
	page.Refuse(w, r, http.StatusBadRequest, page.Refusal{Key: page.BadRequest})
}

// buffered holds an answer back until it can be mended. The engine's answers
// are small.
type buffered struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (b *buffered) Header() http.Header { return b.header }

func (b *buffered) WriteHeader(status int) {
	if b.status == 0 {
		b.status = status
	}
}

func (b *buffered) Write(text []byte) (int, error) {
	b.WriteHeader(http.StatusOK)
	return b.body.Write(text)
}

func (b *buffered) send(w http.ResponseWriter, r *http.Request) {
	maps.Copy(w.Header(), b.header)
	if b.status == 0 {
		b.status = http.StatusOK
	}
	w.WriteHeader(b.status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.body.Bytes()) // the caller has gone
	}
}
