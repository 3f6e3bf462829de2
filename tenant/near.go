package tenant

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// A Difference is a part in which two addresses differ.
type Difference string

// The differences there are, from the least to the greatest.
const (
	InSlash    Difference = "slash"    // one has a slash at the end
	InCase     Difference = "case"     // of letters
	InEncoding Difference = "encoding" // %2F and /
	InQuery    Difference = "query"    // one has a query, or another one
	InScheme   Difference = "scheme"
	InPort     Difference = "port"
	InPath     Difference = "path"
	InHost     Difference = "host"
)

var phrases = map[Difference]string{
	InSlash: "the slash at the end", InCase: "upper and lower case", InEncoding: "the percent-encoding", InQuery: "the query",
	InScheme: "http and https", InPort: "the port", InPath: "the path", InHost: "the host",
}

var magnitude = map[Difference]int{InSlash: 1, InCase: 1, InEncoding: 1, InQuery: 1, InScheme: 1, InPort: 2, InPath: 4, InHost: 8}

// Differ says in which parts two addresses differ, for people who look for a
// mistake. It decides nothing: what is not equal octet for octet is refused,
// however small the difference.
func Differ(a, b string) (all []Difference) {
	if a == b {
		return nil
	}
	x, y := apart(a), apart(b)
	add := func(d Difference, differ bool) {
		if differ && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	add(InScheme, x.scheme != y.scheme)
	add(InPort, x.port != y.port)
	add(InCase, x.host != y.host && strings.EqualFold(x.host, y.host))
	add(InHost, !strings.EqualFold(x.host, y.host))
	add(InQuery, x.query != y.query)
	if x.path != y.path {
		add(inPath(x.path, y.path), true)
	}
	return all
}

func inPath(a, b string) Difference {
	plain := func(s string) string {
		if p, err := url.PathUnescape(s); err == nil {
			return p
		}
		return s
	}
	switch {
	case a == b+"/" || a+"/" == b:
		return InSlash
	case strings.EqualFold(a, b):
		return InCase
	case plain(a) == plain(b):
		return InEncoding
	}
	return InPath
}

// parts of an address, cut out of it as they stand.
type parts struct{ scheme, host, port, path, query string }

func apart(s string) (p parts) {
	s, p.query, _ = strings.Cut(s, "?")
	p.scheme, s, _ = strings.Cut(s, "://")
	p.host = s
	if i := strings.IndexByte(s, '/'); i >= 0 {
		p.host, p.path = s[:i], s[i:]
	}
	if i := strings.LastIndexByte(p.host, ':'); i > strings.LastIndexByte(p.host, ']') {
		p.host, p.port = p.host[:i], p.host[i+1:]
	}
	return p
}

// nearest describes, for the log, the member of the set that the URI comes
// closest to, and how it differs.
func nearest(app *App, uri string, paths, exact []string) (want string, differs []Difference) {
	var members []string
	for _, p := range paths {
		members = append(members, app.Site.String()+p)
	}
	members = append(members, exact...)
	if len(members) == 0 {
		return "none: the app has no such address", nil
	}
	near, least := members[0], 1<<10
	for _, m := range members {
		d := Differ(uri, likeIn(m, uri))
		size := 0
		for _, x := range d {
			size += magnitude[x]
		}
		if size < least {
			near, least, differs = m, size, d
		}
	}
	if slices.Contains(differs, InHost) && len(differs) > 1 {
		return strconv.Quote(members[0]), nil // nothing is near
	}
	return strconv.Quote(near) + Say(differs), differs
}

// likeIn is a member of the set with the label that a URI has in its place.
func likeIn(member, uri string) string {
	t, err := ParseTemplate(member, Environment{Insecure: true})
	if err != nil || !t.HasTenant() {
		return member
	}
	_, host, _ := strings.Cut(uri, "://")
	_, before, _ := strings.Cut(t.before, "://")
	if len(host) >= len(before) && strings.EqualFold(host[:len(before)], before) {
		host = host[len(before):]
	}
	end := strings.IndexAny(host, ".:/?")
	if end < 0 {
		end = len(host)
	}
	if label := strings.ToLower(host[:end]); ValidLabel(label) {
		return t.Expand(label)
	}
	return member
}

// Near says in which part a URI differs from one that is known by a test alone,
// as that of a hash; nil where no small difference makes it that one.
func Near(uri string, is func(string) bool) []Difference {
	scheme, rest, _ := strings.Cut(uri, "://")
	other := map[string]string{"http": "https", "https": "http"}[scheme]
	decoded, _ := url.PathUnescape(uri)
	p := apart(uri)
	without, _, _ := strings.Cut(uri, "?")
	for _, c := range []struct {
		uri string
		d   Difference
	}{
		{uri + "/", InSlash},
		{strings.TrimSuffix(uri, "/"), InSlash},
		{other + "://" + rest, InScheme},
		{without, InQuery},
		{strings.ToLower(uri), InCase},
		{decoded, InEncoding},
		{scheme + "://" + p.host + strings.TrimPrefix(rest, p.host+":"+p.port), InPort},
	} {
		if is(c.uri) {
			return []Difference{c.d}
		}
	}
	return nil
}

// Say is the differences in words; "" for none.
func Say(all []Difference) string {
	if len(all) == 0 {
		return ""
	}
	words := make([]string, len(all))
	for i, d := range all {
		words[i] = phrases[d]
	}
	return " (they differ in " + strings.Join(words, ", ") + ")"
}

// Distance is how many octets must be added, taken away, changed or swapped with
// the next to make b of a (optimal string alignment): what somebody may have
// meant who wrote another word.
func Distance(a, b string) int {
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next := make([]int, len(b)+1)
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j+1]+1, next[j]+1, row[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
