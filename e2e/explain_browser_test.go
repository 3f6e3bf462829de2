//go:build e2e && linux

package e2e

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"onedoor/e2e/lab"
)

// provokeChromium reads what Chromium shows in the place of a page, and what it
// says in its console.
func provokeChromium(t *testing.T, provoked *provocations) {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", aPage)
	mux.HandleFunc("/again", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
	mux.HandleFunc("/form", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", "form-action 'none'")
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<!doctype html><form action="http://auth.localhost/" method="post"><button>Log in</button></form>`)
	})
	l := lab.Here.Listen(t, "127.0.0.1:0")
	lab.Serve(t, l, mux)
	pki := newPKI(t)
	overTLS := lab.Here.Listen(t, "127.0.0.1:0")
	lab.Serve(t, tls.NewListener(overTLS, &tls.Config{GetCertificate: pki.certificate}), mux)
	site := "http://" + l.Addr().String()
	browser := lab.StartBrowser(t, lab.Here, map[string]string{
		"private.test": overTLS.Addr().String(), "plain.test": l.Addr().String(), "auth.localhost": l.Addr().String(),
		"down.test": fmt.Sprintf("127.0.0.1:%d", lab.FreePort(t)),
	})
	for _, a := range []struct{ id, at string }{
		{"browser-no-name", "http://server:8080/realms/atlas"},
		{"browser-refused", "http://down.test/"},
		{"redirect-loop", site + "/again"},
		{"unknown-ca", "https://private.test/"},
		{"https-to-http", "https://plain.test/"},
	} {
		t.Run(a.id, func(t *testing.T) {
			failed := browser.Try(chromedp.Navigate(a.at))
			if failed == nil {
				t.Fatalf("%s is shown", a.at)
			}
			provoked.knows(t, a.id, failed.Error())
			provoked.awaitKnown(t, a.id, browser.Page)
		})
	}
	for _, a := range []struct{ id, page, script string }{
		{"cors", "/", `fetch("http://auth.localhost/")`},
		{"cors", "/", `const r = new XMLHttpRequest(); r.open("GET", "http://auth.localhost/"); r.send()`},
		{"browser-no-name", "/", `fetch("http://server:8080/")`},
		{"browser-refused", "/", `fetch("http://down.test/")`},
		{"form-action", "/form", `document.querySelector("button").click()`},
	} {
		t.Run(a.id+" in the console", func(t *testing.T) {
			browser.Open(site + a.page)
			before := len(browser.Console())
			if err := browser.Try(chromedp.Evaluate(a.script+"; 0", nil)); err != nil {
				t.Fatal(err)
			}
			provoked.awaitKnown(t, a.id, func() string { return browser.Console()[before:] })
		})
	}
}
