package provider

import (
	"crypto/rand"
	"errors"
	"net/http"
	"time"

	"onedoor/store"
)

// newSecret is 256 random bits as text, for cookies, tokens and client secrets.
func newSecret() string { return rand.Text() + rand.Text() }

// Cookies: one for a browser that is logged in, and one that ties a login to the
// browser that began it. The __Host- prefix keeps a tenant's site from setting
// them for us (THREATS T-60); browsers demand https for it.
const (
	cookieSession = "onedoor-session"
	cookieBrowser = "onedoor-browser"
)

func (p *Provider) cookieName(name string) string {
	if p.secure {
		return "__Host-" + name
	}
	return name
}

func (p *Provider) setCookie(w http.ResponseWriter, name, value string, lifetime time.Duration) {
	c := &http.Cookie{
		Name: p.cookieName(name), Value: value, Path: "/", MaxAge: int(lifetime / time.Second),
		HttpOnly: true, Secure: p.secure, SameSite: http.SameSiteLaxMode,
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// cookie returns the value of a cookie of ours. One that comes twice is none:
// somebody may have planted the other (THREATS T-60).
func (p *Provider) cookie(r *http.Request, name string) string {
	if found := r.CookiesNamed(p.cookieName(name)); len(found) == 1 {
		return found[0].Value
	}
	return ""
}

// loggedIn returns the browser's session and its user; ok is false where nobody
// is logged in.
func (p *Provider) loggedIn(r *http.Request) (s store.BrowserSession, u store.User, ok bool, err error) {
	value := p.cookie(r, cookieSession)
	if value == "" {
		return s, u, false, nil
	}
	s, err = p.store.BrowserSession(r.Context(), digest(value))
	if err == nil && s.ExpiresAt > p.now().Unix() {
		u, err = p.store.User(r.Context(), s.UserID)
		if err == nil && u.Status == Active {
			return s, u, true, nil
		}
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil
	}
	return s, u, false, err
}

// logIn begins a new session of the browser; the one before it ends.
func (p *Provider) logIn(w http.ResponseWriter, r *http.Request, u store.User) (store.BrowserSession, error) {
	value, now := newSecret(), p.now()
	s := store.BrowserSession{
		Hash: digest(value), SID: rand.Text(), UserID: u.ID,
		AuthTime: now.Unix(), ExpiresAt: now.Add(sessionLifetime).Unix(),
	}
	if err := p.store.AddBrowserSession(r.Context(), s, digest(p.cookie(r, cookieSession))); err != nil {
		return s, err
	}
	p.setCookie(w, cookieSession, value, sessionLifetime)
	return s, nil
}

// logOut ends the browser's session, if it has one.
func (p *Provider) logOut(w http.ResponseWriter, r *http.Request) error {
	value := p.cookie(r, cookieSession)
	if value == "" {
		return nil
	}
	p.setCookie(w, cookieSession, "", 0)
	return p.store.RemoveBrowserSession(r.Context(), digest(value))
}
