package journal

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"onedoor/gateway"
	"onedoor/store"
	"onedoor/tenant"
)

// Leg is one request of a login as a record has it.
type Leg struct {
	Leg     gateway.Leg     `json:"leg,omitempty" doc:"pushed, authorize, callback, relay, token, logout, logged_out; left out for a page that belongs to no login."`
	Request string          `json:"request" doc:"The reference that the page showed, and request_id in the log."`
	At      time.Time       `json:"at"`
	Took    float64         `json:"took_ms" doc:"Until the last octet of the answer, in milliseconds."`
	Replica string          `json:"replica"`
	Route   string          `json:"route"`
	Method  string          `json:"method"`
	Status  int             `json:"status"`
	Outcome gateway.Outcome `json:"outcome" doc:"ok; refused by the door; provider_refused; unavailable: somebody did not answer; gone: the caller did not wait."`

	Rule    string              `json:"rule,omitempty" doc:"Which rule refused it."`
	Got     string              `json:"got,omitempty" doc:"The value that was refused, where it is no secret."`
	Want    string              `json:"want,omitempty" doc:"What would have been accepted, or the nearest to it."`
	Differs []tenant.Difference `json:"differs,omitempty" doc:"In which parts the two differ, where they are near each other." enum:"slash,case,encoding,query,scheme,port,path,host"`
	Cause   string              `json:"cause,omitempty"`

	Provider       float64 `json:"provider_ms,omitempty" doc:"How long the provider took to begin its answer, in milliseconds."`
	ProviderStatus int     `json:"provider_status,omitempty" doc:"What it answered."`
	ProviderError  string  `json:"provider_error,omitempty" doc:"The OAuth error code that it answered."`
}

// Outcome says how a login stands.
type Outcome string

// The outcomes of a login.
const (
	Done       Outcome = "done"       // the app has its tokens, or the person is logged out
	Failed     Outcome = "failed"     // refused, and not got through after all
	Unredeemed Outcome = "unredeemed" // the app was handed a code and has not redeemed it
	Open       Outcome = "open"       // in progress, or the person left
	Alone      Outcome = "alone"      // a leg that could not be joined to others, as those of relay mode
)

// Login is the record of a login.
type Login struct {
	ID      string    `json:"id" doc:"The login id, which is the trace id; or the reference of a request that belongs to none."`
	Tenant  string    `json:"tenant,omitempty" doc:"Its label, where it is known."`
	App     string    `json:"app,omitempty"`
	Outcome Outcome   `json:"outcome" enum:"done,failed,unredeemed,open,alone" doc:"done; failed; unredeemed: the app was handed a code and has not redeemed it; open: in progress, or the person left; alone: a leg that could not be joined to others, as those of relay mode."`
	Stages  []string  `json:"stages" nullable:"false" doc:"How far it came: asked, sent (to the provider), came_back, returned (to the app), tried, redeemed, logout_asked, logged_out."`
	Rule    string    `json:"rule,omitempty" doc:"Of its last failure, or the provider's error code."`
	Began   time.Time `json:"began"`
	Updated time.Time `json:"updated" doc:"When it was last heard of."`
	Legs    []Leg     `json:"legs,omitempty"`
}

// Patience is how long an app may take to redeem a code before a login counts
// as lost: more than any code lives, and than replicas take to write it down.
const Patience = 12 * time.Minute

// expected are errors that a provider answers in the ordinary course: to a
// question without a person (prompt=none, OIDC Core §3.1.2.6).
var expected = map[string]bool{
	"login_required": true, "interaction_required": true, "consent_required": true, "account_selection_required": true,
}

// ProviderStatus is in a rule's place where the provider answered a status that
// is no success, and no OAuth error code: a page for people.
const ProviderStatus = "provider.status"

