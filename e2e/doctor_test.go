//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"onedoor/doctor"
	"onedoor/e2e/lab"
)

// TestTheBrowserSaysWhatItCannotLoad opens the doctor's page in a real browser,
// beside which the doctor runs; the provider is reached under one of two names.
func TestTheBrowserSaysWhatItCannotLoad(t *testing.T) {
	desk := lab.NewNet(t, "desk", map[string]string{"server": "192.0.2.9", "auth.localhost": "127.0.0.1"})
	server := desk.Listen(t, "127.0.0.1:8080")
	lab.Serve(t, server, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := "http://" + r.Host
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			fmt.Fprintf(w, `{"issuer":%q,"authorization_endpoint":"%s/authorize","token_endpoint":"%s/token","jwks_uri":"%s/jwks"}`, origin, origin, origin, origin)
		case "/jwks":
			fmt.Fprint(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":"k1","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`)
		case "/authorize", "/token":
			w.WriteHeader(http.StatusBadRequest)
		default:
			http.NotFound(w, r)
		}
	}))
	browser := lab.StartBrowser(t, desk, map[string]string{"auth.localhost": "127.0.0.1"})
	look := func(t *testing.T, issuer string) doctor.Report {
		t.Helper()
		p := lab.Start(t, "doctor", desk.Command(lab.DoorProgram(t), "doctor", "--json", "--browser", "--issuer", issuer))
		var at string
		p.Await(t, "it prints the address to open", func() error {
			found := regexp.MustCompile(`http://127\.0\.0\.1:\d+/\w+/`).Find(p.Output())
			if found == nil {
				return fmt.Errorf("no address yet")
			}
			at = string(found)
			return nil
		})
		browser.Open(at)
		var r doctor.Report
		lab.Await(t, "the report is there", func() error {
			_, text, _ := strings.Cut(string(p.Output()), "\n{")
			return json.Unmarshal([]byte("{"+text), &r)
		})
		if text := browser.Text("#end"); !strings.HasPrefix(text, "Done.") {
			t.Errorf("the page ends with %q", text)
		}
		return r
	}
	t.Run("a name that it knows", func(t *testing.T) {
		if r := look(t, "http://auth.localhost:8080"); !r.OK {
			t.Errorf("found %+v", r.Findings)
		}
	})
	t.Run("a name of the private network", func(t *testing.T) {
		r := look(t, "http://server:8080")
		if len(r.Findings) != 1 || r.Findings[0].Cause != doctor.ReachBrowser || !strings.Contains(r.Findings[0].Check.Said, "private network") {
			t.Errorf("found %+v", r.Findings)
		}
	})
}
