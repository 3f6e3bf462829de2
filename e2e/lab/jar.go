//go:build linux

package lab

import (
	"net/http"
	"net/url"
)

// SecureJar takes http under localhost for as good as https, as browsers do:
// the cookies that tie a login to its browser are for https alone, and Go's jar
// would keep them to itself.
type SecureJar struct{ http.CookieJar }

// SetCookies implements http.CookieJar.
func (j SecureJar) SetCookies(u *url.URL, cookies []*http.Cookie) {
	j.CookieJar.SetCookies(secure(u), cookies)
}

// Cookies implements http.CookieJar.
func (j SecureJar) Cookies(u *url.URL) []*http.Cookie { return j.CookieJar.Cookies(secure(u)) }

func secure(u *url.URL) *url.URL {
	https := *u
	https.Scheme = "https"
	return &https
}
