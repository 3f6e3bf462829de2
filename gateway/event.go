package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"onedoor/tenant"
)

// Event is what happened to one request. It holds nothing secret: no query, no
// header, no body, and no code, state, token or cookie out of them.
//
// [Options.Observe] gets it when the answer has been sent, and may keep its
// texts, but not the Event itself: its memory is the request's.
type Event struct {
	Time     time.Time
	Duration time.Duration // until the last octet of the answer
	Request  string        // the reference that error pages show
	Route    string        // which of the door's handlers it was; one of Routes
	Method   string
	Status   int // 499 for a caller that did not wait

	// Of a login or a logout.
	Leg      Leg     // "" for a request that is no part of one
	Login    LoginID // zero where it is not known (yet)
	Begins   bool    // this request is the first that has that Login
	App      string  // the app's name
	TenantID string
	Tenant   string // its label, where the registry was asked

	// Of a refusal by the door, or an answer in the place of the provider's.
	Rule string // which rule; "" for what was not refused
	Got  string // the value, where it is no secret
	Want string // what would have been accepted, or the nearest to it
	// Differs says in what the two differ, where they are near each other.
	Differs []tenant.Difference
	Cause   string // what else is known
	Seal    SealFailure

	// Of the provider's part.
	Asked          time.Time     // when it was asked; zero where it was not
	Provider       time.Duration // how long it took to begin its answer
	ProviderStatus int           // 0 where no answer came
	ProviderError  string        // the OAuth error code that it answered, see [oidc.KnownCode]
}

// Routes are all values of [Event.Route].
var Routes = []string{
	"authorization_endpoint", "token_endpoint", "pushed_authorization_request_endpoint", "end_session_endpoint", "registration_endpoint", "jwks_uri",
	"userinfo_endpoint", "revocation_endpoint", "proxy", "callback", "logout", "relay", "discovery", "health", "closed", "refused",
}

// AsksProvider says whether requests of a route may go on to the provider.
func AsksProvider(route string) bool {
	switch route {
	case "callback", "logout", "relay", "discovery", "health", "closed", "refused":
		return false
	}
	return true
}

// Leg names a part of a login or a logout.
type Leg string

// The legs in the order in which a login goes through them. In relay mode the
// relay stands in the callback's place.
const (
	LegPushed    Leg = "pushed"     // the app pushed its authorization request (RFC 9126)
	LegAuthorize Leg = "authorize"  // the browser brought it
	LegCallback  Leg = "callback"   // the browser came back from the provider
	LegRelay     Leg = "relay"      // the same, in relay mode
	LegToken     Leg = "token"      // the app redeemed the code
	LegLogout    Leg = "logout"     // a logout request
	LegLoggedOut Leg = "logged_out" // the browser came back from it
)

// Legs are all of them, in that order.
var Legs = []Leg{LegPushed, LegAuthorize, LegCallback, LegRelay, LegToken, LegLogout, LegLoggedOut}

// SealFailure says how a sealed value failed.
type SealFailure string

// The ways in which it can.
const (
	SealInvalid SealFailure = "invalid"
	SealExpired SealFailure = "expired"
)

// Outcome says in one word how a request ended.
type Outcome string

// The outcomes.
const (
	OK              Outcome = "ok"
	Refused         Outcome = "refused"          // by a rule of the door
	ProviderRefused Outcome = "provider_refused" // the provider answered an error
	Unavailable     Outcome = "unavailable"      // somebody who was needed did not answer
	Gone            Outcome = "gone"             // the caller did not wait
)

// Outcomes are all of them.
var Outcomes = []Outcome{OK, Refused, ProviderRefused, Unavailable, Gone}

// Outcome is the request's.
func (e *Event) Outcome() Outcome {
	switch {
	case e.Status == clientGone:
		return Gone
	case e.Rule != "" && e.Status >= http.StatusInternalServerError:
		return Unavailable
	case e.Rule != "":
		return Refused
	case e.ProviderError != "" || e.ProviderStatus >= http.StatusBadRequest:
		return ProviderRefused
	}
	return OK
}

// LoginID joins the legs of a login, whichever replicas they came to, without
// a session: each leg finds the transaction in the seal that it opens. It is
// the start of a hash of the transaction's random id, so that it can be told
// to everybody: from the id itself the door derives its PKCE verifier and the
// browser's cookie. It has the form of a trace id (W3C Trace Context §3.2.2.3).
type LoginID [16]byte

// IsZero says whether there is none.
func (id LoginID) IsZero() bool { return id == LoginID{} }

// String is 32 hex digits, or "".
func (id LoginID) String() string {
	if id.IsZero() {
		return ""
	}
	return hex.EncodeToString(id[:])
}

// loginLabel parts the hash from all others that are made of a transaction's id.
const loginLabel = "onedoor/login"

func loginOf(t *transaction) (id LoginID) {
	var b [len(loginLabel) + len(t.id)]byte
	copy(b[:], loginLabel)
	copy(b[len(loginLabel):], t.id[:])
	sum := sha256.Sum256(b[:])
	copy(id[:], sum[:])
	return id
}
