package doctor

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// planVersion changes when a probe of another version would misread a plan.
const planVersion = 1

// maxPlan and maxSight bound what is read from somebody else, octets.
const (
	maxPlan  = 1 << 20
	maxSight = 16 << 20
	maxBases = 100
)

// Plan is what a vantage is asked to look at. It holds no secret.
type Plan struct {
	Version int    `json:"version"`
	Vantage string `json:"vantage"`
	// Allowed are the origins that may be asked. A probe asks no others,
	// whatever a document says.
	Allowed []string `json:"allowed"`
	Bases   []Base   `json:"bases"`
	// AsBrowser looks names under localhost up as browsers do.
	AsBrowser bool `json:"as_browser,omitempty"`
	// Front are further addresses that browsers open, for the browser alone.
	Front []string `json:"front,omitempty"`
	CA    string   `json:"ca,omitempty"` // PEM
}

// Base is an address at which a provider's metadata should be.
type Base struct {
	Role   string `json:"role"`   // public, discovery or upstream
	URL    string `json:"url"`    // an issuer, or the full address of a document
	Issuer string `json:"issuer"` // the issuer that it should be of
	// As is the public origin that a proxy before the provider would claim. For
	// an upstream every request claims it; for others one more does.
	As string `json:"as,omitempty"`
	// Endpoints are visited too, where the document names them.
	Endpoints bool `json:"endpoints,omitempty"`
	// Health is an address of the door that says whether it is one.
	Health string `json:"health,omitempty"`
}

// The roles of a base.
const (
	rolePublic    = "public"    // what browsers use
	roleDiscovery = "discovery" // what the app is told
	roleUpstream  = "upstream"  // what the door asks
)

