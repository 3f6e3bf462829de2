package provider

import (
	"context"
	"crypto/subtle"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"golang.org/x/text/secure/precis"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/store"
)

//go:embed texts.*.json login.html logout.html
var files embed.FS

var (
	texts      = mustTexts()
	loginBody  = template.Must(template.ParseFS(files, "login.html"))
	logoutBody = template.Must(template.ParseFS(files, "logout.html"))
)

func mustTexts() page.Catalogue {
	c, err := page.ReadCatalogue(files, "texts")
	if err != nil {
		panic(err) // an embedded file: the first test shows it
	}
	return c
}

// login is where the login page lives: below the authorization endpoint, under
// the login's own id, so that a reload or Back shows the same login again.
func (p *Provider) login(w http.ResponseWriter, r *http.Request) {
	x := &exchange{}
	form := oidc.Params(nil)
	if r.Method == http.MethodPost {
		if err := p.origin.Check(r); err != nil {
			page.Refuse(w, r, http.StatusForbidden, page.Refusal{Key: page.Forbidden})
			return
		}
		var err error
		if form, err = readParams(w, r); err != nil {
			refuseParams(w, r, err)
			return
		}
	}
	ctx := context.WithValue(r.Context(), exchangeKey{}, x)
	r2 := r.Clone(context.WithValue(ctx, formKey{}, form))
	r2.Body = http.NoBody
	p.front(w, r2, x)
}

type formKey struct{}

// authenticate is what the engine asks: who is it? Pending means that we have
// answered the browser ourselves.
func (p *Provider) authenticate(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession, c *goidc.Client) (goidc.Status, error) {
	x := exchangeOf(r.Context())
	if as.Store[storeBrowser] == nil {
		return p.begin(w, r, x, as)
	}
	x.recall(as)
	if !same(as.Store[storeBrowser], digest(p.cookie(r, cookieBrowser))) {
		x.own = true
		page.Refuse(w, r, http.StatusBadRequest, page.Refusal{Key: page.WrongBrowser})
		return goidc.StatusPending, nil
	}
	if r.Method != http.MethodPost {
		return p.showLogin(w, r, x, c, http.StatusOK, loginView{Username: as.LoginHint})
	}
	return p.tryPassword(w, r, x, as, c)
}

func same(have any, got string) bool {
	s, _ := have.(string)
	return subtle.ConstantTimeCompare([]byte(s), []byte(got)) == 1
}

// begin answers an authorization request: at once for a person who is logged in
// and need not do so again, and otherwise by way of the login page.
func (p *Provider) begin(w http.ResponseWriter, r *http.Request, x *exchange, as *goidc.AuthnSession) (goidc.Status, error) {
	if x.redirectURI != as.RedirectURI { // never, unless the engine changes
		return goidc.StatusFailure, errors.New("a response for another redirect URI")
	}
	x.remember(as)
	session, user, ok, err := p.loggedIn(r)
	if err != nil {
		return p.failed(r, "session was not read", err)
	}
	prompt := strings.Fields(string(as.Prompt))
	switch {
	case slices.Contains(prompt, "login"), slices.Contains(prompt, "select_account"):
		ok = false
	case as.MaxAuthnAgeSecs != nil && p.now().Unix()-session.AuthTime >= int64(*as.MaxAuthnAgeSecs):
		ok = false // OIDC Core §3.1.2.1: max_age
	case x.hint != "" && x.hint != user.ID:
		ok = false // another person is meant
	}
	if ok {
		return p.succeed(as, session, user), nil
	}
	if slices.Contains(prompt, "none") {
		return goidc.StatusFailure, goidc.NewError(goidc.ErrorCodeLoginRequired, "the person is not logged in")
	}
	if _, wait := p.begun.take(p.address(r), p.now()); wait > 0 {
		p.log.WarnContext(r.Context(), "login throttled: too many were begun", "address", p.address(r))
		return goidc.StatusFailure, goidc.NewError(oidc.TemporarilyUnavailable, "too many logins were begun from this network")
	}
	browser := p.cookie(r, cookieBrowser)
	if browser == "" {
		browser = newSecret()
	}
	p.setCookie(w, cookieBrowser, browser, loginLifetime) // again: its hour begins anew
	as.Store[storeBrowser] = digest(browser)
	x.own = true
	redirect(w, p.issuer+pathAuthorize+"/"+as.ID)
	return goidc.StatusPending, nil
}

func (p *Provider) succeed(as *goidc.AuthnSession, s store.BrowserSession, u store.User) goidc.Status {
	as.Subject, as.Username, as.GrantedScopes = u.ID, u.Username, as.Scopes
	as.Store[storeAuthTime], as.Store[storeSID] = s.AuthTime, s.SID
	return goidc.StatusSuccess
}

