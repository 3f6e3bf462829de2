//go:build linux

package lab

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// Browser is a real Chromium without a window and with an empty profile.
type Browser struct {
	scope Scope
	ctx   context.Context

	mu       sync.Mutex
	route    []string          // every page that it was sent to, in order
	pages    map[string]string // their addresses by request
	failures []string          // pages that could not be loaded, and why
	console  []string          // what the browser itself says in its console
}

// pageLoad bounds one step of a person at the browser.
const pageLoad = 90 * time.Second

// StartBrowser starts a browser in a network. hosts maps names, or names with a
// port, to where they lead; no other name exists.
func StartBrowser(s Scope, n *Net, hosts map[string]string) *Browser {
	s.Helper()
	var rules []string
	// The first rule that fits counts: a name with a port before a pattern.
	for _, from := range slices.SortedFunc(maps.Keys(hosts), func(a, b string) int { return cmp.Compare(len(b), len(a)) }) {
		rules = append(rules, "MAP "+from+" "+hosts[from])
	}
	rules = append(rules, "MAP * ~NOTFOUND", "EXCLUDE 127.0.0.1", "EXCLUDE localhost")
	dir := TempDir(s, "browser")
	cmd := n.Command("chromium",
		"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage",
		"--no-first-run", "--no-default-browser-check", "--disable-extensions", "--disable-sync",
		"--disable-background-networking", "--disable-component-update", "--disable-default-apps",
		"--disable-features=OptimizationHints,MediaRouter,Translate,HttpsUpgrades,HttpsFirstBalancedModeAutoEnable",
		"--metrics-recording-only", "--disable-breakpad", "--password-store=basic", "--use-mock-keychain",
		"--lang=en", "--accept-lang=en",
		"--user-data-dir="+dir, "--remote-debugging-port=0",
		"--host-resolver-rules="+strings.Join(rules, ","), "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_CACHE_HOME="+dir, "DBUS_SESSION_BUS_ADDRESS=/dev/null")
	process := Start(s, "chromium", cmd)
	var devtools *url.URL
	process.Await(s, "its debugging address is known", func() error {
		found := devtoolsLine.FindSubmatch(process.Output())
		if found == nil {
			return fmt.Errorf("no debugging address yet")
		}
		var err error
		devtools, err = url.Parse(string(found[1]))
		return err
	})
	if n != Here {
		devtools.Host = Publish(s, Here, "127.0.0.1:0", n, devtools.Host)
	}
	remote, cancel := chromedp.NewRemoteAllocator(context.Background(), devtools.String(), chromedp.NoModifyURL)
	s.Cleanup(cancel)
	return newTab(s, remote)
}

// Tab opens another tab of the same browser, with the same cookies.
func (b *Browser) Tab() *Browser { return newTab(b.scope, b.ctx) }

func newTab(s Scope, parent context.Context) *Browser {
	s.Helper()
	ctx, cancel := chromedp.NewContext(parent)
	s.Cleanup(cancel)
	b := &Browser{scope: s, ctx: ctx, pages: map[string]string{}}
	if err := chromedp.Run(ctx, network.Enable(), log.Enable()); err != nil {
		s.Fatalf("browser: %v", err)
	}
	chromedp.ListenTarget(ctx, b.record)
	return b
}

var devtoolsLine = regexp.MustCompile(`DevTools listening on (ws://\S+)`)

func (b *Browser) record(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch event := event.(type) {
	case *network.EventRequestWillBeSent:
		if event.Type == network.ResourceTypeDocument {
			at := event.Request.URL + event.Request.URLFragment
			b.route = append(b.route, at)
			b.pages[event.RequestID.String()] = at
		}
	case *log.EventEntryAdded:
		b.console = append(b.console, event.Entry.Text)
	case *network.EventLoadingFailed:
		if at := b.pages[event.RequestID.String()]; at != "" {
			b.failures = append(b.failures, event.ErrorText+" "+at)
		}
	}
}

// AwaitFailure returns, when a page could not be loaded, the browser's error and
// the page's address.
func (b *Browser) AwaitFailure() string {
	b.scope.Helper()
	var failure string
	Await(b.scope, "a page cannot be loaded", func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.failures) == 0 {
			return fmt.Errorf("every page was loaded: %s", strings.Join(b.route, " "))
		}
		failure = b.failures[0]
		return nil
	})
	return failure
}

