package verify

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"onedoor/doctor"
	"onedoor/tenant"
)

// The findings, which are about the provider or the door and no one tenant.
const (
	ProviderOpen  Outcome = "provider.open"  // codes are sent to whoever asks
	ProviderLoose Outcome = "provider.loose" // and to every page beside the registered one
	DoorOpen      Outcome = "door.open"
)

// Finding is a way to steal codes.
type Finding struct {
	Outcome Outcome  `json:"outcome"`
	App     string   `json:"app"`
	URI     string   `json:"redirect_uri"` // that was accepted
	Tenants []string `json:"tenants"`      // some at which it was found; usually it is so for all
	Detail  string   `json:"detail"`
	Fix     string   `json:"fix"`
}

// Grave says whether somebody can steal codes by it alone. The other kind needs
// a page of the site that sends visitors on.
func (f Finding) Grave() bool { return f.Outcome != ProviderLoose }

// maxNamed bounds the tenants that a finding names.
const maxNamed = 5

// control asks what must be refused, once for each app and issuer: an address
// that nobody can have registered. The provider is asked itself, since the door
// lets no such request through to it; and the door is.
//
// A provider that sent the login's answer back would send that of a control
// that it accepts; of another one, an answer that is no refusal says nothing.
func (r *Round) control(ctx context.Context, l tenant.Login, endpoint, push string, came bool) {
	key := l.App.Name + " " + l.Issuer
	r.mu.Lock()
	once := r.controls[key]
	if once == nil {
		if len(r.controls) >= maxIssuers {
			clear(r.controls)
		}
		once = &sync.Once{}
		r.controls[key] = once
	}
	r.mu.Unlock()
	q := doctor.Question{Endpoint: endpoint, Push: push, ClientID: l.App.ClientID}
	once.Do(func() {
		if l.App.Mode == tenant.Transparent {
			r.ask(ctx, r.Scout, l, q, l.RedirectURI, DoorOpen, came)
			if r.Provider != nil {
				r.ask(ctx, r.Provider, l, q, l.Registered, ProviderOpen, came)
			}
			return
		}
		r.ask(ctx, r.Scout, l, q, l.RedirectURI, ProviderOpen, came)
	})
}

// ask asks the controls of a redirect URI, and keeps the worst that was
// accepted.
func (r *Round) ask(ctx context.Context, s *doctor.Scout, l tenant.Login, q doctor.Question, uri string, o Outcome, came bool) {
	for _, c := range doctor.Controls(uri) {
		q.RedirectURI = c.RedirectURI
		a := s.Ask(ctx, q)
		switch a.Outcome {
		case doctor.Accepted, doctor.RefusedRequest:
			r.find(l, c, o)
			return
		case doctor.Down, doctor.Unreachable:
			r.cannotTell("the negative control of app " + l.App.Name + " could not be asked: " + a.At + ": " + a.Said)
			return
		case doctor.Elsewhere, doctor.Unclear:
			if !came {
				r.cannotTell("the negative control of app " + l.App.Name + " is neither accepted nor refused, and no more is a login: it leads to " + a.At)
				return
			}
		}
	}
}

func (r *Round) cannotTell(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blind = why
}

func (r *Round) find(l tenant.Login, c doctor.Control, o Outcome) {
	f := Finding{
		Outcome: o, App: l.App.Name, URI: c.RedirectURI, Tenants: []string{l.Tenant.Label},
		Detail: "a login of client " + l.App.ClientID + " may end at " + c.RedirectURI + ", which nobody can have registered: whoever sends a person that link gets the code",
		Fix:    "at the provider, register " + l.Registered + " exactly for client " + l.App.ClientID + ", without a wildcard (RFC 9700 §2.1)",
	}
	switch {
	case o == DoorOpen:
		f.Fix = "the door must refuse this: report it as SECURITY.md says"
	case c.Kind == doctor.ControlPath:
		f.Outcome = ProviderLoose
		f.Detail = "a login of client " + l.App.ClientID + " may end at " + c.RedirectURI + ", too: any page there that sends a visitor on gives codes away"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(r.findings, func(g Finding) bool { return g.Outcome == f.Outcome && g.App == f.App })
	switch {
	case i < 0:
		r.findings = append(r.findings, f)
	case len(r.findings[i].Tenants) < maxNamed:
		r.findings[i].Tenants = append(r.findings[i].Tenants, l.Tenant.Label)
	}
}

// worst are the findings of which there is room for one at each app.
func worst(findings []Finding) []Finding {
	weight := map[Outcome]int{DoorOpen: 0, ProviderOpen: 1, ProviderLoose: 2}
	all := slices.Clone(findings)
	slices.SortStableFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.App, b.App), weight[a.Outcome]-weight[b.Outcome])
	})
	return slices.CompactFunc(all, func(a, b Finding) bool { return a.App == b.App })
}

// Findings are those of the round so far.
func (r *Round) Findings() []Finding {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.findings)
}

// Blind is why a negative control could not be asked, "" where all could.
func (r *Round) Blind() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.blind
}
