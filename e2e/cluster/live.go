//go:build linux

package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// steadyTenants are active all the time.
const steadyTenants = 12

// live is the test's life: people log in, tenants come and go, and faults are
// made, until the time is over and every kind of fault was.
func (c *cluster) live() {
	c.scope.Helper()
	ctx := context.Background()
	for i := range steadyTenants {
		name := fmt.Sprintf("steady%d", i)
		ch, err := c.office.set(ctx, name, true)
		if err == nil {
			err = c.spread.watch(ctx, "added", c.replicas, name, ch, 10*time.Second)
		}
		if err != nil {
			c.scope.Fatalf("%v", err)
		}
		c.pool.steady = append(c.pool.steady, name)
	}
	logins, last := context.WithCancel(ctx) // until then logins are begun
	release := make(chan struct{})
	var people, patient, changes sync.WaitGroup
	for i, f := range c.fleets {
		n := []int{c.People, c.KeycloakPeople}[i]
		for j := range n {
			people.Go(func() { c.person(f, i*1000+j, j).spend(logins, c.pool) })
		}
		patient.Go(func() { c.waitAtTheLoginPage(f, i*1000+n, release) })
	}
	for i := range 2 {
		rng := c.newRNG(uint64(100 + i))
		changes.Go(func() { c.comeAndGo(logins, i, rng) })
	}
	c.faults(ctx)
	last()
	c.say("no more logins are begun")
	changes.Wait()
	people.Wait()
	close(release)
	patient.Wait()
}

func (c *cluster) newRNG(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(c.Seed, stream)) //nolint:gosec // repeatable
}

func (c *cluster) person(f *fleet, number, nth int) *person {
	name := c.Keycloak.Username
	if f == c.fleets[0] {
		name = fmt.Sprintf("person%d", nth%((c.People+3)/4))
	}
	return newPerson(f.crowd, number, name, c.newRNG(uint64(1000+number))) //nolint:gosec // a small number
}

// spend logs in again and again: with a new browser by password, and then a few
// times by the session.
func (p *person) spend(ctx context.Context, pool *pool) {
	for ctx.Err() == nil && p.ledger.bearable() {
		p.forget()
		for range 1 + p.rng.IntN(4) {
			if ctx.Err() == nil && p.ledger.bearable() {
				p.logIn(context.WithoutCancel(ctx), pool.pick(p.rng))
			}
		}
	}
}

// waitAtTheLoginPage is somebody who begins to log in before anything happens
// and types the password when everything has.
func (c *cluster) waitAtTheLoginPage(f *fleet, number int, release <-chan struct{}) {
	p := c.person(f, number, 0)
	p.before = func(leg string) {
		if leg == legPassword {
			<-release
		}
	}
	if o := p.logIn(context.Background(), c.pool.steady[0]); o != finished {
		c.wrong("%s: the login that waited at the login page through everything: %v", f.name, o)
	}
}

// comeAndGo adds a tenant, lets people log in, suspends it, perhaps resumes it,
// and removes it, over and over.
func (c *cluster) comeAndGo(ctx context.Context, number int, rng *rand.Rand) {
	always := context.WithoutCancel(ctx) // a tenant's life is not cut short
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("passing%d-%d", number, n)
		steps := []string{"added", "suspended", "removed"}
		if rng.IntN(2) == 0 {
			steps = slices.Insert(steps, 2, "resumed", "suspended")
		}
		for _, step := range steps {
			if step == "added" {
				c.pool.add(name) // people come a moment too early, too
			}
			var err error
			if step == "suspended" {
				err = c.suspendUnderWay(always, number, name)
			} else {
				err = c.step(always, step, name)
			}
			if err != nil {
				c.wrong("%v", err)
				return
			}
			pause(ctx, 300*time.Millisecond+time.Duration(rng.Int64N(int64(2*time.Second))))
		}
	}
}

// step makes one change and waits until all replicas know of it.
func (c *cluster) step(ctx context.Context, step, tenant string) error {
	var ch *change
	var err error
	switch step {
	case "removed":
		ch, err = c.office.remove(ctx, tenant)
	default:
		ch, err = c.office.set(ctx, tenant, step != "suspended")
	}
	if err != nil {
		return err
	}
	return c.spread.watch(ctx, step, c.replicas, tenant, ch, 30*time.Second)
}
