//go:build e2e && linux

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"onedoor/e2e/lab"
)

// The set-ups without a door.

// forwarding is what a right nginx tells the provider.
const forwarding = `proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Forwarded-Port $server_port;`

// plainServer is nginx before the provider, on port 8080 of both networks.
func plainServer(inside string) string {
	return "server { listen 192.0.2.1:8080; listen 198.51.100.1:8080; " + inside + " }"
}

// tlsServer is the same with TLS on port 443, with a good certificate.
func (x *exhibit) tlsServer(c certificate, inside string) (server, ca string) {
	x.Helper()
	cert, key, ca := c.write(x)
	return fmt.Sprintf("server { listen 192.0.2.1:443 ssl; listen 198.51.100.1:443 ssl; ssl_certificate %s; ssl_certificate_key %s; %s }", cert, key, inside), ca
}

const toProvider = "location / { proxy_pass http://127.0.0.1:8080; "

func galleryDirect() map[string]func(*exhibit) report {
	local := []string{"--issuer", httpPublic + "/realms/local"}
	client := func(id string, uris ...string) []string {
		args := []string{"--issuer", httpPublic + "/realms/local", "--client-id", id}
		for _, uri := range uris {
			args = append(args, "--redirect-uri", uri)
		}
		return args
	}
	// direct is the provider at both ends of the edge, and nothing else.
	direct := func(args ...string) func(*exhibit) report {
		return func(x *exhibit) report {
			x.networks(nil)
			x.publish(both...)
			return x.doctor(args...)
		}
	}
	// inside is the same with other names in the app's network.
	inside := func(hosts map[string]string, args ...string) func(*exhibit) report {
		return func(x *exhibit) report {
			x.networks(hosts)
			x.publish(both...)
			return x.doctor(args...)
		}
	}
	// behind is nginx before the provider, without TLS.
	behind := func(server string, args ...string) func(*exhibit) report {
		return func(x *exhibit) report {
			x.networks(nil)
			x.nginx(plainServer(server))
			return x.doctor(args...)
		}
	}
	// secure is nginx before the provider, with TLS.
	secure := func(c certificate, server string, trust bool, args ...string) func(*exhibit) report {
		return func(x *exhibit) report {
			x.networks(nil)
			config, ca := x.tlsServer(c, server)
			x.nginx(config)
			if trust {
				args = append([]string{"--ca-file", ca}, args...)
			}
			return x.doctor(args...)
		}
	}
	tls := []string{"--issuer", tlsPublic + "/realms/tls"}
	good := certificate{}
	return map[string]func(*exhibit) report{
		"seed-loopback":        inside(map[string]string{"auth.localhost": "127.0.0.1"}, local...),
		"unknown-inside":       inside(map[string]string{"auth.localhost": ""}, local...),
		"token-leg":            inside(map[string]string{"auth.localhost": ""}, "--issuer", httpPublic+"/realms/local", "--discovery", atServer+"/realms/local"),
		"seed-mistyped-tenant": direct(client("atlas-relay", httpPublic+"/tenants/acme/callback", httpPublic+"/tenants/globex/callback")...),
		"internal-issuer":      direct("--issuer", atServer+"/realms/follows"),
		"localhost-inside": func(x *exhibit) report {
			x.networks(nil)
			lab.Publish(x, x.desk, "127.0.0.1:8080", x.edge, "127.0.0.1:8080") // a published port
			return x.doctor("--issuer", "http://localhost:8080/realms/follows")
		},
		"hairpin": func(x *exhibit) report {
			x.networks(map[string]string{"auth.localhost": publicDoor})
			x.publish(both...)
			x.app.Drop(x, publicDoor, x.edge)
			return x.doctor(local...)
		},
		"not-started": func(x *exhibit) report {
			x.networks(map[string]string{"auth.localhost": internalDoor})
			return x.doctor(local...)
		},
		"bad-gateway": behind("location / { proxy_pass http://127.0.0.1:9; }", local...),
		"slow":        slowProvider,

		"follows-host":           direct("--issuer", httpPublic+"/realms/follows", "--discovery", atServer+"/realms/follows"),
		"follows-host-authentik": authentikDirect("--issuer", httpPublic+authentikIssuer, "--discovery", atServer+authentikIssuer),
		"issuer-slash-authentik": authentikDirect("--issuer", httpPublic+strings.TrimSuffix(authentikIssuer, "/")),
		"hostname-internal":      direct("--issuer", httpPublic+"/realms/internal", "--discovery", atServer+"/realms/internal"),
		"issuer-slash":           direct("--issuer", httpPublic+"/realms/local/"),
		"issuer-host": func(x *exhibit) report {
			x.networks(map[string]string{"sso.localhost": internalDoor})
			x.publish(both...)
			return x.doctor("--issuer", httpPublic+"/realms/sso", "--also", "http://sso.localhost:8080")
		},
		"two-issuers": direct("--issuer", httpPublic+"/realms/local", "--discovery", atServer+"/realms/follows"),
		"wrong-realm": direct("--issuer", httpPublic+"/realms/atlass"),
		"auth-prefix": behind("location /auth/ { proxy_pass http://127.0.0.1:8080/; "+forwarding+" }", "--issuer", httpPublic+"/realms/prefixed"),

		"http-behind-tls": secure(good, toProvider+"proxy_set_header Host $http_host; }", true, "--issuer", tlsPublic+"/realms/follows"),
		"proxy-host":      behind(toProvider+"}", "--issuer", httpPublic+"/realms/follows"),
		"proxy-port":      behind(toProvider+"proxy_set_header Host $host; }", "--issuer", httpPublic+"/realms/follows"),
		"http-port":       direct("--issuer", "https://auth.example.test:8080/realms/tls"),
		"redirected": func(x *exhibit) report {
			x.networks(nil)
			config, ca := x.tlsServer(good, toProvider+forwarding+" }")
			x.nginx(config + plainServer("return 301 https://auth.example.test$request_uri;"))
			return x.doctor("--ca-file", ca, "--issuer", "http://auth.example.test:8080/realms/tls")
		},
		"forward-auth": behind(toProvider+`auth_request /check; error_page 401 = @login; } location = /check { internal; return 401; } location @login { return 302 /oauth2/start?rd=$request_uri; }`, local...),

		"expired":          secure(certificate{from: -48 * time.Hour, until: -24 * time.Hour}, toProvider+forwarding+" }", true, tls...),
		"private-ca":       secure(good, toProvider+forwarding+" }", false, tls...),
		"wrong-name":       secure(certificate{name: "www.example.test"}, toProvider+forwarding+" }", true, tls...),
		"incomplete-chain": secure(certificate{between: true}, toProvider+forwarding+" }", true, tls...),
		"clock":            wrongClock,

		"jwks-missing": behind(toProvider+forwarding+" } location ~ /certs$ { return 404; }", local...),
		"jwks-empty":   behind(toProvider+forwarding+` } location ~ /certs$ { default_type application/json; return 200 '{"keys":[]}'; }`, local...),
		"jwks-other": func(x *exhibit) report {
			x.networks(nil)
			x.nginx("server { listen 192.0.2.1:8080; " + toProvider + forwarding + " } } " +
				"server { listen 198.51.100.1:8080; rewrite ^/realms/local/protocol/openid-connect/certs$ /realms/follows/protocol/openid-connect/certs break; " + toProvider + forwarding + " } }")
			return x.doctor(local...)
		},
		"token-issuer": tokenIssuer,

		"client-id":         direct(client("atlas-wbe", "http://acme.localhost:3000/callback")...),
		"redirect-slash":    direct(client("slash", "https://acme.example.test/callback")...),
		"redirect-case":     direct(client("case", "https://acme.example.test/callback")...),
		"redirect-port":     direct(client("port", "https://acme.example.test:8443/callback")...),
		"redirect-scheme":   direct(client("scheme", "http://acme.example.test/callback")...),
		"redirect-query":    direct(client("query", "https://acme.example.test/callback?from=home")...),
		"wildcard":          direct(client("star", "https://acme.example.test/callback")...),
		"wildcard-path":     direct(client("below", "https://acme.example.test/callback")...),
		"cors":              direct(append(client("spa", "https://spa.example.test/callback"), "--app-origin", "https://spa.example.test")...),
		"secure-cookie":     goApp("go-cookie", "http://acme.example.test:3000", "Host $http_host; proxy_cookie_flags ~ secure", "--client-id", "go-cookie"),
		"client-of-another": goApp("borealis-web", "http://acme.localhost:3000", "Host $http_host", "--client-id", "go-app", "--redirect-uri", "http://acme.localhost:3000/api/auth/callback"),
		"other-host":        goApp("go-app", "http://acme.localhost:3000", "Host app:3000", "--client-id", "go-app"),
		"app-scheme":        goApp("go-tls", "https://acme.example.test", "Host $http_host", "--client-id", "go-tls"),

		"right-direct": direct(client("atlas-web", "http://acme.localhost:3000/callback")...),
		"right-https":  secure(good, toProvider+forwarding+" }", true, append(tls, "--client-id", "atlas-web", "--redirect-uri", "https://acme.example.test/callback")...),
	}
}

