package oidc

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxParams is how many name-value pairs a request may hold. No client sends
// more than some twenty; an attacker sends thousands to make every later step
// slow (THREATS T-29).
const MaxParams = 200

// Param is one name and value of a request, both decoded.
type Param struct{ Name, Value string }

// Params are the parameters of a request in the order in which they came.
// Parameters that we do not know keep their place, their spelling and their
// repetitions.
type Params []Param

// Errors of ParseParams.
var (
	ErrTooMany  = errors.New("more parameters than any client sends")
	ErrEncoding = errors.New("not application/x-www-form-urlencoded")
)

// repeatable are the names that a specification lets repeat (RFC 8707 §2,
// RFC 8693 §2.1).
var repeatable = set("resource", "audience")

// known are the names that somebody on our way acts upon. Each may stand once
// (RFC 6749 §3.1: "Request and response parameters MUST NOT be included more
// than once"): of two, the provider might read the other one.
var known = set(
	"acr_values", "actor_token", "actor_token_type", "assertion", "authorization_details",
	"claims", "claims_locales", "client_assertion", "client_assertion_type", "client_id",
	"client_secret", "code", "code_challenge", "code_challenge_method", "code_verifier",
	"device_code", "display", "dpop_jkt", "error", "error_description", "error_uri",
	"expires_in", "grant_type", "id_token", "id_token_hint", "iss", "login_hint",
	"logout_hint", "max_age", "nonce", "password", "post_logout_redirect_uri", "prompt",
	"redirect_uri", "refresh_token", "registration", "request", "request_uri",
	"requested_token_type", "response", "response_mode", "response_type", "scope",
	"session_state", "state", "subject_token", "subject_token_type", "token",
	"token_type", "token_type_hint", "access_token", "ui_locales", "username",
)

func set(names ...string) map[string]bool {
	s := make(map[string]bool, len(names))
	for _, n := range names {
		s[n] = true
	}
	return s
}

// ParseParams parses an application/x-www-form-urlencoded string, as a query or
// a body holds it. Names are decoded before anything is compared with them.
//
// It refuses what two parsers could read differently: broken percent-encoding,
// octets that are not UTF-8, control characters in a name, and more than
// [MaxParams] pairs. A ";" is data, as the URL Standard has it.
func ParseParams(raw string) (Params, error) {
	if raw == "" {
		return nil, nil
	}
	if strings.Count(raw, "&") >= MaxParams {
		return nil, ErrTooMany
	}
	ps := make(Params, 0, strings.Count(raw, "&")+1)
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		n, err := unescape(name)
		if err != nil {
			return nil, fmt.Errorf("parameter name: %w", err)
		}
		v, err := unescape(value)
		if err != nil {
			if !known[n] && !repeatable[n] {
				n = "…" // of a body that is no form, the name may be all of it
			}
			return nil, fmt.Errorf("value of parameter %q: %w", n, err)
		}
		for _, r := range n {
			if r < 0x20 || r == 0x7F {
				return nil, fmt.Errorf("control character in a parameter name: %w", ErrEncoding)
			}
		}
		ps = append(ps, Param{n, v})
	}
	return ps, nil
}

// unescape decodes once, and never twice: what is compared later is what is
// used later.
func unescape(s string) (string, error) {
	out, err := url.QueryUnescape(s)
	if err != nil || !utf8.ValidString(out) {
		return "", ErrEncoding
	}
	return out, nil
}

// Repeated returns the first known parameter that stands more than once, and
// "" where there is none.
func (ps Params) Repeated() string {
	for i, p := range ps {
		if !known[p.Name] || repeatable[p.Name] {
			continue
		}
		for _, q := range ps[:i] {
			if q.Name == p.Name {
				return p.Name
			}
		}
	}
	return ""
}

// Count says how often a parameter stands.
func (ps Params) Count(name string) int {
	n := 0
	for _, p := range ps {
		if p.Name == name {
			n++
		}
	}
	return n
}

// Alias returns the first parameter whose name is no known one and yet would be
// read as one by a lenient framework: another case, array syntax, a NUL or a
// dot behind it, spaces around it ("redirect_uri[]", "Redirect_Uri"). The
// provider behind us may be such a framework, and then the value that we did
// not look at would win (THREATS T-19).
func (ps Params) Alias() string {
	for _, p := range ps {
		if aliased(p.Name) != "" {
			return p.Name
		}
	}
	return ""
}

