//go:build linux

package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"onedoor/e2e/lab"
)

// embeddedPage is the login page of the provider inside.
var embeddedPage = lab.LoginPage{Username: "#username", Password: "#password", Button: "button[type=submit]"}

// serveSite is every tenant's site, for the browser: it says that it was reached.
func serveSite(s lab.Scope) (port int) {
	s.Helper()
	l := lab.Here.Listen(s, "127.0.0.1:0")
	lab.Serve(s, l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, `<!doctype html><p id="landed">landed</p>`) // the browser may have gone
	}))
	return l.Addr().(*net.TCPAddr).Port
}

// visit is a scope that ends before the test does.
type visit struct {
	lab.Scope
	undo []func()
}

// Cleanup implements lab.Scope.
func (v *visit) Cleanup(f func()) { v.undo = append(v.undo, f) }

func (v *visit) close() {
	for i := len(v.undo) - 1; i >= 0; i-- {
		v.undo[i]()
	}
}

// browse is a login of a real browser, in the middle of which every replica is
// killed, one at a time: two while the browser shows the login page, so that none
// but one can know of it, and that one while the app has its code in the hand.
func (c *cluster) browse(ctx context.Context) {
	f := c.anyFleet()
	page := lab.KeycloakPage
	if f == c.fleets[0] {
		page = embeddedPage
	}
	v := &visit{Scope: quiet{c.scope}}
	defer v.close()
	browser := lab.StartBrowser(v, lab.Here, map[string]string{"*.localhost": "127.0.0.1"})
	p := c.person(f, 5000+c.reloads, 0)
	tenant := c.pool.steady[0]
	redirectURI, state, nonce := fmt.Sprintf(p.site, tenant)+"/callback", rand.Text(), rand.Text()
	e := p.ledger.begin(tenant, time.Now())
	browser.Open(p.request(redirectURI, state, nonce))
	browser.Text(page.Button)
	order := c.rng.Perm(len(f.replicas))
	for _, i := range order[:len(order)-1] {
		c.killThis(f, f.replicas[i], false)
	}
	browser.LogIn(page, "#landed")
	last := f.replicas[order[len(order)-1]]
	c.killThis(f, last, false)
	at, err := url.Parse(browser.URL())
	end := losing("the browser is at %s: %v", browser.URL(), err)
	if err == nil && at.Query().Get("state") == state && at.Query().Get("code") != "" {
		end = p.redeem(ctx, e, at.Query().Get("code"), redirectURI, nonce)
	}
	p.ledger.end(e, end.outcome, end.why, time.Now())
	c.say("a browser logged in at %s although each replica was killed meanwhile: %v", f.name, end.outcome)
}
