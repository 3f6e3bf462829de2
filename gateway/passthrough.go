package gateway

import (
	"context"
	"errors"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"sync"

	"onedoor/horizon"
	"onedoor/page"
	"onedoor/upstream"
)

// pass sends the request to the provider as it is: path, query and body octet
// for octet, from r.path, r.query and r.Body.
func (g *Gateway) pass(w http.ResponseWriter, r *request) {
	if up := r.Header.Get("Upgrade"); up != "" && !strings.EqualFold(up, "websocket") {
		// "h2c" would open a tunnel in which we see no request any more.
		r.Header.Del("Upgrade")
	}
	if r.ContentLength > g.Limits.BodySize {
		g.refuse(w, r, http.StatusRequestEntityTooLarge, page.TooLarge, errTooLarge)
		return
	}
	wait := &turn{provider: g.Provider}
	defer wait.end()
	var sent *readBody
	switch {
	case r.Body == nil || r.Body == http.NoBody:
	case r.read:
		sent = &readBody{ReadCloser: r.Body}
	default:
		sent = g.streamed(w, r, wait)
	}
	if sent != nil {
		r.Body = sent
	}
	if (sent == nil || sent.wait == nil) && !wait.begin() {
		g.busy(w, r)
		return
	}
	own := maps.Clone(w.Header())
	if g.Observe != nil {
		r.event.Asked = g.Now()
	}
	proxy := httputil.ReverseProxy{
		// Rewrite, not Director: with a Director the client deletes our headers
		// by naming them in Connection (THREATS T-50).
		Rewrite:    func(pr *httputil.ProxyRequest) { g.rewrite(pr.Out, r) },
		Transport:  g.Provider.Transport(),
		BufferPool: buffers,
		ErrorLog:   quiet,
		ModifyResponse: func(resp *http.Response) error {
			wait.end()
			maps.Copy(w.Header(), own) // each interim answer (1xx) empties it
			return g.receive(w, r, resp)
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			wait.end()
			maps.Copy(w.Header(), own)
			if sent != nil && sent.err != nil {
				err = sent.err
			}
			g.failed(w, r, err, sent != nil && sent.err != nil)
		},
	}
	proxy.ServeHTTP(w, r.Request)
}

// rewrite makes the request that the provider gets: inbound claims about who
// and where the caller is are removed, then ours are set.
func (g *Gateway) rewrite(out *http.Request, r *request) {
	strip(out.Header)
	if r.caller.Horizon == horizon.Public {
		for _, name := range traces {
			delete(out.Header, name)
		}
	}
	// Opaque goes on the wire as it is; a path would be decoded and encoded
	// anew. It begins with one slash (readTarget).
	out.URL.Opaque, out.URL.Path, out.URL.RawPath = r.path, "", ""
	out.URL.RawQuery, out.URL.ForceQuery = strings.TrimPrefix(r.query, "?"), r.query == "?"
	g.Provider.Address(out)
	if r.caller.Address.IsValid() {
		out.Header["X-Forwarded-For"] = []string{r.caller.Address.String()}
	}
	out.Header["X-Request-Id"] = []string{r.id}
	dropTossed(out.Header, r)
}

// receive adapts what belongs to the door in the provider's answer. Locations
// pass: the provider speaks of the public origin.
func (g *Gateway) receive(w http.ResponseWriter, r *request, resp *http.Response) error {
	h := resp.Header
	g.noteAnswer(r, resp)
	delete(h, "X-Request-Id") // ours is set
	delete(h, "Alt-Svc")      // speaks of the provider's own ports
	for i, c := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = withoutDomain(c)
	}
	switch r.endpoint {
	case upstream.JWKS:
		dropCORS(h)
		g.readableByScripts(h, r)
	case upstream.Authorization, upstream.EndSession:
		dropCORS(h) // browsers go there, scripts do not (THREATS rule 19)
	default:
		if r.ownCORS {
			dropCORS(h)
		}
	}
	if rec, ok := w.(*recorder); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		rec.status = resp.StatusCode // what follows is hijacked
	}
	if r.modify != nil {
		return r.modify(resp)
	}
	return nil
}

func dropCORS(h http.Header) {
	for name := range h {
		if strings.HasPrefix(name, "Access-Control-") {
			delete(h, name)
		}
	}
}

// failed answers where the provider did not.
func (g *Gateway) failed(w http.ResponseWriter, r *request, err error, theirs bool) {
	g.noteAnswer(r, nil)
	var timeout net.Error
	var large *http.MaxBytesError
	switch {
	case theirs && errors.As(err, &timeout) && timeout.Timeout(): // nothing came any more; net/http takes the caller for gone
		w.Header()["Connection"] = []string{"close"}
		g.refuse(w, r, http.StatusRequestTimeout, page.BadRequest, rule{"body.slow", "", "the next octets of a body within limits.read_timeout"})
	case errors.Is(err, errBusy):
		g.busy(w, r)
	case r.Context().Err() != nil:
		r.log.LogAttrs(context.WithoutCancel(r.Context()), slog.LevelDebug, "caller has gone", slog.String("request_id", r.id))
		if rec, ok := w.(*recorder); ok && rec.status == 0 {
			rec.status = clientGone
		}
	case errors.As(err, &large):
		g.refuse(w, r, http.StatusRequestEntityTooLarge, page.TooLarge, err)
	case theirs: // the caller's body broke off or was not well formed
		w.Header()["Connection"] = []string{"close"}
		g.refuse(w, r, http.StatusBadRequest, page.BadRequest, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		g.refuse(w, r, http.StatusGatewayTimeout, page.ProviderUnavailable, err)
	default:
		g.refuse(w, r, http.StatusBadGateway, page.ProviderUnavailable, err)
	}
}

// bufferPool lends the buffers in which bodies are copied.
type bufferPool struct{ p sync.Pool }

var buffers = &bufferPool{sync.Pool{New: func() any { return new([32 << 10]byte) }}}

// Get implements httputil.BufferPool.
func (b *bufferPool) Get() []byte { return b.p.Get().(*[32 << 10]byte)[:] }

// Put implements httputil.BufferPool.
func (b *bufferPool) Put(buf []byte) {
	if len(buf) == 32<<10 {
		b.p.Put((*[32 << 10]byte)(buf))
	}
}

// quiet is for what ReverseProxy would log by itself: the caller that went away
// in the middle of an answer. It is in the access log.
var quiet = log.New(io.Discard, "", 0)
