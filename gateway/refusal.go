package gateway

import (
	"errors"
	"log/slog"
	"net/http"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/tenant"
)

// refuseAndReturn refuses with a page that leads back to the tenant's site, to
// begin again.
func (g *Gateway) refuseAndReturn(w http.ResponseWriter, r *request, key string, to tenant.Target, e *oidc.Error) {
	g.logRefusal(r, http.StatusBadRequest, e)
	page.Refuse(w, r.Request, http.StatusBadRequest, page.Refusal{Key: key, Reference: r.id, BackURL: to.Site()})
}

// couldNotLook says whether a refusal is the registry's own failure.
func couldNotLook(e error) bool {
	var no *tenant.Refusal
	return errors.As(e, &no) && no.CouldNotLook()
}

// refuseJSON answers a back channel request (RFC 6749 §5.2). Where the registry
// could not look, a code or a redirect URI may be good all the same: the app is
// to ask again, and not to take it for spent.
func (g *Gateway) refuseJSON(w http.ResponseWriter, r *request, e *oidc.Error) {
	if couldNotLook(e) {
		e = &oidc.Error{
			Status: http.StatusServiceUnavailable, Code: oidc.TemporarilyUnavailable, Rule: e.Rule,
			Description: "the tenants cannot be looked up at the moment", Cause: e.Cause,
		}
		w.Header()["Retry-After"] = retryAfter
	}
	g.logRefusal(r, status(e), e)
	e.WriteJSON(w)
}

// logRefusal writes one line for the operator: which rule refused, which value
// it got, what was expected and how near it was. No value of a code, a state or
// a credential is ever in it: causes hold redirect URIs, labels and paths.
func (g *Gateway) logRefusal(r *request, status int, e error) {
	attrs := []slog.Attr{slog.String("request_id", r.id), slog.Int("status", status)}
	var (
		wire *oidc.Error
		no   *tenant.Refusal
		own  rule
	)
	if errors.As(e, &wire) {
		attrs = append(attrs, slog.String("rule", wire.Rule), slog.String("error", wire.Code))
	}
	switch {
	case errors.As(e, &no):
		if wire == nil {
			attrs = append(attrs, slog.String("rule", no.Rule))
		}
		attrs = append(attrs, slog.String("got", no.Got), slog.String("want", no.Want))
		if cause := no.Unwrap(); cause != nil && !errors.Is(cause, tenant.ErrUnknown) && !errors.Is(cause, tenant.ErrNotRelayed) {
			attrs = append(attrs, slog.String("cause", cause.Error()))
		}
	case errors.As(e, &own):
		attrs = append(attrs, slog.String("rule", own.name), slog.String("got", own.got), slog.String("want", own.want))
	case wire != nil && wire.Cause != nil:
		attrs = append(attrs, slog.String("cause", wire.Cause.Error()))
	case wire == nil && e != nil:
		attrs = append(attrs, slog.String("cause", e.Error()))
	}
	level := slog.LevelWarn
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	r.log.LogAttrs(r.Context(), level, "request refused", attrs...)
}
