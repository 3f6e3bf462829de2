//go:build linux

package lab

import (
	"context"
	"net"
	"net/http"
	"time"
)

// HTTPClient is a client that follows no redirect, keeps no connection, and
// connects as dial says.
func HTTPClient(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	return &http.Client{
		Timeout:       20 * time.Second,
		Transport:     &http.Transport{DialContext: dial, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// DialTo is a dial function for which every name and port is one address: what
// an /etc/hosts and a port mapping do for a program.
func DialTo(n *Net, address string) func(ctx context.Context, network, _ string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return n.DialContext(ctx, network, address)
	}
}

// Serve serves handler on a listener for as long as the scope lives.
func Serve(s Scope, l net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	s.Cleanup(func() { _ = server.Close() })
}
