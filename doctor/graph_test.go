package doctor

import (
	"context"
	"strings"
	"testing"
)

func step(id string, v verdict, needs, under []string) node {
	return node{id: id, title: id, needs: needs, under: under, run: func(context.Context) verdict { return v }}
}

func judged(nodes ...node) *Report {
	g := graph{nodes: nodes}
	return g.judge(context.Background(), func(string) {})
}

func TestChecksThatFailForTheSameReasonAreOneFinding(t *testing.T) {
	lost := fail(ReachRefused, "auth:80", "refused", "start it")
	r := judged(
		step("a", lost, nil, nil),
		step("b", lost, nil, nil),
		step("c", fail(ReachRefused, "other:80", "refused"), nil, nil),
	)
	if len(r.Findings) != 2 || len(r.Findings[0].Same) != 1 || r.Findings[0].Same[0].Because != "a" {
		t.Errorf("the findings are %+v", r.Findings)
	}
	if r.OK {
		t.Error("the report is good")
	}
}

func TestAFailureIsFoldedUnderTheCheckThatExplainsIt(t *testing.T) {
	r := judged(
		step("upstream", fail(DoorUpstream, "keycloak:8080", "no"), nil, nil),
		step("public", fail(ProviderDown, "https://auth", "503"), nil, []string{"upstream"}),
		step("sound", ok(""), nil, []string{"upstream"}),
	)
	if len(r.Findings) != 1 || r.Findings[0].Cause != DoorUpstream || len(r.Findings[0].Same) != 1 {
		t.Errorf("the findings are %+v", r.Findings)
	}
	if r.check("sound").Status != OK {
		t.Error("a check that passes was taken for a symptom")
	}
}

func TestAWarningExplainsNoFailure(t *testing.T) {
	r := judged(
		step("loose", warn(RedirectPrefix, "app", "prefix"), nil, nil),
		step("lost", fail(ReachTimeout, "auth:443", "timeout"), nil, []string{"loose"}),
	)
	if len(r.Findings) != 2 || r.Findings[0].Cause != ReachTimeout {
		t.Errorf("the findings are %+v", r.Findings)
	}
}

func TestWhatCannotBeLookedAtIsSkippedAndSaysWhy(t *testing.T) {
	never := node{id: "keys", title: "keys", needs: []string{"document"}, run: func(context.Context) verdict {
		t.Error("it was made all the same")
		return ok("")
	}}
	r := judged(
		step("reach", fail(ReachRefused, "auth:80", "refused"), nil, nil),
		step("document", ok(""), []string{"reach"}, nil),
		never,
	)
	for id, why := range map[string]string{"document": "reach failed", "keys": "document was not looked at"} {
		if c := r.check(id); c.Status != Skipped || c.Said != why || c.Because != "reach" {
			t.Errorf("%s: %+v, want %q", id, c, why)
		}
	}
	if n := len(r.Findings[0].Same); n != 2 {
		t.Errorf("%d checks are folded under the cause, want 2", n)
	}
}

func TestWithoutTimeWhatIsLeftIsSkipped(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	g := graph{nodes: []node{step("a", ok(""), nil, nil)}}
	if c := g.judge(ctx, func(string) {}).check("a"); c.Status != Skipped || !strings.Contains(c.Said, "--timeout") {
		t.Errorf("the check is %+v", c)
	}
}

func TestFailuresStandBeforeWarnings(t *testing.T) {
	r := judged(
		step("a", warn(IssuerInsecure, "http://auth", "http"), nil, nil),
		step("b", fail(ClientUnknown, "app", "unknown"), nil, nil),
	)
	if r.Findings[0].Cause != ClientUnknown {
		t.Errorf("the findings are %+v", r.Findings)
	}
}

func TestAReportSaysThatThereWasNoTimeLeft(t *testing.T) {
	var g graph
	g.add(node{id: "one", run: func(context.Context) verdict { return ok("") }})
	if r := g.judge(t.Context(), func(string) {}); r.Late {
		t.Errorf("%+v", r)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if r := g.judge(over, func(string) {}); !r.Late || r.Checks[0].Status != Skipped {
		t.Errorf("%+v", r)
	}
}
