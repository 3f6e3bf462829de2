package admin

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"onedoor/store"
)

// secretPrefix begins every secret, so that people and scanners know one when
// they see it.
const secretPrefix = "onedoor_"

// configured is what the audit log calls whoever has the configuration's token.
const configured = "admin.token"

// newSecret makes the secret of a token: 256 bits, which nobody guesses, so that
// a fast hash is enough to keep it by.
func newSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails (Go 1.24)
	return secretPrefix + base64.RawURLEncoding.EncodeToString(b[:])
}

func hashOf(secret string) string {
	h := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(h[:])
}

type callerKey struct{}

// As makes the requests of ctx those of a caller in this process: whoever has
// the handler and the database in hand needs no token.
func As(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

func callerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// actor is the caller as the audit log names them.
func actor(ctx context.Context) store.Actor {
	c := callerOf(ctx)
	return store.Actor{Name: c.Name, Via: c.Via}
}

// authorize lets a request through to what needs scope, or says why not.
func (a *API) authorize(r *http.Request, scope string) (Caller, *Problem) {
	c, ok := r.Context().Value(callerKey{}).(Caller)
	if !ok {
		var p *Problem
		if c, p = a.authenticate(r); p != nil {
			return c, p
		}
	}
	if !c.may(scope) {
		return c, problem(http.StatusForbidden, "scope_missing", "This token has no scope "+scope+".", "ask for a token that has it: onedoor token add --scope "+scope+" NAME").
			with("WWW-Authenticate", `Bearer realm="onedoor", error="insufficient_scope", scope="`+scope+`"`) // RFC 6750 §3.1
	}
	return c, nil
}

// authenticate finds out whose token a request brings.
func (a *API) authenticate(r *http.Request) (Caller, *Problem) {
	fields := r.Header.Values("Authorization")
	if len(fields) == 0 {
		return Caller{}, unauthorized("", "This request brings no token.")
	}
	scheme, secret, _ := strings.Cut(fields[0], " ")
	if len(fields) > 1 || !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return Caller{}, unauthorized("invalid_request", "The Authorization field is not one of the form: Bearer TOKEN.")
	}
	now, from := a.now(), network(r.RemoteAddr)
	hash := hashOf(secret)
	if !a.perToken.knows(hash) && !a.perAddress.left(from, now) {
		return Caller{}, problem(http.StatusTooManyRequests, "too_many_bad_tokens", "Too many tokens that are none came from this address.", "wait, and use a token that is one").after(addressEvery)
	}
	c, p := a.callerWith(r.Context(), secret, hash, now)
	if p != nil {
		if p.Status == http.StatusUnauthorized {
			a.perAddress.take(from, now)
		}
		return Caller{}, p
	}
	if wait := a.perToken.take(hash, now); wait > 0 {
		return Caller{}, problem(http.StatusTooManyRequests, "too_many_requests", "This token asks too often.", "wait as long as Retry-After says; an import takes a thousand tenants in one request").after(wait)
	}
	return c, nil
}

func (a *API) callerWith(ctx context.Context, secret, hash string, now time.Time) (Caller, *Problem) {
	if own := a.token(); own != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(hashOf(own))) == 1 {
		return Caller{Name: configured, Via: "api", Scopes: Scopes()}, nil
	}
	const unknown = "This token is none, or was removed, or has expired."
	if !strings.HasPrefix(secret, secretPrefix) {
		return Caller{}, unauthorized("invalid_token", unknown)
	}
	t, err := a.Store.TokenByHash(ctx, hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Caller{}, unauthorized("invalid_token", unknown)
	case err != nil:
		return Caller{}, a.unavailable(ctx, err)
	case t.ExpiresAt != 0 && t.ExpiresAt <= now.Unix():
		return Caller{}, unauthorized("invalid_token", unknown)
	}
	return Caller{Name: t.Name, Via: "api", Scopes: t.Scopes, ExpiresAt: t.ExpiresAt}, nil
}

func (a *API) token() string {
	if a.Token == nil {
		return ""
	}
	return a.Token()
}

// unauthorized is the answer to a request without a token that is one
// (RFC 6750 §3). code is "" where it brought none.
func unauthorized(code, detail string) *Problem {
	challenge := `Bearer realm="onedoor"`
	if code != "" {
		challenge += `, error="` + code + `"`
	}
	return problem(http.StatusUnauthorized, "token_invalid", detail, "send Authorization: Bearer and a token: admin.token of the configuration, or one of onedoor token add").
		with("WWW-Authenticate", challenge)
}

// retryAfter is when the database may be back.
const retryAfter = 5 * time.Second

// unavailable is the answer where the database gave none. What it said is for
// the log. A change may have been made all the same.
func (a *API) unavailable(ctx context.Context, err error) *Problem {
	if ctx.Err() == nil {
		a.Log.Error("admin: the database does not answer", slog.String("error", err.Error()))
	}
	if errors.Is(err, store.ErrFull) {
		return problem(http.StatusServiceUnavailable, "database_full", "The disk of the database is full; nothing was changed.", "make room, and send the request again").after(retryAfter)
	}
	return problem(http.StatusServiceUnavailable, "database_unavailable", "The database does not answer. Whether a change was made is not known.", "send the same request again: PUT, PATCH and an import do no more the second time; the door's log says why").after(retryAfter)
}
