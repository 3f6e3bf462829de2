//go:build e2e && linux

package e2e

import (
	"bytes"
	"fmt"
)

// tally counts verdicts by group of vectors and rule.
type tally struct {
	groups  []string
	counts  map[string]*[ruleCount]outcome
	secrets [ruleCount]int
	nginx   string // its version
}

type outcome struct{ asked, wrongPlace, wrongStatus, wrongHeaders int }

func newTally(vectors []relayVector) *tally {
	t := &tally{counts: map[string]*[ruleCount]outcome{}}
	for _, v := range vectors {
		if t.counts[v.Group] == nil {
			t.groups = append(t.groups, v.Group)
			t.counts[v.Group] = &[ruleCount]outcome{}
		}
	}
	return t
}

func (t *tally) count(group string, rule int, v verdict) {
	o := &t.counts[group][rule]
	o.asked++
	switch v {
	case wrongPlace:
		o.wrongPlace++
	case wrongStatus:
		o.wrongStatus++
	case wrongHeaders:
		o.wrongHeaders++
	case right:
	}
}

func (t *tally) total(rule int) (sum outcome) {
	for _, counts := range t.counts {
		sum.asked += counts[rule].asked
		sum.wrongPlace += counts[rule].wrongPlace
		sum.wrongStatus += counts[rule].wrongStatus
		sum.wrongHeaders += counts[rule].wrongHeaders
	}
	return sum
}

// about says in words what a group of vectors asks.
var about = map[string]string{
	"query":        "the query arrives octet for octet",
	"label":        "tenants, and labels that are none",
	"anchor":       "paths that only look like the callback",
	"host":         "other Hosts, several, none",
	"header":       "forwarding headers of a stranger",
	"method":       "methods, and form_post",
	"raw":          "octets that no URL may hold",
	"tenant-ok":    "logins that must work",
	"returnto-ok":  "ways back that must work",
	"returnto-bad": "ways back that leave the site or carry a code",
}

// page is docs/seed-rules.md.
func (t *tally) page() []byte {
	var b bytes.Buffer
	fmt.Fprint(&b, `<!-- Measured by e2e/seedrules_test.go: go test -tags e2e ./e2e -run SeedsOwnRules -update -->

# The relay's old rules, and the door

Before onedoor, tenants were relayed by a few lines at the edge: an nginx block in
development, two CloudFront functions in production. Both are in
[e2e/seedrules](../e2e/seedrules), written anew from their description. `+"`make e2e`"+` runs
them and the door over the same requests, the shared vectors in
[testdata/vectors/relay.json](../testdata/vectors/relay.json): nginx is Debian's, the functions run in
Node with an event as CloudFront documents it.

Each cell is *wrong place · wrong status · missing headers* of the requests asked, each answer counted
once, for the worst that is wrong with it:

- **wrong place**: the browser is sent elsewhere than to the one right address, or is sent on where
  the request had to be refused, or is refused (or met by a crash) where a login had to work;
- **wrong status**: the right place, by 301, which a browser may keep for ever, or so that a form is lost;
- **missing headers**: a redirect that holds a code, without `+"`Cache-Control: no-store` and `Referrer-Policy: no-referrer`"+`.

`)
	fmt.Fprintf(&b, "| requests | %s | CloudFront functions | onedoor |\n|---|---|---|---|\n", t.nginx)
	cell := func(o outcome) string {
		if o.asked == 0 {
			return "–"
		}
		return fmt.Sprintf("%d · %d · %d of %d", o.wrongPlace, o.wrongStatus, o.wrongHeaders, o.asked)
	}
	for _, group := range t.groups {
		c := t.counts[group]
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", about[group], cell(c[byNginx]), cell(c[byFunction]), cell(c[byDoor]))
	}
	fmt.Fprintf(&b, "| **all** | **%s** | **%s** | **%s** |\n", cell(t.total(byNginx)), cell(t.total(byFunction)), cell(t.total(byDoor)))
	fmt.Fprintf(&b, "| codes in the access log | %d | (not the functions') | %d |\n", t.secrets[byNginx], t.secrets[byDoor])
	fmt.Fprint(&b, `
What is left out, so that nobody is measured by what was never promised: tenants with a domain of their
own, which the old rules do not know; for the functions, requests that no edge hands to a function (octets that are no
URL, no Host, an absolute target) and the development fixture. The edge's own refusals (a Host that is not
one of its names, a method that it does not let through) count as the functions' own. nginx ends TLS itself here: behind
a terminator every one of its redirects would go to http.

The nginx block has no way back at all, which is most of its wrong places; the functions take any label for a
tenant, and answer a URL without a query by one with a bare question mark.

What the old rules do well, the door keeps: the query is copied, the provider knows one address, and a
new tenant is no work at the provider.
`)
	return b.Bytes()
}
