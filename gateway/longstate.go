package gateway

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"

	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/upstream"
)

const (
	// maxState bounds the state that an app may send, in octets. Beyond it
	// there is no honest use.
	maxState = 8 << 10

	// maxSealed bounds what travels, in characters. Keycloak copies the state
	// into its KC_RESTART cookie, which browsers drop when it grows beyond
	// 4,096 octets: that is reached at some 1,800. Of a state over 4,000
	// characters Keycloak drops the state itself, without a word.
	maxSealed = 1700

	// Long states are rare; an attacker who sends many must not fill the disk.
	longStatesEachSecond = 5
	longStatesAtOnce     = 100
)

// States keeps long states for the time of a login. The store does. Of what is
// not kept any more KeptState says ErrNotKept; any other error is one that may
// pass.
type States interface {
	KeepState(ctx context.Context, handle, value string, expiresAt int64) error
	KeptState(ctx context.Context, handle string) (string, error)
}

// ErrNotKept says that a state is not kept, or not any more.
var ErrNotKept = errors.New("nothing is kept there")

// sealState seals a transaction for its journey. Where the app's state makes
// it too long, the state stays here under the transaction's random id, sealed
// too, and only the id travels.
func (g *Gateway) sealState(r *request, p seal.Purpose, issuer *upstream.Issuer, t *transaction) (string, *oidc.Error) {
	if err := g.Ring.Usable(); err != nil {
		return "", &oidc.Error{Status: http.StatusServiceUnavailable, Code: oidc.TemporarilyUnavailable, Rule: "seal.keys", Cause: err}
	}
	text := g.Ring.Seal(p, issuer.ID, t.encode())
	if len(text) <= maxSealed {
		return text, nil
	}
	short := *t
	short.state, short.kept = "", true
	if text = g.Ring.Seal(p, issuer.ID, short.encode()); len(text) > maxSealed {
		return "", &oidc.Error{Code: oidc.InvalidRequest, Rule: "state.size", Description: "redirect_uri is too long to travel"}
	}
	if err := g.keep(r, issuer, t); err != nil {
		return "", &oidc.Error{
			Status: http.StatusServiceUnavailable, Code: oidc.TemporarilyUnavailable, Rule: "state.kept",
			Description: "the state is too long to travel and cannot be kept now", Cause: err,
		}
	}
	return text, nil
}

// errNoRoom is a long state for which there is no place now.
var errNoRoom = errors.New("no room for long states now")

func (g *Gateway) keep(r *request, issuer *upstream.Issuer, t *transaction) error {
	if g.States == nil || !g.longStates.AllowN(g.Now(), 1) {
		return errNoRoom
	}
	value := g.Ring.Seal(seal.Kept, issuer.ID, []byte(t.state))
	return g.States.KeepState(r.Context(), t.handle(), value, g.Now().Add(g.LoginTTL).Unix())
}

// recall puts a kept state back in its place.
func (g *Gateway) recall(r *request, issuer *upstream.Issuer, t *transaction) *oidc.Error {
	if !t.kept {
		return nil
	}
	refuse := func(err error) *oidc.Error {
		return &oidc.Error{Code: oidc.InvalidRequest, Rule: "state.kept", Cause: err}
	}
	if g.States == nil {
		return refuse(nil)
	}
	value, err := g.States.KeptState(r.Context(), t.handle())
	if err != nil && !errors.Is(err, ErrNotKept) {
		// The browser may bring the same answer again in a moment.
		return &oidc.Error{Status: http.StatusServiceUnavailable, Code: oidc.TemporarilyUnavailable, Rule: "state.kept", Cause: err}
	}
	if err != nil {
		return refuse(err)
	}
	state, err := g.Ring.Open(seal.Kept, issuer.ID, value, g.LoginTTL)
	if err != nil {
		return refuse(err)
	}
	t.state, t.kept = string(state), false
	return nil
}

func (t *transaction) handle() string { return base64.RawURLEncoding.EncodeToString(t.id[:]) }
