package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// newTransport makes the one way to the provider. http.DefaultTransport keeps
// two idle connections to a host, and opens a new one for most requests under
// load; it also asks the environment for a proxy.
func newTransport(o Options, inside *pipe) (*http.Transport, error) {
	dialer := &net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}
	t := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &unread{Conn: c, timeout: o.AnswerTimeout}, nil
		},
		TLSHandshakeTimeout:   5 * time.Second,
		ResponseHeaderTimeout: o.AnswerTimeout,
		ExpectContinueTimeout: time.Second,
		MaxIdleConns:          512,
		MaxIdleConnsPerHost:   512,
		// Shorter than the keep-alive of every common server, so that we and not
		// they close: a request on a connection that is being closed is lost.
		IdleConnTimeout:    30 * time.Second,
		DisableCompression: true, // what the caller accepts is passed on, and what comes is passed back
		ForceAttemptHTTP2:  true,
		// A provider's answer may have long headers: tokens in Location, cookies.
		MaxResponseHeaderBytes: 256 << 10,
	}
	if inside != nil {
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return inside.dial(ctx) }
		return t, nil
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no PEM certificate", o.CAFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

// unread is a connection to a provider that may stop reading: then its requests
// end, as where it does not answer. (The transport waits for the answer only
// when it has sent all of the request.)
type unread struct {
	net.Conn
	timeout time.Duration
	mu      sync.Mutex
	until   time.Time
}

// Write implements net.Conn.
func (c *unread) Write(b []byte) (int, error) {
	c.mu.Lock()
	if now := time.Now(); c.until.Sub(now) < c.timeout-c.timeout/4 { // a timer for each write would cost more than most
		c.until = now.Add(c.timeout)
		_ = c.SetWriteDeadline(c.until) // of a connection that is closed
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// Address makes r, in place, a request to the provider: the URL's scheme and
// host are the upstream's, Host and the forwarding headers the public origin's.
// The path and query, and X-Forwarded-For, are the caller's to set.
func (p *Provider) Address(r *http.Request) {
	r.URL.Scheme, r.URL.Host = p.base.Scheme, p.base.Host
	r.Host = p.public.host
	r.Header["X-Forwarded-Host"] = []string{p.public.host}
	r.Header["X-Forwarded-Proto"] = []string{p.public.scheme}
	r.Header["X-Forwarded-Port"] = []string{p.public.port}
}

// RoundTrip sends a request to the provider, addressed with Address.
func (p *Provider) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.WithContext(r.Context())
	u := *r.URL
	out.URL, out.Header = &u, r.Header.Clone()
	if out.Header == nil {
		out.Header = http.Header{}
	}
	p.Address(out)
	return p.transport.RoundTrip(out)
}

// Transport is the way to the provider for requests that are addressed already.
func (p *Provider) Transport() http.RoundTripper { return p.transport }

// pipe is a listener in memory: the provider inside is spoken to as any other,
// so that streaming, upgrades and trailers work as they do over a network.
type pipe struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipe() *pipe { return &pipe{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *pipe) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Accept implements net.Listener.
func (l *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipe) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "embedded" }

// serve runs the embedded provider until stop is called.
func (l *pipe) serve(h http.Handler, log *slog.Logger) (stop func()) {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(l) // always http.ErrServerClosed or the pipe's own end
	}()
	return func() {
		_ = s.Close()
		<-ended
	}
}