// failed ends the login with server_error; the cause is the operator's.
func (p *Provider) failed(r *http.Request, what string, err error) (goidc.Status, error) {
	exchangeOf(r.Context()).note(err)
	p.log.ErrorContext(r.Context(), what, "error", err)
	return goidc.StatusFailure, goidc.NewError(oidc.ServerError, "the login could not be finished")
}

// tryPassword looks at a login form.
func (p *Provider) tryPassword(w http.ResponseWriter, r *http.Request, x *exchange, as *goidc.AuthnSession, c *goidc.Client) (goidc.Status, error) {
	form, _ := r.Context().Value(formKey{}).(oidc.Params)
	if form.Get("cancel") != "" {
		return goidc.StatusFailure, goidc.NewError(goidc.ErrorCodeAccessDenied, "the person cancelled the login")
	}
	typed := form.Get("username")
	view := loginView{Username: typed}
	name, err := prepareUsername(typed)
	if err != nil {
		name = strings.ToLower(typed) // nobody's; yet it is counted and takes as long
	}
	giveBack, wait := p.take(r, name)
	if wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		p.log.WarnContext(r.Context(), "login throttled", "address", p.address(r))
		view.Error = "error.throttled"
		return p.showLogin(w, r, x, c, http.StatusTooManyRequests, view)
	}
	user, ok, err := p.checkPassword(r.Context(), name, form.Get("password"))
	if err != nil {
		giveBack() // it was no guess
		return p.failed(r, "password was not checked", err)
	}
	if !ok {
		p.log.InfoContext(r.Context(), "login refused: wrong name or password", "address", p.address(r), "client_id", c.ID)
		view.Error = "error.password"
		return p.showLogin(w, r, x, c, http.StatusBadRequest, view)
	}
	giveBack()
	session, err := p.logIn(w, r, user)
	if err != nil {
		return p.failed(r, "session was not begun", err)
	}
	p.log.InfoContext(r.Context(), "logged in", "subject", user.ID, "client_id", c.ID)
	return p.succeed(as, session, user), nil
}

// take counts an attempt against the account and the address.
func (p *Provider) take(r *http.Request, name string) (giveBack func(), wait time.Duration) {
	now := p.now()
	address, wait := p.addresses.take(p.address(r), now)
	if wait > 0 {
		return nil, wait
	}
	// Names are digested: what people type there is sometimes their password.
	account, wait := p.accounts.take(digest(name), now)
	if wait > 0 {
		return nil, wait
	}
	return func() { address(); account() }, 0
}

// checkPassword takes as long for a name that nobody has.
func (p *Provider) checkPassword(ctx context.Context, name, password string) (store.User, bool, error) {
	user, err := p.store.UserByName(ctx, name)
	hash := user.Password
	if errors.Is(err, store.ErrNotFound) {
		hash, err = nobody, nil
	}
	if err != nil {
		return user, false, err
	}
	ok, err := p.samePassword(ctx, password, hash)
	return user, ok && user.ID != "" && user.Status == Active, err
}

// prepareUsername brings a name to the form that is stored: lower case, one form
// of each character (RFC 8265 §3.3).
func prepareUsername(name string) (string, error) {
	if len(name) > 256 {
		return "", errors.New("a user name has at most 256 octets")
	}
	prepared, err := precis.UsernameCaseMapped.String(strings.TrimSpace(name))
	if err != nil {
		return "", errors.New("a user name is one word of letters, digits and signs")
	}
	return prepared, nil
}

// loginView is what login.html shows. Error is a key of the texts.
type loginView struct {
	Username, Error string
	Lang            string
}

// T is a text in the page's language.
func (v loginView) T(key string) string { return texts.Text(v.Lang, key, nil) }

func (p *Provider) showLogin(w http.ResponseWriter, r *http.Request, x *exchange, c *goidc.Client, status int, view loginView) (goidc.Status, error) {
	x.own = true
	view.Lang = page.Lang(x.uiLocales, r.Header.Get("Accept-Language"))
	name := c.Name
	if name == "" {
		name = c.ID
	}
	err := page.Write(w, r, status, page.Page{
		Lang: view.Lang, Title: view.T("login.title"), Site: name, // who asks (THREATS T-28)
		Body: loginBody, Data: view, Forms: page.AnyTarget,
	})
	if err != nil {
		p.log.ErrorContext(r.Context(), "login page", "error", err)
	}
	return goidc.StatusPending, nil
}
