package gateway

import (
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"onedoor/tenant"
)

// maxBindings is how many logins one browser may have in progress; the oldest
// makes room. An attacker who starts logins in a victim's browser fills no
// cookie jar.
const maxBindings = 8

// bind ties the transaction to this browser: a cookie that nobody else can
// know. Without it a response could be opened in another browser than the one
// that began, as with any client that is careless with its state (login CSRF,
// RFC 9700 §4.7). Each login has a cookie of its own, so several tabs work.
func (g *Gateway) bind(w http.ResponseWriter, r *request, t *transaction) {
	g.dropOldBindings(w, r)
	secret, err := g.Ring.Browser(t.keyID, t.id[:])
	if err != nil {
		return // the key went in this moment: the callback will refuse
	}
	begun := strconv.FormatInt(g.Now().Unix(), 36)
	g.setBinding(w, g.bindingName(t), begun+"."+secret, int(g.LoginTTL.Seconds()))
}

// sameBrowser says whether the browser that brings the response is the one that
// began the login.
func (g *Gateway) sameBrowser(r *request, t *transaction) bool {
	if !t.bound {
		return true
	}
	want, err := g.Ring.Browser(t.keyID, t.id[:])
	if err != nil {
		return false
	}
	c, err := r.Cookie(g.bindingName(t))
	if err != nil {
		return false
	}
	_, got, _ := strings.Cut(c.Value, ".")
	return subtle.ConstantTimeCompare([]byte(got), []byte(want)) == 1
}

// unbind removes the cookie of a transaction that has ended.
func (g *Gateway) unbind(w http.ResponseWriter, t *transaction) {
	if t.bound {
		g.setBinding(w, g.bindingName(t), "", -1)
	}
}

func (g *Gateway) dropOldBindings(w http.ResponseWriter, r *request) {
	prefix := g.bindingPrefix()
	var ours []*http.Cookie
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, prefix) {
			ours = append(ours, c)
		}
	}
	if len(ours) < maxBindings {
		return
	}
	begun := func(c *http.Cookie) int64 {
		at, _, _ := strings.Cut(c.Value, ".")
		n, _ := strconv.ParseInt(at, 36, 64)
		return n
	}
	slices.SortStableFunc(ours, func(a, b *http.Cookie) int { return int(begun(a) - begun(b)) })
	for _, c := range ours[:len(ours)-maxBindings+1] {
		g.setBinding(w, c.Name, "", -1)
	}
}

func (g *Gateway) bindingName(t *transaction) string {
	var name [32]byte
	return string(base64.RawURLEncoding.AppendEncode(append(name[:0], g.bindingPrefix()...), t.id[:6]))
}

// bindingPrefix is __Host- where the browser takes Secure cookies, so that no
// tenant's host can plant one (THREATS T-60); on other http origins, which the
// operator allowed in writing, it cannot be.
func (g *Gateway) bindingPrefix() string {
	if g.secure {
		return "__Host-od-"
	}
	return "od-"
}

// trustsCookies says whether browsers take Secure cookies from an origin.
func trustsCookies(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return true
	}
	host := u.Hostname()
	return u.Scheme == "https" || tenant.Loopback(host) || strings.HasSuffix(host, ".localhost")
}

func (g *Gateway) setBinding(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge,
		Secure: g.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