// Console is what the browser says in its console, a line for each entry.
func (b *Browser) Console() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.console, "\n")
}

// Route is every page that the browser was sent to so far, in order.
func (b *Browser) Route() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.route...)
}

// Try performs actions and returns what went wrong.
func (b *Browser) Try(actions ...chromedp.Action) error {
	ctx, cancel := context.WithTimeout(b.ctx, pageLoad)
	defer cancel()
	for _, action := range actions {
		err := chromedp.Run(ctx, action)
		for err != nil && ctx.Err() == nil && replaced(err) {
			err = chromedp.Run(ctx, action)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// replaced says whether an action failed because the page on which it had found
// its element made room for the next one. It had done nothing yet then: the
// browser looks the element up before it clicks or types.
func replaced(err error) bool {
	var e *cdproto.Error
	return errors.As(err, &e) && slices.ContainsFunc([]string{
		"ode with given id", "object with given id", "context with specified id",
		"Execution context was destroyed", "Node is detached from document",
	}, func(text string) bool { return strings.Contains(e.Message, text) })
}

// Do performs actions; what goes wrong fails the test with the page it saw.
func (b *Browser) Do(actions ...chromedp.Action) {
	b.scope.Helper()
	if err := b.Try(actions...); err != nil {
		b.scope.Fatalf("browser: %v\n%s", err, b.Page())
	}
}

// Open opens a page.
func (b *Browser) Open(url string) {
	b.scope.Helper()
	b.Do(chromedp.Navigate(url))
}

// Press clicks on an element and waits for nothing.
func (b *Browser) Press(element string) {
	b.scope.Helper()
	b.Do(chromedp.Click(element, chromedp.ByQuery))
}

// Click clicks on an element and waits for the one that the next page shows.
func (b *Browser) Click(element, next string) {
	b.scope.Helper()
	b.Do(chromedp.Click(element, chromedp.ByQuery), chromedp.WaitVisible(next, chromedp.ByQuery))
}

// Text is the text of an element, which it waits for.
func (b *Browser) Text(element string) string {
	b.scope.Helper()
	var text string
	b.Do(chromedp.WaitVisible(element, chromedp.ByQuery), chromedp.Text(element, &text, chromedp.ByQuery))
	return strings.TrimSpace(text)
}

// URL is the address that the browser shows.
func (b *Browser) URL() string {
	b.scope.Helper()
	var at string
	b.Do(chromedp.Location(&at))
	return at
}

// Origin is the origin that the browser shows.
func (b *Browser) Origin() string {
	b.scope.Helper()
	at, err := url.Parse(b.URL())
	if err != nil {
		b.scope.Fatalf("browser: %v", err)
	}
	return at.Scheme + "://" + at.Host
}

// LoginPage is where a provider's login page has what a person uses.
type LoginPage struct{ Username, Password, Button string }

// KeycloakPage is Keycloak's.
var KeycloakPage = LoginPage{Username: "#username", Password: "#password", Button: "#kc-login"}

// LogIn fills in the login page that the browser shows, and waits for the
// element that the page after the login has.
func (b *Browser) LogIn(page LoginPage, next string) {
	b.scope.Helper()
	b.Do(
		chromedp.WaitVisible(page.Username, chromedp.ByQuery),
		chromedp.SendKeys(page.Username, Username, chromedp.ByQuery),
		chromedp.SendKeys(page.Password, Password, chromedp.ByQuery),
		chromedp.Click(page.Button, chromedp.ByQuery),
		chromedp.WaitVisible(next, chromedp.ByQuery),
	)
}

// Page is what the browser shows, for a message: the address and the text.
func (b *Browser) Page() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	var at, text string
	if err := chromedp.Run(ctx, chromedp.Location(&at), chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &text)); err != nil {
		return fmt.Sprintf("the page could not be read: %v\nroute: %s", err, strings.Join(b.Route(), "\n       "))
	}
	return fmt.Sprintf("the browser shows %s\n%s\nroute: %s", at, text, strings.Join(b.Route(), "\n       "))
}
