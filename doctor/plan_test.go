package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAPlanMakesTheJourneyAndComesBackAsAReport(t *testing.T) {
	f := newFake(t)
	s := Subject{Issuer: f.URL}
	p, err := s.Plan("app")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadPlan(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	report, err := json.Marshal(Look(context.Background(), read, time.Now))
	if err != nil {
		t.Fatal(err)
	}
	brought := Written("app", func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(report)), nil })
	if r := examine(t, s, brought); !r.OK || r.check("document/app/public").Status != OK {
		t.Errorf("the report is %+v", r.Checks)
	}
	other := Subject{Issuer: f.URL + "/realms/other"}
	r := examine(t, other, brought)
	if v := r.Vantages[1]; !strings.Contains(v.Blind, "another plan") {
		t.Errorf("a report on another plan is taken: %+v", v)
	}
}

func TestWhatIsNoPlanAndNoReportIsRefused(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":       "",
		"a page":        "<html>",
		"another":       `{"version":99,"bases":[{"url":"http://a"}]}`,
		"no addresses":  `{"version":1}`,
		"another proto": `{"version":1,"bases":[{"url":"file:///etc/passwd"}]}`,
		"too much":      strings.Repeat(" ", maxPlan+1),
	} {
		if _, err := ReadPlan(strings.NewReader(text)); err == nil {
			t.Errorf("%s is taken for a plan", name)
		}
	}
	if _, err := ReadSight(strings.NewReader("sh: onedoor: not found")); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("the error is %v", err)
	}
}

// Whoever has the say where a probe runs writes its report, too.
func TestAReportThatCannotBeUnderstoodIsNotJudged(t *testing.T) {
	f := newFake(t)
	s := Subject{Issuer: f.URL, Discovery: []string{f.URL}}
	for name, forge := range map[string]func(*Sight){
		"no end of a visit":        func(s *Sight) { s.Bases[0].Discovery = Visit{} },
		"two ends of a visit":      func(s *Sight) { s.Bases[0].Discovery.Failure = failRefused },
		"no end of an endpoint's":  func(s *Sight) { s.Bases[1].Endpoints[0].Answer = nil },
		"no end of a variant's":    func(s *Sight) { s.Bases[0].Variants = []Visit{{URL: f.URL}} },
		"no end of another face's": func(s *Sight) { s.Bases[1].Face = &Visit{} },
		"no end of the door's":     func(s *Sight) { s.Bases[0].Health = &Visit{} },
		"visits without end":       func(s *Sight) { s.Bases[0].Variants = slices.Repeat([]Visit{s.Bases[0].Discovery}, 1000) },
		"dials without end":        func(s *Sight) { s.Bases[0].Discovery.Dials = make([]Dial, 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			r := examine(t, s, pretend("app", forge))
			if v := r.Vantages[1]; v.Blind == "" {
				t.Errorf("it is judged: %+v", r.Checks)
			}
		})
	}
}

func TestACommandThatDoesNotLookIsNamed(t *testing.T) {
	f := newFake(t)
	r := examine(t, Subject{Issuer: f.URL}, Command("app", "echo No such container: app >&2; exit 1"))
	if v := r.Vantages[1]; !strings.Contains(v.Blind, "No such container: app") {
		t.Errorf("the vantage says %q", v.Blind)
	}
	if c := r.check("vantage/app"); c.Status != Skipped || c.Said == "" {
		t.Errorf("the check is %+v", c)
	}
}

func TestAddressesThatCannotBeAskedAreRefused(t *testing.T) {
	for _, s := range []Subject{
		{Issuer: "auth.example.com"},
		{Issuer: "ldap://auth.example.com"},
		{Issuer: "https://ada:hunter2@auth.example.com"},
		{Issuer: "https://auth.example.com", Discovery: []string{"//x"}},
		{Issuer: "https://auth.example.com#x"},
		{},
	} {
		_, err := s.Plan(Here)
		if err == nil {
			t.Errorf("%+v is taken", s)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows a password: %v", err)
		}
	}
}
