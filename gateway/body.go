package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"onedoor/page"
	"onedoor/upstream"
)

var (
	errTooLarge = rule{"body.size", "", "a body of at most limits.body_size"}
	errBusy     = rule{"provider.busy", "", "at most limits.provider_requests that wait for the provider"}
)

// turn is a request's part in how many may wait for the provider's answer. It
// begins when all of the request has been sent: the time that a caller takes to
// send a body is not the provider's, and a thousand callers who send an octet a
// second must not use up what others need.
type turn struct {
	provider *upstream.Provider

	mu           sync.Mutex
	begun, ended bool
}

// begin says whether the request may wait; false where too many do.
func (t *turn) begin() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun || t.ended { // the answer may come before the body's end
		return true
	}
	t.begun = t.provider.Wait()
	return t.begun
}

// end is when the answer has begun, or will not come.
func (t *turn) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun && !t.ended {
		t.provider.Done()
	}
	t.ended = true
}

// busy answers where too many requests wait for the provider already.
func (g *Gateway) busy(w http.ResponseWriter, r *request) {
	w.Header()["Retry-After"] = retryAfter
	g.refuse(w, r, http.StatusServiceUnavailable, page.ProviderUnavailable, errBusy)
}

// readBody remembers why a request's body could not be read, so that a caller's
// mistake is not taken for the provider's. Of a body that is passed on while it
// comes it also keeps the limits.
type readBody struct {
	io.ReadCloser
	err error

	wait    *turn // nil for a body that is there already
	left    int64 // octets that are to come; negative where that is not known
	until   *http.ResponseController
	timeout time.Duration
	mu      sync.Mutex
	closed  bool
}

// streamed is a body that is passed on while it comes.
func (g *Gateway) streamed(w http.ResponseWriter, r *request, wait *turn) *readBody {
	return &readBody{
		ReadCloser: http.MaxBytesReader(w, r.Body, g.Limits.BodySize),
		wait:       wait, left: r.ContentLength, until: http.NewResponseController(w), timeout: g.Limits.ReadTimeout,
	}
}

// Read implements io.Reader.
func (b *readBody) Read(p []byte) (int, error) {
	b.allow(b.timeout)
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if (errors.Is(err, io.EOF) || b.left == 0) && b.wait != nil {
		b.allow(0)
		if !b.wait.begin() {
			// The last octets stay here: with them the provider would have the whole
			// request, and act on what we answer with 503.
			n, err = 0, errBusy
		}
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, http.ErrBodyReadAfterClose) {
		b.err = err
	}
	return n, err
}

// allow gives the caller that long for the next octets; 0 is as long as it
// takes. After Close the connection is another request's.
func (b *readBody) allow(d time.Duration) {
	if b.until == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	var deadline time.Time
	if d > 0 {
		deadline = time.Now().Add(d)
	}
	_ = b.until.SetReadDeadline(deadline) // tests' recorders have none
}

// Close implements io.Closer.
func (b *readBody) Close() error {
	b.allow(0)
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	return b.ReadCloser.Close()
}

// stream is an answer over HTTP/2. A caller who gives it no room stops nothing
// but this one, and of that the connection's deadline knows nothing.
type stream struct {
	http.ResponseWriter
	timeout time.Duration
}

// Write implements http.ResponseWriter.
func (w stream) Write(b []byte) (int, error) {
	until := http.NewResponseController(w.ResponseWriter)
	_ = until.SetWriteDeadline(time.Now().Add(w.timeout)) // tests' recorders have none
	defer func() { _ = until.SetWriteDeadline(time.Time{}) }()
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w stream) Unwrap() http.ResponseWriter { return w.ResponseWriter }
