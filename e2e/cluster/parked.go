//go:build linux

package cluster

import (
	"context"
	"sync"
	"time"
)

// parked is a login that waits before one of its legs.
type parked struct {
	leg     string
	outcome chan outcome
	release func()
}

// park begins a login and brings it as far as the leg. It may end before: then
// there is nothing to release.
func (c *cluster) park(ctx context.Context, f *fleet, number int, tenant, leg string) *parked {
	reached, release := make(chan struct{}), make(chan struct{})
	p := c.person(f, number, number)
	reach := sync.OnceFunc(func() { close(reached) })
	p.before = func(next string) {
		if next == leg {
			reach()
			<-release
		}
	}
	w := &parked{leg: leg, outcome: make(chan outcome, 1), release: sync.OnceFunc(func() { close(release) })}
	go func() {
		w.outcome <- p.logIn(ctx, tenant)
		reach()
	}()
	<-reached
	return w
}

// suspendUnderWay suspends a tenant while logins of it wait before each of their
// legs. When every replica must know, they go on, and none may come any further.
func (c *cluster) suspendUnderWay(ctx context.Context, number int, tenant string) error {
	f := c.fleets[number%len(c.fleets)]
	var waiting []*parked
	for i, leg := range []string{legPassword, legCallback, legToken} {
		waiting = append(waiting, c.park(ctx, f, 6000+10*number+i, tenant, leg))
	}
	defer func() {
		for _, w := range waiting {
			w.release()
		}
	}()
	ch, err := c.office.set(ctx, tenant, false)
	if err == nil {
		err = c.spread.watch(ctx, "suspended", c.replicas, tenant, ch, 30*time.Second)
	}
	if err != nil {
		return err
	}
	for _, w := range waiting {
		if w.leg == legPassword {
			w.release() // the provider knows nothing of tenants: it stops at the leg after
		}
	}
	pause(ctx, time.Until(ch.acked.Add(effective)))
	for _, w := range waiting {
		w.release()
		if o := <-w.outcome; o == finished {
			c.wrong("a login of %s that waited before its leg %s while the tenant was suspended was %v", tenant, w.leg, o)
		}
	}
	return nil
}