// AliasOf returns the first parameter that would be read as that known one.
func (ps Params) AliasOf(name string) string {
	for _, p := range ps {
		if aliased(p.Name) == name {
			return p.Name
		}
	}
	return ""
}

// aliased is the known name that a name which is none would be read as.
func aliased(name string) string {
	if known[name] || repeatable[name] {
		return ""
	}
	plain := underscored.Replace(strings.ToLower(strings.TrimSpace(name)))
	if known[plain] {
		return plain
	}
	if i := strings.IndexAny(name, "[.;"); i >= 0 {
		if plain = strings.ToLower(strings.TrimSpace(name[:i])); known[plain] {
			return plain
		}
	}
	return ""
}

// underscored does what frameworks do to names: PHP the last two.
var underscored = strings.NewReplacer("-", "_", " ", "_", ".", "_")

// Lookup returns the value of the first parameter of that name, and whether
// there is one. An empty value is there: absent and empty differ where a value
// is to be returned exactly.
func (ps Params) Lookup(name string) (string, bool) {
	for _, p := range ps {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

// Get returns the value of the first parameter of that name. Absent and empty
// are the same to it: "Parameters sent without a value MUST be treated as if
// they were omitted" (RFC 6749 §3.1).
func (ps Params) Get(name string) string {
	v, _ := ps.Lookup(name)
	return v
}

// Set gives the parameter that value: in the place of the first one of that
// name, or at the end. Later ones of the name go.
func (ps Params) Set(name, value string) Params { return ps.With(Param{name, value}) }

// With is Set for several parameters of different names.
func (ps Params) With(changes ...Param) Params {
	out := append(make(Params, 0, len(ps)+len(changes)), ps...)
	for _, c := range changes {
		same := func(p Param) bool { return p.Name == c.Name }
		i := slices.IndexFunc(out, same)
		if i < 0 {
			out = append(out, c)
			continue
		}
		out[i] = c
		out = append(out[:i+1], slices.DeleteFunc(out[i+1:], same)...)
	}
	return out
}

// Without leaves out all parameters of these names.
func (ps Params) Without(names ...string) Params {
	out := make(Params, 0, len(ps))
	for _, p := range ps {
		if !slices.Contains(names, p.Name) {
			out = append(out, p)
		}
	}
	return out
}

// Encode writes the parameters in their order. The result holds only unreserved
// characters, "%", "=", "&" and "+": it can stand in a header or an attribute.
func (ps Params) Encode() string { return ps.encodeAfter("", "") }

func (ps Params) encodeAfter(before, separator string) string {
	n := len(before) + len(separator)
	for _, p := range ps {
		n += len(p.Name) + len(p.Value) + 2
	}
	var b strings.Builder
	b.Grow(n + n/4) // few octets need an escape
	b.WriteString(before)
	b.WriteString(separator)
	for i, p := range ps {
		if i > 0 {
			b.WriteByte('&')
		}
		escape(&b, p.Name)
		b.WriteByte('=')
		escape(&b, p.Value)
	}
	return b.String()
}

// escape is url.QueryEscape that writes where the rest is.
func escape(b *strings.Builder, s string) {
	const hex = "0123456789ABCDEF"
	plain := 0 // where what needs no escape begins
	for i := 0; i < len(s); i++ {
		c := s[i]
		if unreserved[c] {
			continue
		}
		b.WriteString(s[plain:i])
		plain = i + 1
		if c == ' ' {
			b.WriteByte('+')
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	b.WriteString(s[plain:])
}

// unreserved are the octets that stand for themselves (RFC 3986 §2.3).
var unreserved = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~") {
		t[c] = true
	}
	return t
}()

// AppendQuery adds the parameters to a redirect URI, keeping its own query
// octet for octet (RFC 6749 §3.1.2: the query component "MUST be retained when
// adding additional query parameters").
func AppendQuery(uri string, ps Params) string {
	if len(ps) == 0 {
		return uri
	}
	switch i := strings.IndexByte(uri, '?'); {
	case i < 0:
		return ps.encodeAfter(uri, "?")
	case i == len(uri)-1 || uri[len(uri)-1] == '&':
		return ps.encodeAfter(uri, "")
	default:
		return ps.encodeAfter(uri, "&")
	}
}