// Digest tells one plan from another.
func (p Plan) Digest() string {
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Plan is what a vantage of that name is to look at.
func (s *Subject) Plan(vantage string) (Plan, error) {
	p := Plan{Version: planVersion, Vantage: vantage, AsBrowser: vantage == Here, CA: string(s.CA)}
	if len(s.issuers()) == 0 {
		return p, errors.New("an issuer is needed")
	}
	all := slices.Concat(s.issuers(), s.Discovery, s.LoginURLs, s.Origins, s.Also)
	for _, u := range all {
		if err := checkURL("address", u); err != nil {
			return p, err
		}
	}
	servers := vantage != Here && vantage != Browser
	public := originOf(s.issuers()[0])
	for _, issuer := range s.issuers() {
		b := Base{Role: rolePublic, URL: issuer, Issuer: issuer, Endpoints: vantage != Browser && (!servers || len(s.Discovery) == 0)}
		if s.Door != nil && !servers {
			b.Health = originOf(issuer) + "/onedoor/health/live"
		}
		p.Bases = append(p.Bases, b)
		if s.Door != nil && s.Door.Upstream != "" && vantage == Here {
			p.Bases = append(p.Bases, Base{Role: roleUpstream, URL: s.Door.Upstream + strings.TrimPrefix(issuer, public), Issuer: issuer, As: public})
		}
	}
	if vantage != Browser {
		for _, at := range s.Discovery {
			b := Base{Role: roleDiscovery, URL: at, Issuer: s.issuers()[0], Endpoints: true, As: public}
			for _, issuer := range s.issuers() { // the issuer whose path it has
				if strings.HasSuffix(documentURL(at), documentURL(strings.TrimPrefix(issuer, originOf(issuer)))) {
					b.Issuer = issuer
				}
			}
			p.Bases = append(p.Bases, b)
		}
	}
	if len(p.Bases) > maxBases {
		return p, fmt.Errorf("%d addresses are to be looked at, more than %d", len(p.Bases), maxBases)
	}
	p.Allowed = s.allowedOrigins(vantage)
	return p, nil
}

// allowedOrigins are all that a person named, once each.
func (s *Subject) allowedOrigins(vantage string) []string {
	var origins []string
	add := func(urls ...string) {
		for _, u := range urls {
			if o := originOf(u); o != "" && !slices.Contains(origins, o) {
				origins = append(origins, o)
			}
		}
	}
	add(s.issuers()...)
	add(s.Discovery...)
	add(s.Also...)
	if s.Door != nil {
		add(s.Door.Public...)
		add(s.Door.Internal...)
	}
	if vantage == Here {
		add(s.LoginURLs...)
		if s.Door != nil {
			add(s.Door.Upstream)
		}
	}
	return origins
}

// ReadPlan reads a plan from somebody else.
func ReadPlan(r io.Reader) (Plan, error) {
	var p Plan
	text, err := io.ReadAll(io.LimitReader(r, maxPlan+1))
	if err != nil {
		return p, err
	}
	if len(text) > maxPlan {
		return p, fmt.Errorf("the plan has more than %d octets", maxPlan)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("this is no plan of onedoor doctor: %v", err)
	}
	if p.Version != planVersion {
		return p, fmt.Errorf("the plan has version %d, and this program knows %d: use one version of onedoor on both sides", p.Version, planVersion)
	}
	if len(p.Bases) == 0 || len(p.Bases) > maxBases {
		return p, fmt.Errorf("the plan has %d addresses to look at, not 1 to %d", len(p.Bases), maxBases)
	}
	for _, b := range p.Bases {
		if err := checkURL("plan", b.URL); err != nil {
			return p, err
		}
	}
	return p, nil
}

// Sight is what a vantage saw.
type Sight struct {
	Version   int    `json:"version"`
	Plan      string `json:"plan"` // its digest
	Vantage   string `json:"vantage"`
	Container bool   `json:"container"` // it runs inside a container
	NoRoots   bool   `json:"no_roots"`  // it has no certificate authorities of its own
	Now       int64  `json:"now"`       // its clock, unix seconds, when it ended
	Bases     []Seen `json:"bases"`
	// Cookies says what a browser does with them; nil elsewhere.
	Cookies *bool `json:"cookies,omitempty"`
}

// Seen is what was seen of a base.
type Seen struct {
	Base      Base    `json:"base"`
	Discovery Visit   `json:"discovery"`
	Variants  []Visit `json:"variants,omitempty"`  // other spellings, where there is no document
	Face      *Visit  `json:"face,omitempty"`      // the document with, or without, a proxy's headers
	Endpoints []Visit `json:"endpoints,omitempty"` // what the document names
	Health    *Visit  `json:"health,omitempty"`
}

func (s *Seen) document() *Document {
	if s.Discovery.Answer == nil || s.Discovery.Answer.Status != 200 {
		return nil
	}
	return s.Discovery.Answer.Document
}

// ReadSight reads what a probe saw.
func ReadSight(r io.Reader) (Sight, error) {
	var s Sight
	text, err := io.ReadAll(io.LimitReader(r, maxSight+1))
	if err != nil {
		return s, err
	}
	if len(text) > maxSight {
		return s, fmt.Errorf("the report has more than %d octets", maxSight)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("this is no report of onedoor probe: %q", bounded(oneLine(string(text)), maxSaid))
	}
	return s, nil
}

// check refuses a report on another plan: what it saw is not what is judged.
func (s *Sight) check(p Plan) error {
	if s.Version != planVersion {
		return fmt.Errorf("the report has version %d, and this program knows %d: use one version of onedoor on both sides", s.Version, planVersion)
	}
	if s.Plan != p.Digest() || len(s.Bases) != len(p.Bases) {
		return errors.New("the report is about another plan: look again with the plan that --plan prints now")
	}
	for i := range s.Bases {
		s.Bases[i].Base = p.Bases[i]
		if !s.Bases[i].whole() {
			return fmt.Errorf("the report says nothing of %s that can be understood", p.Bases[i].URL)
		}
	}
	return nil
}

// maxVisits and maxSteps bound what a report says of one base, and of one visit.
const (
	maxVisits = 50
	maxSteps  = 50
)

// whole says whether of each visit it is told how it ended. The program that
// looked may run where somebody else has the say.
func (s *Seen) whole() bool {
	all := slices.Concat([]Visit{s.Discovery}, s.Variants, s.Endpoints)
	for _, v := range []*Visit{s.Face, s.Health} {
		if v != nil {
			all = append(all, *v)
		}
	}
	return len(all) <= maxVisits && !slices.ContainsFunc(all, func(v Visit) bool {
		lookup := v.Lookup != nil && len(v.Lookup.Addresses) > maxSteps
		return (v.Answer == nil) == (v.Failure == "") || len(v.Dials) > maxSteps || lookup
	})
}
