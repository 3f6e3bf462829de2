package gateway

import (
	"errors"
	"net/http"
	"strings"

	"onedoor/page"
	"onedoor/tenant"
)

// Header values that are assigned as they are; never changed.
var (
	noStore    = []string{"no-store"}
	noReferrer = []string{"no-referrer"}
	empty      = []string{"0"}
	retryAfter = []string{"2"} // seconds
)

// isAppRelay says whether a path is /apps/{app}/tenants/…
func isAppRelay(path string) bool {
	rest, ok := strings.CutPrefix(path, "/apps/")
	if !ok {
		return false
	}
	_, rest, ok = strings.Cut(rest, "/")
	return ok && strings.HasPrefix(rest, "tenants/")
}

// relay sends an authorization response on to the tenant that its path names.
// Where to is decided by tenant.Directory.Relay, from the raw target.
//
// A redirect may not be stored (301 and 308 would be, RFC 9110 §15.4.2: a
// tenant that was deleted would still work in some browser), and its code may
// not travel on in a Referer. A form_post goes on by 307, the one status that
// keeps method and body (RFC 9110 §15.4.8): field for field, unread.
func (g *Gateway) relay(w http.ResponseWriter, r *request) {
	to, no := g.Directory.Relay(r.Context(), r.target)
	if no != nil {
		g.refuseRelay(w, r, no)
		return
	}
	g.noteResponse(r, &to)
	status := http.StatusFound
	switch {
	case r.Method == http.MethodGet, r.Method == http.MethodHead:
	case r.Method == http.MethodPost && to.Callback:
		status = http.StatusTemporaryRedirect
	default:
		allow := "GET, HEAD"
		if to.Callback {
			allow += ", POST"
		}
		g.methodNotAllowed(w, r, allow)
		return
	}
	h := w.Header()
	h["Location"] = []string{to.Location()}
	h["Cache-Control"] = noStore
	h["Referrer-Policy"] = noReferrer
	h["Content-Length"] = empty
	w.WriteHeader(status)
}

func (g *Gateway) refuseRelay(w http.ResponseWriter, r *request, no *tenant.Refusal) {
	switch cause := errors.Unwrap(no); {
	case cause == nil:
		g.refuse(w, r, http.StatusBadRequest, page.BadRequest, no)
	case errors.Is(cause, tenant.ErrNotRelayed):
		g.refuse(w, r, http.StatusNotFound, page.NotFound, no)
	case errors.Is(cause, tenant.ErrUnknown):
		g.refuse(w, r, http.StatusNotFound, page.UnknownTenant, no)
	default: // the registry could not look: refuse says 503
		g.refuse(w, r, http.StatusServiceUnavailable, page.ProviderUnavailable, no)
	}
}

func (g *Gateway) methodNotAllowed(w http.ResponseWriter, r *request, allow string) {
	w.Header()["Allow"] = []string{allow}
	g.refuse(w, r, http.StatusMethodNotAllowed, page.MethodNotAllowed, rule{"method", r.Method, allow})
}