// proxied serves the provider at the edge through a handler of the test's.
func (x *exhibit) proxied(around func(http.Handler) http.Handler) {
	x.Helper()
	to, err := url.Parse(x.keycloak.Origin)
	if err != nil {
		x.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ModifyResponse: func(r *http.Response) error { r.Header.Del("Date"); return nil },
	}
	for _, a := range both {
		lab.Serve(x, x.edge.Listen(x, a), around(proxy))
	}
}

func slowProvider(x *exhibit) report {
	x.networks(nil)
	x.proxied(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-time.After(4 * time.Second):
			case <-r.Context().Done():
			}
			h.ServeHTTP(w, r)
		})
	})
	return x.doctor("--issuer", httpPublic+"/realms/local")
}

func wrongClock(x *exhibit) report {
	x.networks(nil)
	x.proxied(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Date", time.Now().Add(-2*time.Hour).UTC().Format(http.TimeFormat))
			h.ServeHTTP(w, r)
		})
	})
	return x.doctor("--issuer", httpPublic+"/realms/local")
}

// tokenIssuer fetches a real token under the internal name.
func tokenIssuer(x *exhibit) report {
	x.networks(nil)
	x.publish(both...)
	client := lab.HTTPClient(lab.DialTo(x.app, internalDoor+":8080"))
	resp, err := client.PostForm(atServer+"/realms/follows/protocol/openid-connect/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"machine"}, "client_secret": {clientSecret},
	})
	if err != nil {
		x.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		x.Fatal(err)
	}
	var tokens struct {
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &tokens); err != nil || tokens.Access == "" {
		x.Fatalf("no token: %s %s", resp.Status, body)
	}
	file := filepath.Join(lab.TempDir(x, "token"), "token")
	if err := os.WriteFile(file, []byte(tokens.Access), 0o600); err != nil {
		x.Fatal(err)
	}
	r := x.doctor("--issuer", httpPublic+"/realms/follows", "--token", file)
	for part := range strings.SplitSeq(tokens.Access, ".") {
		if strings.Contains(r.text, part) {
			x.Error("a part of the token is in the report")
		}
	}
	return r
}

