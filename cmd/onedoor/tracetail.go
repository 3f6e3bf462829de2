package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"onedoor/admin"
	"onedoor/gateway"
	"onedoor/journal"
)

const (
	// tailEvery is how often who follows asks.
	tailEvery = time.Second
	// tailBack is for how long a leg may come late: a replica writes each
	// second, and its clock may be some seconds behind.
	tailBack = 15 * time.Second
)

// Run follows until it is interrupted.
func (c *traceTail) Run(t *terminal) error {
	since, err := timeOf("since", c.Since, time.Now())
	if err != nil {
		return err
	}
	return c.registry(t, func(r *registrar) error {
		every := time.NewTicker(tailEvery)
		defer every.Stop()
		seen := map[string]time.Time{}
		for {
			newest, err := c.next(t, r, since, seen)
			if t.ctx.Err() != nil {
				return nil
			}
			if err != nil {
				return t.refusal(err)
			}
			since = goOn(since, newest, time.Now())
			for request, at := range seen {
				if at.Before(since) {
					delete(seen, request)
				}
			}
			select {
			case <-t.ctx.Done():
				return nil
			case <-every.C:
			}
		}
	})
}

// goOn is from when on legs are asked for again. A replica whose clock is ahead
// does not hide those of all others.
func goOn(since, newest, now time.Time) time.Time {
	if newest.After(now) {
		newest = now
	}
	if from := newest.Add(-tailBack); from.After(since) {
		return from
	}
	return since
}

// next prints the legs since a time that were not seen yet.
func (c *traceTail) next(t *terminal, r *registrar, since time.Time, seen map[string]time.Time) (newest time.Time, err error) {
	for {
		var got struct{ Legs []journal.Part }
		q := url.Values{"since": {since.UTC().Format(time.RFC3339Nano)}, "limit": {strconv.Itoa(admin.MaxRows)}}
		if err := r.call(context.WithoutCancel(t.ctx), http.MethodGet, "/v1/legs?"+q.Encode(), nil, nil, &got); err != nil {
			return newest, err
		}
		for _, p := range got.Legs {
			if at := p.At; at.After(newest) {
				newest = at
			}
			if _, again := seen[p.Request]; again {
				continue
			}
			seen[p.Request] = p.At
			if c.wants(p) {
				if err := c.print(t, p); err != nil {
					return newest, err
				}
			}
		}
		if len(got.Legs) < admin.MaxRows || !newest.After(since) {
			return newest, nil
		}
		since = newest
	}
}

func (c *traceTail) wants(p journal.Part) bool {
	switch {
	case c.Tenant != "" && p.Tenant != c.Tenant, c.App != "" && p.App != c.App:
		return false
	case c.Rule != "" && p.Rule != c.Rule && p.ProviderError != c.Rule:
		return false
	}
	return !c.Failed || (p.Outcome != gateway.OK && p.Outcome != gateway.Gone)
}

func (c *traceTail) print(t *terminal, p journal.Part) error {
	if c.JSON {
		return t.line(p)
	}
	why := p.Rule
	if why == "" {
		why = p.ProviderError
	}
	if why == "" && p.Outcome == gateway.ProviderRefused {
		why = journal.ProviderStatus
	}
	_, err := fmt.Fprintln(t.out, plain(strings.TrimRight(fmt.Sprintf("%s  %-9s %-32s %-16s %-12s %3d %8s  %s %s",
		p.At.Local().Format("15:04:05.000"), dash(string(p.Leg.Leg)), p.Login, dash(p.Tenant), dash(p.App), p.Status, millis(p.Took), p.Outcome, why), " ")))
	return err
}
