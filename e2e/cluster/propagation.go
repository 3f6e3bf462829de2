//go:build linux

package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// pollEvery is how often a replica is asked whether it knows of a change.
const pollEvery = 5 * time.Millisecond

// disturbances knows when a replica was down or without the database: how fast
// it learns of changes is measured at other times.
type disturbances struct {
	mu  sync.Mutex
	all []*outage
}

func (d *disturbances) begin(replica string, now time.Time) *outage {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := &outage{replica: replica, from: now}
	d.all = append(d.all, o)
	return o
}

func (d *disturbances) end(o *outage, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.to = now
}

// of says whether a replica was disturbed at some time between the two.
func (d *disturbances) of(replica string, from, to time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.all {
		if (o.replica == "" || o.replica == replica) && !o.from.After(to) && (o.to.IsZero() || !o.to.Before(from)) {
			return true
		}
	}
	return false
}

// propagation measures how long after its acknowledgement a change is known by
// the last of the replicas.
type propagation struct {
	disturbed *disturbances

	mu     sync.Mutex
	times  map[string][]time.Duration // by kind of change
	passed int                        // measurements that were disturbed
}

// watch waits until every replica answers for the tenant as the change wants it.
func (p *propagation) watch(ctx context.Context, kind string, replicas []*replica, tenant string, c *change, patience time.Duration) error {
	errs := make(chan error, len(replicas))
	for _, r := range replicas {
		go func() { errs <- p.watchOne(ctx, kind, r, tenant, c, patience) }()
	}
	var first error
	for range replicas {
		if err := <-errs; err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (p *propagation) watchOne(ctx context.Context, kind string, r *replica, tenant string, c *change, patience time.Duration) error {
	for {
		asked := time.Now()
		serves, err := r.serves(ctx, tenant)
		if err == nil && serves == c.active {
			// It was known when the question was answered, perhaps before.
			p.note(kind, r, c, max(0, asked.Sub(c.acked)))
			return nil
		}
		if waited := time.Since(c.acked); waited > patience {
			return fmt.Errorf("%s: %s of %s is not known after %v: %v %v", r.name, kind, tenant, waited, serves, err)
		}
		if pause(ctx, pollEvery); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (p *propagation) note(kind string, r *replica, c *change, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.disturbed.of(r.address, c.sent, c.acked.Add(took)) {
		p.passed++
		return
	}
	if p.times == nil {
		p.times = map[string][]time.Duration{}
	}
	p.times[kind] = append(p.times[kind], took)
}
