package journal

import (
	"strings"
	"testing"
	"time"

	"onedoor/gateway/gatewaytest"
	"onedoor/store"
)

const nobodyRedeems = "people come back from the provider, and no app redeems their codes"

// watchAll is what every replica does every few minutes.
func (d *desk) watchAll() {
	for _, j := range d.journals {
		j.watch(d.t.Context())
	}
}

// funnels is what the funnel holds once everything is written.
func (d *desk) funnels() []Funnel {
	d.t.Helper()
	d.settle()
	list, err := d.records.Funnels(d.t.Context(), store.FunnelQuery{Until: d.clock().UnixMilli() + 1})
	if err != nil {
		d.t.Fatal(err)
	}
	return list
}

// Thirty come back, the app has a wrong secret or cannot reach the token
// endpoint: no rule of the door refuses anybody, and somebody sees it all the
// same.
func TestThirtyWhoComeBackAndNobodyWhoRedeemsIsALineInTheLog(t *testing.T) {
	d := newDesk(t, 3, nil)
	for i := range 30 {
		d.Begin(i%3, gatewaytest.Shop, "acme").Return((i+1)%3, "")
	}
	for range 12 {
		d.Whole(gatewaytest.Shop, "globex")
	}
	d.Begin(0, gatewaytest.Pusher, "acme").Return(1, "")
	list := d.funnels()
	if len(list) != 3 || list[0].Returned != 30 || list[2].Redeemed != 12 {
		t.Fatalf("%+v", list)
	}
	if f := list[0]; f.Tenant != "acme" || f.App != gatewaytest.Shop || f.Asked != 30 || f.Sent != 30 || f.CameBack != 30 || f.Tried != 0 || f.Redeemed != 0 || !f.Lost {
		t.Errorf("%+v", f)
	}
	if list[1].Lost || list[2].Lost {
		t.Errorf("one that just began, or a sound one, counts as lost: %+v", list)
	}
	d.watchAll()
	if n := d.log.Count(nobodyRedeems); n != 0 {
		t.Error("those who came back a moment ago are missed already")
	}
	d.pass(10 * time.Minute)
	d.watchAll()
	d.watchAll()
	if n := d.log.Count(nobodyRedeems); n != 1 {
		t.Errorf("%d lines tell of it, want one:\n%s", n, d.log.String())
	}
	for _, want := range []string{"app=shop", "tenant=acme", "returned=30", "tried=0", "onedoor trace find --failed --app shop --tenant acme"} {
		if d.log.Count(want) != 1 {
			t.Errorf("the line has no %s:\n%s", want, d.log.String())
		}
	}
	d.pass(2 * time.Hour)
	d.watchAll()
	if n := d.log.Count(nobodyRedeems); n != 1 {
		t.Error("what is long over is told again")
	}
}

// Each tenant has few logins: the app is what tells.
func TestAnAppOfWhichNoTenantRedeemsIsOneLine(t *testing.T) {
	d := newDesk(t, 1, nil)
	for _, label := range []string{"acme", "globex"} {
		for range 6 {
			d.Begin(0, gatewaytest.Shop, label).Return(0, "")
		}
	}
	d.settle()
	d.pass(10 * time.Minute)
	d.watchAll()
	if d.log.Count(nobodyRedeems) != 1 || d.log.Count(`tenant=""`) != 1 || d.log.Count("returned=12") != 1 {
		t.Errorf("the log says\n%s", d.log.String())
	}
	if strings.Contains(d.log.String(), "--tenant") {
		t.Error("the line names a tenant")
	}
}

func TestThatItIsToldAgainInTheNextWindowWhileItLasts(t *testing.T) {
	d := newDesk(t, 2, nil)
	for window := range 3 {
		for range 10 {
			d.Begin(0, gatewaytest.Shop, "acme").Return(1, "")
		}
		d.settle()
		d.pass(5 * time.Minute)
		d.watchAll()
		d.watchAll()
		if n := d.log.Count(nobodyRedeems); n != window+1 {
			t.Fatalf("%d lines after %d windows:\n%s", n, window+1, d.log.String())
		}
		d.pass(26 * time.Minute)
	}
}
