package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"

	"onedoor/page"
)

// newID makes a request id: 64 random bits, short enough to read out aloud. It
// need not be secret, so it does not cost what a secret costs.
func newID() string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	var id [13]byte
	bits := rand.Uint64()
	for i := range id {
		id[i] = alphabet[bits%32]
		bits /= 32
	}
	return string(id[:])
}

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter. Interim answers go no further:
// their header would pass unlooked at.
func (w *recorder) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	if w.status == 0 && status >= 200 { // 101 is noted where it is seen
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *recorder) Write(b []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController: flushing, hijacking, deadlines.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// clientGone is what the log says of a caller that did not wait for the answer,
// as nginx has it.
const clientGone = 499

// finish catches what panicked, writes the request's one line and tells the
// observer.
func (g *Gateway) finish(w *recorder, r *request) {
	p := recover()
	aborted, _ := p.(error)
	if p != nil && !errors.Is(aborted, http.ErrAbortHandler) {
		r.log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request_id", r.id),
			slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
		r.event.Rule = "internal"
		if w.status == 0 {
			page.Refuse(w, r.Request, http.StatusInternalServerError, page.Refusal{Key: page.Internal, Reference: r.id})
			p = nil
		} else {
			p = http.ErrAbortHandler // half an answer must not look like a whole one
		}
	}
	if w.status == 0 {
		w.status = http.StatusOK // what net/http sends when a handler writes nothing
		if r.Context().Err() != nil {
			w.status = clientGone
		}
	}
	if r.route == "" {
		r.route = "refused" // before any handler had it
	}
	e := &r.event
	e.Duration = g.Now().Sub(e.Time)
	g.line(w, r)
	if g.Observe != nil {
		e.Request, e.Route, e.Method, e.Status = r.id, r.route, r.Method, w.status
		g.Observe(e)
	}
	if p != nil {
		panic(p)
	}
}

// line writes what was asked and answered. It has no query, no header and no
// body: those hold codes, states, tokens and cookies (THREATS rule 18).
func (g *Gateway) line(w *recorder, r *request) {
	level := slog.LevelInfo
	if r.route == "health" {
		level = slog.LevelDebug // asked every few seconds
	}
	ctx := context.WithoutCancel(r.Context())
	if !r.log.Enabled(ctx, level) {
		return // before anything is made for it
	}
	path := r.path
	if len(path) > 1024 {
		path = path[:1024] + "…"
	}
	r.log.LogAttrs(ctx, level, "request",
		slog.String("request_id", r.id), slog.String("method", r.Method), slog.String("route", r.route),
		slog.String("path", path), slog.Int("status", w.status),
		slog.Float64("duration_ms", float64(r.event.Duration.Microseconds())/1000), slog.Int64("bytes", w.bytes))
}