// row is a request as the store keeps it.
func row(e *gateway.Event, replica string) store.LoginLeg {
	at := e.Time.UnixMilli()
	l := store.LoginLeg{
		Login: store.Login{
			ID: cmp.Or(e.Login.String(), e.Request), Joined: !e.Login.IsZero(), Tenant: e.Tenant, App: e.App,
			Stages: stages(e), BeganAt: at, UpdatedAt: at,
		},
		Request: e.Request, At: at,
	}
	if e.Rule == "tenant.unknown" && tenant.ValidLabel(e.Got) {
		l.Tenant = e.Got // a mistyped one is looked for by what was typed
	}
	switch e.Outcome() {
	case gateway.OK, gateway.Gone:
	case gateway.ProviderRefused:
		if !expected[e.ProviderError] {
			l.FailedAt, l.Rule = at, cmp.Or(e.ProviderError, ProviderStatus)
		}
	default:
		l.FailedAt, l.Rule = at, e.Rule
	}
	body, _ := json.Marshal(Leg{ // of texts and numbers
		Leg: e.Leg, Took: ms(e.Duration), Replica: replica, Route: e.Route, Method: method(e.Method), Status: e.Status, Outcome: e.Outcome(),
		Rule: e.Rule, Got: e.Got, Want: e.Want, Differs: e.Differs, Cause: shorten(e.Cause),
		Provider: ms(e.Provider), ProviderStatus: e.ProviderStatus, ProviderError: e.ProviderError,
	})
	l.Body = string(body)
	return l
}

// stages are how far a login has come with a request.
func stages(e *gateway.Event) (s int64) {
	ok := e.Outcome() == gateway.OK
	then := func(always, onSuccess int64) int64 {
		if ok {
			return always | onSuccess
		}
		return always
	}
	switch e.Leg {
	case gateway.LegPushed:
		return store.LoginAsked
	case gateway.LegAuthorize:
		return then(store.LoginAsked, store.LoginSent)
	case gateway.LegCallback, gateway.LegRelay:
		if e.Seal == gateway.SealInvalid {
			return 0 // nobody knows where it came from
		}
		return then(store.LoginCameBack, store.LoginReturned)
	case gateway.LegToken:
		return then(store.LoginTried, store.LoginRedeemed|store.LoginDone)
	case gateway.LegLogout:
		return then(0, store.LogoutAsked)
	case gateway.LegLoggedOut:
		return then(store.LogoutCameBack, store.LoginDone)
	}
	return 0
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// method keeps a caller's own invention short.
func method(m string) string { return m[:min(len(m), 16)] }

func shorten(s string) string {
	const most = 500
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

var stageNames = []struct {
	stage int64
	name  string
}{
	{store.LoginAsked, "asked"},
	{store.LoginSent, "sent"},
	{store.LoginCameBack, "came_back"},
	{store.LoginReturned, "returned"},
	{store.LoginTried, "tried"},
	{store.LoginRedeemed, "redeemed"},
	{store.LogoutAsked, "logout_asked"},
	{store.LogoutCameBack, "logged_out"},
}

// record is a login as its readers see it.
func record(l store.Login, legs []store.LoginLeg, now time.Time) Login {
	r := Login{
		ID: l.ID, Tenant: l.Tenant, App: l.App, Rule: l.Rule, Stages: []string{},
		Began: time.UnixMilli(l.BeganAt).UTC(), Updated: time.UnixMilli(l.UpdatedAt).UTC(),
	}
	for _, s := range stageNames {
		if l.Stages&s.stage != 0 {
			r.Stages = append(r.Stages, s.name)
		}
	}
	switch {
	case l.Stages >= store.LoginDone:
		r.Outcome = Done
	case l.FailedAt > 0:
		r.Outcome = Failed
	case !l.Joined:
		r.Outcome = Alone
	case l.Stages&store.LoginReturned != 0 && l.UpdatedAt < now.Add(-Patience).UnixMilli():
		r.Outcome = Unredeemed
	default:
		r.Outcome = Open
	}
	for _, leg := range legs {
		r.Legs = append(r.Legs, legOf(leg))
	}
	// Not by their times alone: the clocks of replicas differ.
	slices.SortStableFunc(r.Legs, func(a, b Leg) int {
		return cmp.Or(slices.Index(gateway.Legs, a.Leg)-slices.Index(gateway.Legs, b.Leg), a.At.Compare(b.At))
	})
	return r
}

func legOf(l store.LoginLeg) Leg {
	var out Leg
	_ = json.Unmarshal([]byte(l.Body), &out) // a body of a later version: what is known of it
	out.Request, out.At = l.Request, time.UnixMilli(l.At).UTC()
	return out
}
