//go:build linux

package cluster

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"syscall"
	"time"
)

// fault is something that goes wrong, and is put right again before the next.
type fault struct {
	name string
	make func(ctx context.Context)
}

// faults makes every kind of fault once, in an order that the seed chooses, and
// goes on in other orders until the time is over.
func (c *cluster) faults(ctx context.Context) {
	until := c.began.Add(c.For)
	c.rest(2 * time.Second)
	for round := 0; round == 0 || time.Now().Before(until); round++ {
		kinds := []fault{
			{"kill", c.kill},
			{"kill", c.kill},
			{"kill", c.kill},
			{"drain", c.drain},
			{"drain", c.drain},
			{"rotate", c.rotate},
			{"reload", c.reload},
			{"database", c.restartDatabase},
			{"cut", c.cutOff},
			{"browser", c.browse},
		}
		c.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
		for _, f := range kinds {
			if round > 0 && time.Now().After(until) {
				break
			}
			f.make(ctx)
			c.rest(time.Second)
		}
	}
	for time.Now().Before(until) {
		pause(ctx, 100*time.Millisecond)
	}
}

// rest lets the stream go on undisturbed for a while, at most that long.
func (c *cluster) rest(most time.Duration) {
	pause(context.Background(), most/4+time.Duration(c.rng.Int64N(int64(most)*3/4)))
}

func (c *cluster) anyFleet() *fleet { return c.fleets[c.rng.IntN(len(c.fleets))] }

func (f *fleet) any(c *cluster) *replica { return f.replicas[c.rng.IntN(len(f.replicas))] }

// kill ends a replica without a warning and starts it again, now or later.
func (c *cluster) kill(context.Context) {
	f := c.anyFleet()
	c.killThis(f, f.any(c), c.rng.IntN(2) == 0)
}

func (c *cluster) killThis(f *fleet, r *replica, stays bool) {
	d := c.disturbed.begin(r.address, time.Now())
	underWay, k := f.crowd.ledger.underWay(), f.crowd.kills.begin(r.address, "was killed")
	r.current().Kill()
	f.crowd.kills.end(k)
	c.say("%s killed, %d logins under way", r.name, underWay)
	if stays {
		c.rest(2 * time.Second)
	}
	c.bringBack(r, d)
}

func (c *cluster) bringBack(r *replica, d *outage) {
	began := time.Now()
	r.start()
	r.await()
	took := time.Since(began)
	c.mark("a replica is ready after its start", took)
	c.disturbed.end(d, time.Now())
	c.say("%s ready after %.2f s", r.name, took.Seconds())
}

// drain asks a replica to end. It answers what it has; nothing is excused.
func (c *cluster) drain(context.Context) {
	f := c.anyFleet()
	r := f.any(c)
	d := c.disturbed.begin(r.address, time.Now())
	began := time.Now()
	if err := r.current().Terminate(); err != nil {
		c.wrong("%s was asked to end and ended with %v", r.name, err)
	}
	took := time.Since(began)
	c.mark("a replica ends after SIGTERM", took)
	c.say("%s drained in %.2f s, %d logins under way", r.name, took.Seconds(), f.crowd.ledger.underWay())
	c.bringBack(r, d)
}

// rotate makes a new sealing key.
func (c *cluster) rotate(context.Context) {
	c.command("", "key", "rotate", "-c", c.replicas[c.rng.IntN(len(c.replicas))].file)
	c.say("sealing key rotated")
}

// reload gives every replica a changed configuration while it runs.
func (c *cluster) reload(context.Context) {
	c.reloads++
	taken := []byte(`"configuration reloaded"`)
	for _, r := range c.replicas {
		p := r.current()
		before := bytes.Count(p.Output(), taken)
		text := fmt.Sprintf("%sseal: {code_ttl: %dm}\n", r.config, 2+c.reloads%2)
		if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
			c.scope.Fatalf("%s: %v", r.name, err)
		}
		p.Hangup()
		p.Await(r.scope, "it has taken its configuration", func() error {
			if n := bytes.Count(p.Output(), taken); n <= before {
				return fmt.Errorf("taken %d times", n)
			}
			return nil
		})
	}
	c.say("every replica has another configuration")
}

// restartDatabase crashes the database and starts it again when logins that do
// not need it were finished without.
func (c *cluster) restartDatabase(ctx context.Context) {
	o := c.line.lose("", time.Now())
	d := c.disturbed.begin("", time.Now())
	from, k := time.Now(), c.fleets[0].crowd.kills.begin("", "the database was stopped")
	c.db.Stop(syscall.SIGQUIT)
	down := time.Now()
	c.fleets[0].crowd.kills.end(k)
	c.say("database stopped, immediately")
	if status, answer := c.office.ask(ctx, http.MethodPut, "/v1/tenants/steady0", []byte(`{"status":"active"}`)); status != http.StatusServiceUnavailable {
		c.wrong("a change without a database is answered %d %s, want 503", status, answer)
	}
	if len(c.fleets) > 1 {
		c.goOnWithoutDatabase(ctx, down)
	}
	// One that is started now waits for the database.
	late := c.fleets[0].any(c)
	k = c.fleets[0].crowd.kills.begin(late.address, "was killed")
	late.current().Kill()
	c.fleets[0].crowd.kills.end(k)
	late.start()
	c.say("%s killed, and started without a database", late.name)
	late.current().Await(late.scope, "it lives", func() error { return late.says("/onedoor/health/live", http.StatusOK) })
	for _, path := range []string{"/onedoor/health/ready", "/tenants/steady0/callback?error=access_denied"} {
		if err := late.says(path, http.StatusServiceUnavailable); err != nil {
			c.wrong("a door without a database: %v", err)
		}
	}
	c.db.Start()
	c.line.regain(o, time.Now())
	c.say("database started again after %.2f s", time.Since(from).Seconds())
	up := time.Now()
	for _, r := range c.replicas {
		r.await()
	}
	// From here on a change must be as fast as ever.
	if err := c.step(ctx, "added", c.pool.steady[1]); err != nil {
		c.wrong("after the database's restart: %v", err)
	}
	c.mark("a change is known everywhere after the database's start", time.Since(up))
	c.disturbed.end(d, time.Now())
}

