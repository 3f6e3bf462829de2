package gateway

import (
	"io"
	"log/slog"
	"net/http"

	"onedoor/page"
)

// Waiting is the door while it has nothing to decide by: it lives, is not ready,
// and asks everybody to come again. So orchestrators let it wait, and balancers
// ask another door at once.
func Waiting(log *slog.Logger, l Limits) http.Handler {
	g := New(Options{Log: log, Limits: l})
	g.Drain()
	return g.entrance(func(w *recorder, r *request) {
		g.notReady(w, r, rule{"door.starting", r.path, "a door that has its database"})
	})
}

// health answers orchestrators, on any Host. It tells nothing but yes or no:
// why is in the log.
func (g *Gateway) health(w http.ResponseWriter, r *request, which string) {
	r.route = "health"
	ok, body := true, `{"status":"live"}`
	switch which {
	case "live":
	case "ready":
		if ok = !g.draining.Load() && g.Provider.Ready() == nil && (g.Ready == nil || g.Ready() == nil); ok {
			body = `{"status":"ready"}`
		} else {
			body = `{"status":"not ready"}`
		}
	default:
		g.refuse(w, r, http.StatusNotFound, page.NotFound, rule{"path.unknown", r.path, "live or ready"})
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		g.methodNotAllowed(w, r, "GET, HEAD")
		return
	}
	h := w.Header()
	h["Content-Type"] = jsonType
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if ok {
		w.WriteHeader(http.StatusOK)
	} else {
		h["Retry-After"] = retryAfter
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body+"\n")
	}
}
