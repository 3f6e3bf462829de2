package cluster

import (
	"sync"
	"time"
)

// duty is what the door owes a request of a tenant.
type duty int

const (
	either duty = iota // a change of the tenant is on its way
	serve
	refuse
)

// change is one of a tenant: from sent until acked nobody can say whether it has
// happened. What tries again after a cut-off answer goes on with the same change.
type change struct {
	active      bool
	sent, acked time.Time
}

// outage is a time in which a replica could not follow the database. to is zero
// while it lasts; replica is "" for all of them.
type outage struct {
	replica  string
	from, to time.Time
}

// timeline knows what was changed when, and with that what each replica must do
// with a request. It is the only judge of whether a refusal is right.
type timeline struct {
	// effective is how long after its acknowledgement a change may take to be
	// known everywhere; stale is the same bound for a replica that has lost the
	// database, counted from the loss (tenants.stale_after).
	effective, stale time.Duration

	mu      sync.Mutex
	changes map[string][]*change
	outages []*outage
}

func newTimeline(effective, stale time.Duration) *timeline {
	return &timeline{effective: effective, stale: stale, changes: map[string][]*change{}}
}

// begin notes that a change is about to be asked for.
func (t *timeline) begin(tenant string, active bool, now time.Time) *change {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := &change{active: active, sent: now}
	t.changes[tenant] = append(t.changes[tenant], c)
	return c
}

// ack notes that the change was acknowledged.
func (t *timeline) ack(c *change, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.acked = now
}

// lose notes that a replica ("" for all) is about to lose the database.
func (t *timeline) lose(replica string, now time.Time) *outage {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := &outage{replica: replica, from: now}
	t.outages = append(t.outages, o)
	return o
}

// regain notes that it has the database again.
func (t *timeline) regain(o *outage, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	o.to = now
}

// last says whether the last change left the tenant active.
func (t *timeline) last(tenant string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := t.changes[tenant]
	return len(all) > 0 && all[len(all)-1].active
}

// duty is what a replica owes a request of a tenant that was begun and answered
// then. A request meets the registry at some moment between the two.
func (t *timeline) duty(tenant, replica string, began, ended time.Time) duty {
	t.mu.Lock()
	defer t.mu.Unlock()
	owed := refuse // before its first change there is no such tenant
	for _, c := range t.changes[tenant] {
		want := refuse
		if c.active {
			want = serve
		}
		switch {
		case c.sent.After(ended):
			return owed
		case c.acked.IsZero() || began.Before(t.known(c, replica)):
			if want != owed {
				owed = either
			}
		default:
			owed = want
		}
	}
	return owed
}

// known is from when on a replica must know of a change: a moment after it was
// acknowledged, or, where the database was out of its reach then, when what it
// knew has become stale.
func (t *timeline) known(c *change, replica string) time.Time {
	at := c.acked.Add(t.effective)
	for _, o := range t.outages {
		if o.replica != "" && replica != "" && o.replica != replica {
			continue
		}
		if o.from.After(at) || (!o.to.IsZero() && o.to.Add(t.effective).Before(c.sent)) {
			continue
		}
		if stale := o.from.Add(t.stale); stale.After(at) {
			at = stale
		}
	}
	return at
}
