//go:build e2e && linux

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"onedoor/e2e/lab"
)

// wire stands between the door and Keycloak and notes what the door asks. It can
// hide that Keycloak knows PKCE.
type wire struct {
	origin   string
	hidePKCE bool

	mu    sync.Mutex
	asked []asked
}

type asked struct {
	path   string
	params url.Values
}

func newWire(t *testing.T, w *world, hidePKCE bool) *wire {
	t.Helper()
	keycloak, err := url.Parse(w.keycloak.Origin)
	if err != nil {
		t.Fatal(err)
	}
	tap := &wire{hidePKCE: hidePKCE}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(keycloak)
			r.Out.Host = r.In.Host
			for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
				r.Out.Header[name] = r.In.Header[name] // the door's, which ReverseProxy takes for a caller's
			}
			r.Out.Header.Del("Accept-Encoding") // so that the answer can be read
		},
		ModifyResponse: tap.answer,
	}
	l := lab.Here.Listen(t, "127.0.0.1:0")
	tap.origin = "http://" + l.Addr().String()
	lab.Serve(t, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		params := r.URL.Query()
		if r.Method == http.MethodPost {
			params, _ = url.ParseQuery(string(body))
		}
		tap.mu.Lock()
		tap.asked = append(tap.asked, asked{r.URL.Path, params})
		tap.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	return tap
}

// answer takes PKCE out of the metadata.
func (tap *wire) answer(resp *http.Response) error {
	if !tap.hidePKCE || !strings.Contains(resp.Request.URL.Path, "/.well-known/") || resp.StatusCode != http.StatusOK {
		return nil
	}
	var metadata map[string]json.RawMessage
	err := json.NewDecoder(resp.Body).Decode(&metadata)
	_ = resp.Body.Close()
	if err != nil {
		return err
	}
	delete(metadata, "code_challenge_methods_supported")
	text, err := json.Marshal(metadata)
	if err != nil {
		return err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Length")
	return nil
}

// last is the parameters of the last request whose path ends so.
func (tap *wire) last(t *testing.T, path string) url.Values {
	t.Helper()
	tap.mu.Lock()
	defer tap.mu.Unlock()
	for i := len(tap.asked) - 1; i >= 0; i-- {
		if strings.HasSuffix(tap.asked[i].path, path) {
			return tap.asked[i].params
		}
	}
	t.Fatalf("Keycloak was never asked for …%s", path)
	return nil
}

// times is how often Keycloak was asked for a path that ends so.
func (tap *wire) times(path string) (n int) {
	tap.mu.Lock()
	defer tap.mu.Unlock()
	for _, a := range tap.asked {
		if strings.HasSuffix(a.path, path) {
			n++
		}
	}
	return n
}

// through puts the wire between the door of a configuration and Keycloak.
func (tap *wire) through(w *world, config string) string {
	return strings.Replace(config, "upstream: "+w.keycloak.Origin, "upstream: "+tap.origin, 1)
}

// mustSay fails the test unless the door's log, which it writes in batches,
// names the rule that refused.
func mustSay(t *testing.T, door *lab.Door, rule string) {
	t.Helper()
	tick, late := time.NewTicker(50*time.Millisecond), time.After(20*time.Second)
	defer tick.Stop()
	for !strings.Contains(string(door.Output()), fmt.Sprintf(`"rule":%q`, rule)) {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("the door's log does not name %s", rule)
		}
	}
}

// serve starts the door with a whole configuration.
func (w *world) serve(t *testing.T, config string) *lab.Door {
	t.Helper()
	return lab.StartDoor(t, lab.DoorOptions{Net: lab.Here, Address: w.address(), Origin: w.public(), Config: config})
}
