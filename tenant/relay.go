package tenant

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"onedoor/oidc"
)

// ErrNotRelayed is what Relay says of a path that is none of its own.
var ErrNotRelayed = errors.New("not a relay path")

// Relayed is where the relay sends a browser.
type Relayed struct {
	Target
	Callback bool   // an authorization response, and not a return
	Query    string // as it came, with its "?", or ""
}

// Location is the address with the query, octet for octet. A callback that has
// a query of its own keeps it (RFC 6749 §3.1.2).
func (r Relayed) Location() string {
	if r.Query != "" && strings.Contains(r.URI, "?") {
		return r.URI + "&" + r.Query[1:]
	}
	return r.URI + r.Query
}

// Relay decides where a relay path leads. raw is the request target as it stood
// on the wire: no decoding, no cleaning, no second spelling of one address
// (THREATS T-57).
//
//	/tenants/{t}/callback[?query]         -> {site}{first callback}[?query]
//	/tenants/{t}/returnto/{path}[?query]  -> {site}/{path}[?query]
//	/apps/{app}/tenants/{t}/…             the same, for that app
//
// A Refusal that wraps ErrNotRelayed or ErrUnknown means that there is nothing
// at that address; any other that what is there refuses the request.
func (d *Directory) Relay(ctx context.Context, raw string) (Relayed, *Refusal) {
	path, query := raw, ""
	if i := strings.IndexByte(raw, '?'); i >= 0 {
		path, query = raw[:i], raw[i:]
	}
	app, rest, ok := d.relayApp(path)
	if !ok {
		return Relayed{}, refuse("relay.path", path, "", ErrNotRelayed)
	}
	label, action, ok := strings.Cut(rest, "/")
	if !ok {
		return Relayed{}, refuse("relay.path", path, "", ErrNotRelayed)
	}
	back, isReturn := strings.CutPrefix(action, "returnto")
	switch {
	case action == "callback":
	case isReturn && strings.HasPrefix(back, "/"):
	default:
		return Relayed{}, refuse("relay.path", path, "callback or returnto/…", ErrNotRelayed)
	}
	t, no := d.active(ctx, label)
	if no != nil {
		return Relayed{}, no
	}
	for i := 0; i < len(query); i++ {
		if c := query[i]; c <= ' ' || c > '~' || c == '#' {
			return Relayed{}, refuse("relay.query", "", "printable ASCII without #", nil) // never its value: it holds the code
		}
	}
	to := Target{App: app, Tenant: t}
	if no := to.At(app.Issuer); no != nil {
		return Relayed{}, no
	}
	if !isReturn {
		to.URI = onSite(app, t, app.Callbacks[0])
		return Relayed{Target: to, Callback: true, Query: query}, nil
	}
	if why := badReturn(back); why != "" {
		return Relayed{}, refuse("relay.returnto", back, why, nil)
	}
	if holdsResponse(query) {
		return Relayed{}, refuse("relay.response", "", "no authorization response: that goes to the callback", nil)
	}
	to.URI = onSite(app, t, back)
	return Relayed{Target: to, Query: query}, nil
}

// relayApp finds the app that a relay path speaks of, and what follows
// "…/tenants/". Where there are several apps, the short form belongs to the one
// in relay mode, if there is just one.
func (d *Directory) relayApp(path string) (app *App, rest string, ok bool) {
	if rest, ok = strings.CutPrefix(path, "/tenants/"); ok {
		app = d.shortForm()
	} else if rest, ok = strings.CutPrefix(path, "/apps/"); ok {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if rest, ok = strings.CutPrefix(rest, "tenants/"); ok {
			for _, a := range d.Apps {
				if a.Name == name {
					app = a
				}
			}
		}
	}
	if app == nil || app.Site.IsZero() || len(app.Callbacks) == 0 {
		return nil, "", false
	}
	return app, rest, ok
}

func (d *Directory) shortForm() *App {
	if len(d.Apps) == 1 {
		return d.Apps[0]
	}
	var only *App
	for _, a := range d.Apps {
		if a.Mode == Relay {
			if only != nil {
				return nil
			}
			only = a
		}
	}
	return only
}

// badReturn says why a return path, which begins with a slash, is refused. The
// app behind may decode it once more, and new URL("//evil.com", base) leads to
// evil.com (THREATS F5), so it is looked at after none, one and two decodings.
func badReturn(path string) string {
	if malformed(path) != "" {
		return malformed(path)
	}
	for range 3 {
		if len(path) > 1 && isSlash(path[1:]) {
			return "one slash at the start"
		}
		for seg := range strings.SplitSeq(path, "/") {
			name, _, _ := strings.Cut(seg, ";")
			if name == "." || name == ".." {
				return "no dot segments"
			}
		}
		for i := 0; i < len(path); i++ {
			if c := path[i]; c < ' ' || c == 0x7F || c == '\\' {
				return "no control characters and no backslash"
			}
		}
		next, err := url.PathUnescape(path)
		if err != nil || next == path {
			return "" // nobody can decode it further
		}
		if strings.HasPrefix(path, "/%20") || strings.HasPrefix(next, "/ ") {
			return "no space at the start"
		}
		path = next
	}
	return ""
}

// isSlash says whether s begins with something that a browser or a framework
// takes for a slash.
func isSlash(s string) bool {
	r, _ := utf8.DecodeRuneInString(s)
	return strings.ContainsRune("/\\\u2044\u2215\uFF0F\uFF3C\u29F8\uFE68", r)
}

// holdsResponse says whether a query is an authorization response: a code on a
// page that does not expect it is a code in its Referer and its statistics
// (THREATS F6).
func holdsResponse(query string) bool {
	if query == "" {
		return false
	}
	ps, err := oidc.ParseParams(query[1:])
	if err != nil {
		// What we cannot read, the app may: look for the names as they stand.
		for _, name := range []string{"code=", "id_token=", "access_token=", "response="} {
			if strings.Contains(query, name) {
				return true
			}
		}
		return false
	}
	has := func(name string) bool { _, ok := ps.Lookup(name); return ok }
	return (has("code") && has("state")) || has("id_token") || has("access_token") || has("response")
}