// authentikDirect is the stand-in with authentik's layout, at both ends.
func authentikDirect(args ...string) func(*exhibit) report {
	return func(x *exhibit) report {
		x.networks(nil)
		origin := startAuthentik(x.T, directClient, "https://acme.example.test/callback")
		for _, a := range both {
			lab.Publish(x, x.edge, a, lab.Here, strings.TrimPrefix(origin, "http://"))
		}
		return x.doctor(args...)
	}
}

// goApp is a real app, examples/go-oidc, behind nginx at its site. host is what
// nginx tells it of the person's address.
func goApp(clientID, site, host string, args ...string) func(*exhibit) report {
	return func(x *exhibit) report {
		x.networks(nil)
		x.publish(both...)
		program := filepath.Join(lab.TempDir(x, "app"), "app")
		build := exec.Command("go", "build", "-o", program, "./examples/go-oidc")
		build.Dir = lab.Root()
		if out, err := build.CombinedOutput(); err != nil {
			x.Fatalf("%v\n%s", err, out)
		}
		cmd := x.app.Command(program)
		cmd.Env = append(os.Environ(), "HOST="+appEnd, "PORT=3000", "OIDC_ISSUER="+httpPublic+"/realms/local", "OIDC_CLIENT_ID="+clientID, "OIDC_CLIENT_SECRET="+clientSecret)
		app := lab.Start(x, "app", cmd)
		app.Await(x, "it listens", func() error {
			conn, err := x.edge.DialContext(x.Context(), "tcp", appEnd+":3000")
			if err == nil {
				conn.Close()
			}
			return err
		})
		inside := "location / { proxy_pass http://" + appEnd + ":3000; proxy_set_header " + host + "; }"
		config := "server { listen 192.0.2.1:3000; " + inside + " }"
		if strings.HasPrefix(site, "https:") {
			var ca string
			config, ca = x.tlsServer(certificate{name: "acme.example.test"}, inside)
			args = append([]string{"--ca-file", ca}, args...)
		}
		x.nginx(config)
		return x.doctor(append([]string{"--issuer", httpPublic + "/realms/local", "--login-url", site + "/login"}, args...)...)
	}
}
