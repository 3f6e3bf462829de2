package demo

import (
	"crypto/sha256"
	"net/url"
	"strings"
)

// Param is one parameter as a page may show it.
type Param struct {
	Name  string
	Value string // masked

	sum [sha256.Size]byte // of the real value: tells a change that the mask hides
}

// open are parameters whose values are no secret.
var open = map[string]bool{
	"client_id": true, "redirect_uri": true, "response_type": true, "response_mode": true, "scope": true,
	"iss": true, "code_challenge_method": true, "grant_type": true, "post_logout_redirect_uri": true,
	"error": true, "login": true,
}

// cut are those of which a few characters are shown, so that a person sees
// which value is the same as before and which is another.
var cut = map[string]bool{
	"state": true, "code": true, "nonce": true, "code_challenge": true, "code_verifier": true, "id_token_hint": true,
}

const (
	shownOfSecret  = 6       // characters; of 22 and more
	longestShown   = 300     // of a value that is no secret
	maxParams      = 40      // of one request
	maxBody        = 8 << 10 // of a token request, octets
	longestSegment = 16      // of a path; a longer one that is no word is a handle, so a secret
)

func newParam(name, value string) Param {
	p := Param{Name: short(name), sum: sha256.Sum256([]byte(value))}
	switch {
	case open[name]:
		p.Value = short(value)
	case cut[name]:
		p.Value = mask(value)
	case value != "":
		p.Value = "…"
	}
	return p
}

// mask shows the beginning of a secret that is long enough to stay one.
func mask(secret string) string {
	if len(secret) < 16 {
		return "…"
	}
	return strings.ToValidUTF8(secret[:shownOfSecret], "") + "…"
}

func short(s string) string {
	if len(s) > longestShown {
		return strings.ToValidUTF8(s[:longestShown], "") + "…"
	}
	return s
}

// Address is a URL without its secrets.
type Address struct {
	Base   string // scheme, host and path
	Params []Param
}

// newAddress masks u, whose scheme and host are filled in.
func newAddress(u *url.URL) Address {
	segments := strings.Split(u.EscapedPath(), "/")
	for i, s := range segments {
		if len(s) > longestSegment && strings.ContainsAny(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
			segments[i] = mask(s)
		}
	}
	return Address{
		Base:   u.Scheme + "://" + u.Host + short(strings.Join(segments, "/")),
		Params: newParams(u.RawQuery),
	}
}

// newParams reads a query or a form in its order.
func newParams(raw string) []Param {
	var ps []Param
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" || len(ps) == maxParams {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := url.QueryUnescape(name)
		v, err2 := url.QueryUnescape(value)
		if err != nil || err2 != nil {
			n, v = "…", "" // it can not be read, so it is not judged either
		}
		ps = append(ps, newParam(n, v))
	}
	return ps
}

// Change is what the door did to one parameter.
type Change struct {
	Name     string
	From, To string // masked; "" where there was none, or is none any more
}

// changes compares parameters by their real values.
func changes(from, to []Param) []Change {
	var list []Change
	for _, p := range from {
		if q, ok := lookup(to, p.Name); !ok || q.sum != p.sum {
			list = append(list, Change{p.Name, p.Value, q.Value})
		}
	}
	for _, q := range to {
		if _, ok := lookup(from, q.Name); !ok {
			list = append(list, Change{Name: q.Name, To: q.Value})
		}
	}
	return list
}

func lookup(ps []Param, name string) (Param, bool) {
	for _, p := range ps {
		if p.Name == name {
			return p, true
		}
	}
	return Param{}, false
}
