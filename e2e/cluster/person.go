//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"time"

	"onedoor/e2e/lab"
)

// reloadAfter is how long a person, or an app, looks at an error before asking
// again.
const reloadAfter = 150 * time.Millisecond

// person is somebody at a browser, with an address of their own, and the app
// that they log in to. Nobody keeps a connection: whom a request reaches is
// nginx's choice each time.
type person struct {
	*crowd
	username string
	rng      *rand.Rand
	dialer   *net.Dialer
	browser  *http.Client
	app      *http.Client
	before   func(leg string) // called before each leg, where it is there
}

func newPerson(c *crowd, number int, username string, rng *rand.Rand) *person {
	// All of 127.0.0.0/8 is this machine: an address each, as on the Internet, so
	// that what the provider counts by address counts people.
	address := net.IPv4(127, byte(10+number>>16), byte(number>>8), byte(number)) //nolint:gosec // its octets
	p := &person{crowd: c, username: username, rng: rng, dialer: &net.Dialer{LocalAddr: &net.TCPAddr{IP: address}}}
	p.app = lab.HTTPClient(p.dial)
	p.forget()
	return p
}

// forget gives the person a new browser: without cookies, and so without a
// session at the provider.
func (p *person) forget() {
	jar, _ := cookiejar.New(nil) // never an error
	p.browser = lab.HTTPClient(p.dial)
	p.browser.Jar = lab.SecureJar{CookieJar: jar}
}

// dial leads every name to the front.
func (p *person) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return p.dialer.DialContext(ctx, network, p.front)
}

// answer is the last answer to a request, and the way that it came.
type answer struct {
	status       int
	location     string
	body         string
	reference    string
	asked        []string  // the replicas that nginx asked, in order, in the last try
	began, ended time.Time // of the last try
	first        time.Time // the beginning of the first
	everAsked    []string  // the replicas of all tries
}

// by is the replica that answered.
func (a *answer) by() string {
	if len(a.asked) == 0 {
		return ""
	}
	return a.asked[len(a.asked)-1]
}

var errNoAnswer = errors.New("no answer but errors")

// ask makes a request until it is answered: what a person does who reloads a
// page that says that something is wrong, and an app that asks again. Each
// further try is in the entry.
func (p *person) ask(ctx context.Context, e *entry, leg string, client *http.Client, method, at string, fields url.Values) (*answer, error) {
	if p.before != nil {
		p.before(leg)
	}
	a := &answer{first: time.Now()}
	defer func() {
		if took := time.Since(a.first); took > e.slowest {
			e.slowest, e.slowestLeg = took, leg
		}
	}()
	for {
		wrong, err := p.try(ctx, a, client, method, at, fields)
		if err != nil {
			return a, err
		}
		a.everAsked = append(a.everAsked, a.asked...)
		e.asked = a.asked
		if wrong == "" {
			for _, r := range a.asked[max(0, len(a.asked)-1):] {
				e.note(p.names[r])
			}
			return a, nil
		}
		e.tries[leg+": "+wrong]++
		if leg == legToken {
			e.appTries++
		}
		if time.Since(a.first) > p.patience {
			return a, fmt.Errorf("%w for %s; the last: %s %s", errNoAnswer, p.patience, wrong, shorten(a.body))
		}
		pause(ctx, reloadAfter)
	}
}

// try makes one request. wrong says why another one is due.
func (p *person) try(ctx context.Context, a *answer, client *http.Client, method, at string, fields url.Values) (wrong string, err error) {
	var body io.Reader
	if fields != nil {
		body = strings.NewReader(fields.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, at, body)
	if err != nil {
		return "", err
	}
	if client == p.browser {
		r.Header.Set("Accept", "text/html")
	} else {
		r.SetBasicAuth(url.QueryEscape(p.clientID), url.QueryEscape(p.secret)) // RFC 6749 §2.3.1
	}
	if fields != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	a.began, a.asked, a.body, a.location, a.status, a.reference = time.Now(), nil, "", "", 0, ""
	resp, err := client.Do(r)
	a.ended = time.Now()
	if err != nil {
		return "no answer", nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	a.ended = time.Now()
	a.status, a.body, a.reference = resp.StatusCode, string(text), resp.Header.Get("X-Request-Id")
	if asked := resp.Header.Get(askedHeader); asked != "" {
		a.asked = strings.Split(asked, ", ")
	}
	if to, none := resp.Location(); none == nil {
		a.location = to.String()
	}
	switch {
	case err != nil:
		return "half an answer", nil
	case a.status >= 500:
		return fmt.Sprint(a.status), nil
	}
	return "", nil
}

// think is the time between two legs: mostly none, sometimes that of a person.
func (p *person) think(ctx context.Context) {
	if p.rng.IntN(3) == 0 {
		pause(ctx, time.Duration(p.rng.Int64N(int64(p.thinking)+1)))
	}
}

// pause is a person's or the schedule's; no test waits for anything by it.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

var markup = regexp.MustCompile(`(?s)<head>.*?</head>|<script.*?</script>|<[^>]*>`)

// shorten is what a page says to whoever reads it, or the beginning of it.
func shorten(s string) string {
	s = markup.ReplaceAllString(s, " ")
	s = strings.Join(strings.Fields(s), " ")
	return s[:min(len(s), 300)]
}
