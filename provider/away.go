package provider

import (
	"errors"
	"net/http"

	"onedoor/oidc"
	"onedoor/page"
	"onedoor/store"
)

// retryAfter is how many seconds a caller should wait for a database that is
// away. It is mostly being restarted.
const retryAfter = "2"

// isAway says that an error is the database's, and will pass. What the caller
// asked for is neither good nor bad then, whatever the engine makes of it: a
// client that could not be read is not an unknown one, and a login that could
// not be read has not expired. The login stays as it is, and a reload goes on
// with it.
func isAway(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, store.ErrFull)
}

// note keeps that the database was away in the middle of the exchange.
func (x *exchange) note(err error) {
	if x != nil && isAway(err) {
		x.away = true
	}
}

// refuseAway tells the person at the browser to try again.
func refuseAway(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Retry-After", retryAfter)
	page.Refuse(w, r, http.StatusServiceUnavailable, page.Refusal{Key: page.ProviderUnavailable})
}

// writeAway tells a client to try again. A code that it sent is still good.
func writeAway(w http.ResponseWriter) {
	w.Header().Set("Retry-After", retryAfter)
	writeError(w, &oidc.Error{Status: http.StatusServiceUnavailable, Code: oidc.TemporarilyUnavailable, Description: "the provider's database does not answer"})
}

// storeFailed answers a browser where the database failed us; the cause is the
// operator's.
func (p *Provider) storeFailed(w http.ResponseWriter, r *http.Request, what string, err error) {
	p.log.ErrorContext(r.Context(), what, "error", err)
	if isAway(err) {
		refuseAway(w, r)
		return
	}
	page.Refuse(w, r, http.StatusInternalServerError, page.Refusal{Key: page.Internal})
}
