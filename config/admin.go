package config

import (
	"fmt"
	"net"
	"strings"
)

// minToken is the length below which a token can be guessed: 16 characters of a
// generated one are 96 bits.
const minToken = 16

// admin holds the listener for operators against its rules.
func (d *decoder) admin(c *Config) {
	a := &c.Admin
	d.secret("admin.token", &a.Token, "admin.token_file", &a.TokenFile)
	if a.Open = d.given("admin") || a.Token != ""; !a.Open {
		return
	}
	if n := len(a.Token); n > 0 && n < minToken {
		path := "admin.token"
		if d.given("admin.token_file") {
			path = "admin.token_file"
		}
		d.wrong(path, fmt.Sprintf("a token of %d characters can be guessed", n), "make one: openssl rand -base64 32")
	}
	d.address("admin.listen", a.Listen)
	for i, l := range c.Listeners {
		if l.Address != "" && l.Address == a.Listen {
			path := "admin.listen"
			if !d.given(path) && d.given("listen") {
				path = "listen"
			} else if !d.given(path) {
				path = index("listeners", i) + ".address"
			}
			d.wrong(path, fmt.Sprintf("%s would serve the admin API and the door", l.Address), "operators have a listener of their own, 127.0.0.1:9001 by default")
		}
	}
	for i, host := range a.Hosts {
		at := index("admin.hosts", i)
		switch {
		case host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789-._:[]") != "":
			d.wrong(at, fmt.Sprintf("%q is not a host name in lower case", host), "as it stands in the URL, without scheme and port")
		case strings.Contains(host, ":") && net.ParseIP(strings.Trim(host, "[]")) == nil:
			d.wrong(at, fmt.Sprintf("%q has a port", host), "leave it out: a host counts at every port")
		}
	}
	if a.TLS != nil {
		d.tls("admin.tls", a.TLS)
		return
	}
	if host, _, err := net.SplitHostPort(a.Listen); err == nil && !isLoopback(host) && !a.Insecure && !d.said["admin.tls"] {
		d.wrong("admin.listen", a.Listen+" can be reached from other machines, and tokens would travel in the clear", "give admin.tls, listen on 127.0.0.1, or write insecure: true in admin")
	}
}

// OpenMetrics says whether metrics are read without a token.
func (a Admin) OpenMetrics() bool {
	host, _, err := net.SplitHostPort(a.Listen)
	return a.Metrics == "open" || a.Metrics == "" && err == nil && isLoopback(host)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
