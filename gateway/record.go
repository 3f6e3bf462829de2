package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"onedoor/page"
)

// newID makes a request id: 65 random bits, short enough to read out aloud.
func newID() string { return strings.ToLower(rand.Text()[:13]) }

// recorder notes what was answered.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 { // 1xx come before the answer
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

// finish writes the request's one line and catches what panicked. The line has
// no query, no header and no body: those hold codes, states, tokens and cookies
// (THREATS rule 18).
func (g *Gateway) finish(w *recorder, r *request, start time.Time) {
	p := recover()
	aborted, _ := p.(error)
	if p != nil && !errors.Is(aborted, http.ErrAbortHandler) {
		r.log.LogAttrs(r.Context(), slog.LevelError, "panic", slog.String("request_id", r.id),
			slog.String("error", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
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
	path := r.path
	if len(path) > 1024 {
		path = path[:1024] + "…"
	}
	level := slog.LevelInfo
	if r.route == "health" {
		level = slog.LevelDebug // asked every few seconds
	}
	r.log.LogAttrs(context.WithoutCancel(r.Context()), level, "request",
		slog.String("request_id", r.id), slog.String("method", r.Method), slog.String("route", r.route),
		slog.String("path", path), slog.Int("status", w.status),
		slog.Float64("duration_ms", float64(g.Now().Sub(start).Microseconds())/1000), slog.Int64("bytes", w.bytes))
	if p != nil {
		panic(p)
	}
}
