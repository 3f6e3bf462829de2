package gateway

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"onedoor/horizon"
	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
	"onedoor/upstream"
)

// Handlers note in the request's Event what they learn. The cheap is noted
// always, and the rest only where somebody looks on.

// noteLogin notes whose transaction a request goes on with.
func (g *Gateway) noteLogin(r *request, t *transaction) {
	if g.Observe == nil || t.clientID == "" { // nobody asks, or the seal did not open
		return
	}
	r.event.Login, r.event.TenantID = loginOf(t), t.tenantID
}

// noteBegun notes whose transaction a request begins.
func (g *Gateway) noteBegun(r *request, t *transaction) {
	g.noteLogin(r, t)
	r.event.Begins = true
}

// notePassing notes whose a request is that the door takes no part in: of an
// app in relay mode, or of a stranger.
func (g *Gateway) notePassing(r *request, app *tenant.App, ps oidc.Params) {
	if app == nil {
		r.event.Leg = ""
		return
	}
	g.noteRelayed(r, app, ps)
}

// noteRelayed notes for which tenant an app in relay mode asks: its redirect
// URI is the relay's, which names it.
func (g *Gateway) noteRelayed(r *request, app *tenant.App, ps oidc.Params) {
	if app == nil || g.Observe == nil {
		return
	}
	r.event.App = app.Name
	path, ours := strings.CutPrefix(ps.Get("redirect_uri"), g.PublicOrigin)
	if !ours {
		return
	}
	if to, no := g.Directory.Relay(r.Context(), path); no == nil && to.App == app {
		r.event.noteTarget(to.Target)
	}
}

// noteResponse notes whose response the relay carries.
func (g *Gateway) noteResponse(r *request, to *tenant.Relayed) {
	r.event.noteTarget(to.Target)
	switch {
	case !to.Callback:
		r.event.Leg = "" // a return comes after the login
	case g.Observe != nil && strings.Contains(to.Query, "error="):
		if ps, err := oidc.ParseParams(to.Query[1:]); err == nil {
			r.event.ProviderError = oidc.KnownCode(ps.Get("error"))
		}
	}
}

// noteAnswer notes that the provider began to answer, or with nil that it did
// not.
func (g *Gateway) noteAnswer(r *request, resp *http.Response) {
	if g.Observe == nil {
		return
	}
	e := &r.event
	e.Provider = g.Now().Sub(e.Asked)
	if resp == nil {
		return
	}
	e.ProviderStatus = resp.StatusCode
	if resp.StatusCode >= http.StatusBadRequest && (r.endpoint == upstream.Token || r.endpoint == upstream.PAR) {
		e.ProviderError = oidc.KnownCode(peekError(resp))
	}
}

// maxError bounds what is read of an error answer, in octets: it has some
// hundred.
const maxError = 4 << 10

// peekError reads the error code of an error answer (RFC 6749 §5.2), and
// leaves the answer as it was. No token stands in it: those come with 200.
func peekError(resp *http.Response) string {
	if resp.Header.Get("Content-Encoding") != "" || !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return ""
	}
	start, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	rest := io.Reader(resp.Body)
	if err != nil {
		rest = broken{err}
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(start), rest), resp.Body}
	m, err := oidc.ParseMetadata(start)
	if err != nil {
		return ""
	}
	return m.String("error")
}

// broken is the rest of a body that could not be read.
type broken struct{ err error }

// Read implements io.Reader.
func (b broken) Read([]byte) (int, error) { return 0, b.err }

// noteTarget notes for whom a request is.
func (e *Event) noteTarget(to tenant.Target) {
	e.Tenant, e.TenantID = to.Tenant.Label, to.Tenant.ID
	if to.App != nil {
		e.App = to.App.Name
	}
}

// noteRefusal notes which rule refused, which value it got and what it wanted.
// The values of codes, states and credentials are in no refusal: whoever makes
// one sees to that.
func (e *Event) noteRefusal(status int, err error) {
	var (
		wire *oidc.Error
		no   *tenant.Refusal
		own  rule
	)
	e.Rule, e.Got, e.Want, e.Differs, e.Cause = "", "", "", nil, ""
	if errors.As(err, &wire) {
		e.Rule = wire.Rule
	}
	switch {
	case errors.As(err, &no):
		if wire == nil {
			e.Rule = no.Rule
		}
		e.Got, e.Want, e.Differs = no.Got, no.Want, no.Differs
		if cause := no.Unwrap(); cause != nil && !errors.Is(cause, tenant.ErrUnknown) && !errors.Is(cause, tenant.ErrNotRelayed) {
			e.Cause = cause.Error()
		}
		if no.Rule == "tenant."+string(tenant.Suspended) && tenant.ValidLabel(no.Got) {
			e.Tenant = no.Got
		}
	case errors.As(err, &own):
		if wire == nil {
			e.Rule = own.name
		}
		e.Got, e.Want = shorten(own.got), own.want
	case wire != nil && wire.Cause != nil:
		e.Cause = wire.Cause.Error()
	case wire == nil && err != nil:
		e.Rule, e.Cause = ruleOf(status, err), err.Error()
	}
	switch {
	case errors.Is(err, seal.ErrExpired):
		e.Seal = SealExpired
	case errors.Is(err, seal.ErrOpen), errors.Is(err, errPayload):
		e.Seal = SealInvalid
	}
}

// ruleOf names what stood in a request's way where that was an error of another
// room, or of the provider.
func ruleOf(status int, err error) string {
	switch {
	case errors.Is(err, errTooLong):
		return "target.length"
	case errors.Is(err, horizon.ErrMisdirected):
		return "host.unknown"
	case errors.Is(err, horizon.ErrHost):
		return "host.malformed"
	case errors.Is(err, upstream.ErrNoTenant):
		return "issuer.tenant.unknown"
	case errors.Is(err, upstream.ErrNoIssuer):
		return "issuer.unknown"
	case errors.Is(err, upstream.ErrAnswer):
		return "provider.answer"
	}
	switch status {
	case http.StatusRequestEntityTooLarge:
		return "body.size"
	case http.StatusServiceUnavailable:
		return "provider.metadata"
	case http.StatusGatewayTimeout:
		return "provider.timeout"
	case http.StatusBadGateway:
		return "provider.unreachable"
	}
	return "body.broken"
}
