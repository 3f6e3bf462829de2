package gateway

import (
	"io"
	"net/http"

	"onedoor/page"
)

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
