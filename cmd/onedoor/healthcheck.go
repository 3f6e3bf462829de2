package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"onedoor/config"
)

const readyPath = "/onedoor/health/ready"

type healthcheckCommand struct {
	configFlag
	URL     string        `name:"url" placeholder:"URL" help:"The door's origin; by default a public listener of the configuration."`
	Timeout time.Duration `default:"3s" help:"How long to wait (${default})."`
}

// Run asks the door once. Exit code 0 says ready; 1 not ready or not there,
// which is what container runtimes expect of a health check.
func (h *healthcheckCommand) Run(t *terminal) error {
	target, host, err := h.target()
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(t.ctx, http.MethodGet, target, nil)
	if err != nil {
		return couldNotLook(fmt.Errorf("%q is not a URL", h.URL), "for example --url http://127.0.0.1:9000")
	}
	req.Host = host
	client := &http.Client{
		Timeout:       h.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: nil},
	}
	if h.URL == "" && strings.HasPrefix(target, "https:") {
		// The certificate is for the public name and the connection stays on
		// this machine; the answer is no secret and decides nothing but this
		// command's exit code.
		client.Transport = &http.Transport{TLSClientConfig: &tls.Config{ServerName: hostname(host), InsecureSkipVerify: true}}
	}
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return found(fmt.Errorf("%s: %w", target, err), "is onedoor running there?")
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return found(fmt.Errorf("%s: not ready: %s: %s", target, resp.Status, printable(body)), "the door is ready when it has the provider's metadata; its log says what it waits for")
	}
	fmt.Fprintln(t.out, "ready")
	return nil
}

// target is the URL to ask, and the Host to ask for, so that the door does not
// answer 421.
func (h *healthcheckCommand) target() (target, host string, err error) {
	if h.URL != "" {
		u, err := url.Parse(h.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", "", couldNotLook(fmt.Errorf("--url %q is not a URL", h.URL), "for example --url http://127.0.0.1:9000")
		}
		if u.Path == "" || u.Path == "/" {
			u.Path = readyPath
		}
		return u.String(), "", nil
	}
	c, err := config.Load(h.Config, os.LookupEnv)
	if err != nil {
		return "", "", err
	}
	var l *config.Listener
	for i, other := range c.Listeners {
		public := slices.Contains(other.Serves, "public")
		// One without a certificate is asked more simply.
		if public && (l == nil || l.TLS != nil && other.TLS == nil) {
			l = &c.Listeners[i]
		}
	}
	scheme := "http"
	if l.TLS != nil {
		scheme = "https"
	}
	_, host, _ = strings.Cut(c.PublicURL, "://")
	return scheme + "://" + local(l.Address) + readyPath, host, nil
}

// local is an address of this machine for a listener's address.
func local(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.Is6() && !ip.Is4In6() {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// hostname is the host of an authority, without its port.
func hostname(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// printable is the beginning of an answer on one line.
func printable(body []byte) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\uFFFD' {
			return ' '
		}
		return r
	}, string(body))
	text = strings.Join(strings.Fields(text), " ")
	if len([]rune(text)) > 200 {
		text = string([]rune(text)[:200]) + "…"
	}
	return text
}