// goOnWithoutDatabase waits until people have logged in through Keycloak, from
// beginning to end, while the database was away. It must be soon, for the
// registries grow stale.
func (c *cluster) goOnWithoutDatabase(ctx context.Context, down time.Time) {
	l := c.fleets[1].crowd.ledger
	const enough = 3
	for {
		n := 0
		for _, e := range l.within(down, time.Now()) {
			if e.outcome == finished {
				n++
			}
		}
		if n >= enough {
			c.say("%d logins before Keycloak were begun and finished without a database", n)
			return
		}
		if time.Since(down) > staleAfter-margin {
			c.wrong("only %d logins before Keycloak were begun and finished without a database in %v", n, time.Since(down))
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// cutOff takes the database from one replica, without a word: packets are
// swallowed. A tenant is suspended and a key rotated; the replica cannot know,
// must not serve the tenant for longer than the bound, and must send nobody away
// who brings what the new key sealed.
func (c *cluster) cutOff(ctx context.Context) {
	f := c.anyFleet()
	r := f.any(c)
	victim := "cut-off-" + time.Now().Format("150405")
	if err := c.step(ctx, "added", victim); err != nil {
		c.wrong("%v", err)
		return
	}
	o, d := c.line.lose(r.address, time.Now()), c.disturbed.begin(r.address, time.Now())
	from := time.Now()
	if f == c.fleets[0] {
		k := f.crowd.kills.begin(r.address, "was cut off from the database")
		r.wire.swallow()
		f.crowd.kills.end(k)
	} else {
		r.wire.swallow()
	}
	c.say("%s cut off from the database", r.name)
	others := office{replicas: c.without(r), line: c.line, http: c.office.http, acked: c.office.acked, refused: c.office.refused}
	c.command("", "key", "rotate", "-c", others.replicas[0].file)
	ch, err := others.set(ctx, victim, false)
	if err != nil {
		c.wrong("%v", err)
		return
	}
	asking, enough := context.WithCancel(ctx)
	asked := make(chan struct{})
	go func() {
		defer close(asked)
		c.askWithAStrangeKey(asking, r)
	}()
	served, refusing := c.watchStale(ctx, r, victim, from)
	// By now the others seal with the new key, and this one cannot look for it.
	pause(ctx, 2*time.Second)
	enough()
	<-asked
	c.mark("a suspended tenant was served by a replica without the database", served.Sub(ch.acked))
	c.mark("a replica without the database said 503 after", refusing.Sub(from))
	r.wire.heal()
	healed := time.Now()
	if err := c.spread.watchOne(ctx, "suspended", r, victim, ch, time.Minute); err != nil {
		c.wrong("%v", err)
	}
	took := time.Since(healed)
	c.mark("a replica that has the database again knows what happened after", took)
	c.line.regain(o, time.Now())
	c.disturbed.end(d, time.Now())
	c.say("%s has the database again, and knows what happened after %.2f s", r.name, took.Seconds())
}

// askWithAStrangeKey brings a replica states that name a key that it does not
// know, as anybody can: it looks for it in the database, and must not wait for
// long where that does not answer.
func (c *cluster) askWithAStrangeKey(ctx context.Context, r *replica) {
	state := base64.RawURLEncoding.EncodeToString(append([]byte{1, 200}, make([]byte, 100)...)) // version, key, nothing
	for ctx.Err() == nil {
		began := time.Now()
		status, err := r.get(context.WithoutCancel(ctx), "/onedoor/callback?code=c&state="+state)
		took := time.Since(began)
		c.mark("a state under a key that nobody has, at a replica without the database", took)
		if err != nil || status != http.StatusBadRequest && status != http.StatusServiceUnavailable || took > strangeKey {
			c.wrong("%s answers a state under a strange key with %d %v after %v", r.name, status, err, took)
		}
	}
}

func (c *cluster) without(r *replica) (all []*replica) {
	for _, other := range c.replicas {
		if other != r {
			all = append(all, other)
		}
	}
	return all
}

// watchStale says when a replica last served the tenant, and when it began to
// refuse to answer for a tenant that nothing has happened to.
func (c *cluster) watchStale(ctx context.Context, r *replica, victim string, from time.Time) (served, refusing time.Time) {
	for {
		asked := time.Now()
		if yes, err := r.serves(ctx, victim); err == nil && yes {
			served = asked
			if late := asked.Sub(from); late > staleAfter+margin {
				c.wrong("%s serves a suspended tenant %v after it lost the database", r.name, late)
				return served, asked
			}
		}
		asked = time.Now()
		if _, err := r.serves(ctx, c.pool.steady[0]); err != nil {
			return served, asked
		}
		pause(ctx, 20*time.Millisecond)
	}
}
