package demo

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Recorder gathers the hops of each login. Many may go on at once, in one
// browser too: what belongs to which is told by what requests carry. The
// Location of one answer is the URL of the next request, and the state and code
// in it come again; of all these only hashes are kept. The requests that the
// door makes on behalf of another carry that one's Traceparent (W3C Trace
// Context), which a reverse proxy passes on.
type Recorder struct {
	mu       sync.Mutex
	ways     []*Way // the oldest first
	keys     map[[sha256.Size]byte]*Way
	inFlight map[string]*Hop // by trace-id
}

// NewRecorder makes a Recorder.
func NewRecorder() *Recorder {
	return &Recorder{keys: map[[sha256.Size]byte]*Way{}, inFlight: map[string]*Hop{}}
}

type hopKey struct{}

type wayKey struct{}

// Front wraps what browsers reach. to names it.
func (r *Recorder) Front(to string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		u := absolute(req)
		hop := &Hop{Channel: Front, From: Browser, To: to, Method: req.Method, URL: newAddress(u), trace: newTrace(), full: u}
		r.mu.Lock()
		r.add(r.find(u), hop)
		r.mu.Unlock()
		defer r.end(hop)
		req = req.WithContext(context.WithValue(req.Context(), hopKey{}, hop))
		req.Header.Set("Traceparent", "00-"+hop.trace+"-0000000000000001-01")
		h.ServeHTTP(&watcher{ResponseWriter: w, answer: func(status int, location string) { r.answer(hop, status, location) }}, req)
	})
}

// Provider wraps the provider that stands behind the door.
func (r *Recorder) Provider(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		outer := r.inFlight[traceOf(req)]
		r.mu.Unlock()
		if outer == nil || outer.way == nil {
			h.ServeHTTP(w, req)
			return
		}
		u := absolute(req)
		hop := &Hop{Channel: Inside, From: Door, To: Provider, Method: req.Method, URL: newAddress(u), full: u}
		if outer.Channel == Back { // in the front channel it may hold a password
			hop.Body = formOf(req)
		}
		r.mu.Lock()
		outer.Inner = append(outer.Inner, hop)
		outer.Changes = changes(slices.Concat(outer.URL.Params, outer.Body), slices.Concat(hop.URL.Params, hop.Body))
		r.mu.Unlock()
		h.ServeHTTP(&watcher{ResponseWriter: w, answer: func(status int, location string) { r.answer(hop, status, location) }}, req)
	})
}

// Transport is base for the server that from names. Requests belong to the way
// in their context, or else to once.
func (r *Recorder) Transport(from string, base http.RoundTripper, once *Way) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		way, ok := req.Context().Value(wayKey{}).(*Way)
		if !ok {
			way = once
		}
		req = req.Clone(req.Context())
		hop := &Hop{Channel: Back, From: from, To: Door, Method: req.Method, URL: newAddress(req.URL), Body: formOf(req), trace: newTrace(), full: req.URL}
		req.Header.Set("Traceparent", "00-"+hop.trace+"-0000000000000001-01")
		r.mu.Lock()
		r.add(way, hop)
		r.mu.Unlock()
		defer r.end(hop)
		resp, err := base.RoundTrip(req)
		if err == nil {
			r.answer(hop, resp.StatusCode, resp.Header.Get("Location"))
		}
		return resp, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Begin starts a way with the request that a site answers just now.
func (r *Recorder) Begin(req *http.Request, kind string) *Way {
	w := &Way{ID: strings.ToLower(rand.Text()[:16]), Kind: kind, r: r}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.ways) == maxWays {
		r.forget(r.ways[0])
		r.ways = r.ways[1:]
	}
	r.ways = append(r.ways, w)
	if hop, ok := req.Context().Value(hopKey{}).(*Hop); ok && hop.way == nil {
		r.add(w, hop)
	}
	return w
}

// Once makes a way for what an app asks once, outside of any login.
func (r *Recorder) Once() *Way { return &Way{Kind: "start", r: r} }

// Find finds a way by its ID.
func (r *Recorder) Find(id string) *Way {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.IndexFunc(r.ways, func(w *Way) bool { return w.ID == id }); i >= 0 {
		return r.ways[i]
	}
	return nil
}

// The methods below are called with the lock held, but for end and answer.

func (r *Recorder) forget(w *Way) {
	w.closed = true
	for _, k := range w.keys {
		if r.keys[k] == w {
			delete(r.keys, k)
		}
	}
	w.keys = nil
}

func (r *Recorder) add(w *Way, h *Hop) {
	if w == nil || w.closed || len(w.hops) == maxHops {
		return
	}
	h.way = w
	w.hops = append(w.hops, h)
	r.inFlight[h.trace] = h
}

func (r *Recorder) end(h *Hop) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.inFlight, h.trace)
}

// find says which way a browser's request belongs to.
func (r *Recorder) find(u *url.URL) *Way {
	for _, k := range keysOf(u) {
		if w := r.keys[k]; w != nil {
			return w
		}
	}
	return nil
}

// answer runs before the first octet of the answer goes out: whoever follows
// its Location is expected by then.
func (r *Recorder) answer(h *Hop, status int, location string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.Status = status
	u, err := h.full.Parse(location)
	if location == "" || err != nil {
		return
	}
	to := newAddress(u)
	h.Location = &to
	if h.To == Door && len(h.Inner) == 0 {
		h.Changes = changes(h.URL.Params, to.Params)
	}
	w := h.way
	if w == nil || w.closed || h.Channel != Front {
		return
	}
	for _, k := range keysOf(u) {
		if len(w.keys) < maxKeys && r.keys[k] == nil {
			r.keys[k] = w
			w.keys = append(w.keys, k)
		}
	}
}
