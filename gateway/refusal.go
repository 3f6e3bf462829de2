package gateway

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/seal"
	"onedoor/tenant"
)

// refuseAndReturn refuses with a page that leads back to the tenant's site, to
// begin again.
func (g *Gateway) refuseAndReturn(w http.ResponseWriter, r *request, key string, to tenant.Target, e *oidc.Error) {
	g.logRefusal(r, http.StatusBadRequest, e)
	page.Refuse(w, r.Request, http.StatusBadRequest, page.Refusal{Key: key, Reference: r.id, BackURL: to.Site()})
}

// couldNotLook says whether a refusal is a failure of ours: the registry, or the
// keys, could not be read.
func couldNotLook(e error) bool {
	var no *tenant.Refusal
	return keysUnread(e) || errors.As(e, &no) && no.CouldNotLook()
}

// keysUnread says that nothing is known to be wrong but with the keys.
func keysUnread(e error) bool {
	return errors.Is(e, seal.ErrKeyUnread) || errors.Is(e, seal.ErrStale)
}

// sealRule is the rule by which a value is refused that did not open: its own,
// unless the keys could not be read.
func sealRule(own string, e error) string {
	if keysUnread(e) {
		return "seal.keys"
	}
	return own
}

// refuseKept refuses where what was kept of a state cannot be had: for good, or
// for a moment.
func (g *Gateway) refuseKept(w http.ResponseWriter, r *request, key string, to tenant.Target, e *oidc.Error) {
	if e.Status != http.StatusServiceUnavailable {
		g.refuseAndReturn(w, r, key, to, e)
		return
	}
	w.Header()["Retry-After"] = retryAfter
	g.refuse(w, r, e.Status, page.ProviderUnavailable, e)
}

// refuseJSON answers a back channel request (RFC 6749 §5.2). Where we could not
// look, a code or a redirect URI may be good all the same: the app is
// to ask again, and not to take it for spent.
func (g *Gateway) refuseJSON(w http.ResponseWriter, r *request, e *oidc.Error) {
	if couldNotLook(e) {
		e = &oidc.Error{
			Status: http.StatusServiceUnavailable, Code: oidc.TemporarilyUnavailable, Rule: e.Rule,
			Description: "what decides this request cannot be looked up at the moment", Cause: e.Cause,
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
	n := &r.event
	n.noteRefusal(status, e)
	attrs := []slog.Attr{slog.String("request_id", r.id), slog.Int("status", status), slog.String("rule", n.Rule)}
	if wire := (*oidc.Error)(nil); errors.As(e, &wire) {
		attrs = append(attrs, slog.String("error", wire.Code))
	}
	if id := n.Login; !id.IsZero() {
		attrs = append(attrs, slog.String("login", id.String()))
	}
	if n.Got != "" || n.Want != "" {
		attrs = append(attrs, slog.String("got", n.Got), slog.String("want", n.Want))
	}
	if n.Cause != "" {
		attrs = append(attrs, slog.String("cause", n.Cause))
	}
	level := slog.LevelWarn
	if status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	r.log.LogAttrs(r.Context(), level, "request refused", attrs...)
}

// otherURI says of a redirect URI that is not the one of the authorization
// request, of which there is a hash only, how near it is.
func otherURI(uri string, is func(string) bool) *tenant.Refusal {
	got, _, _ := strings.Cut(uri, "?") // what an app keeps there may be a secret
	differs := tenant.Near(uri, is)
	return &tenant.Refusal{Rule: "code.redirect_uri", Got: shorten(got), Want: "that of the authorization request" + tenant.Say(differs), Differs: differs}
}
