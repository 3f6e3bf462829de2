package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// build draws the graph, in the order in which a login depends on things: the
// door's own way to the provider, then who reaches what, what the documents say,
// what they name, and what the provider would do.
func (c *examination) build(ctx context.Context) {
	named := slices.Clone(c.Clients)
	c.beginAll(ctx)
	var under []string
	all := c.places()
	upstream := all[:0:0]
	var rest []place
	for _, p := range all {
		if p.seen.Base.Role == roleUpstream {
			upstream = append(upstream, p)
		} else {
			rest = append(rest, p)
		}
	}
	for _, p := range upstream {
		c.reachChecks(p, under)
		c.documentChecks(p, under)
		under = append(under, p.id("reach"), p.id("tls"), p.id("answer"), p.id("document"))
		for _, v := range c.views(p.seen.Base.Issuer) {
			if v.seen == p.seen {
				c.graph.add(node{
					id: p.id("name"), kind: "D6", vantage: p.vantage, title: "the provider's name for itself, asked as the door asks", needs: []string{p.id("document")},
					run: func(context.Context) verdict { return c.issuer(p.seen.Base.Issuer, v) },
				})
				under = append(under, p.id("name"))
			}
		}
	}
	under = append(under, c.pastChecks()...)
	for _, p := range rest {
		c.reachChecks(p, under)
	}
	under = append(under, c.doorChecks(rest, under)...)
	for _, p := range rest {
		c.documentChecks(p, under)
	}
	for _, p := range rest {
		under = append(under, p.id("reach"), p.id("tls"), p.id("answer"), p.id("document"))
	}
	below := c.withoutReach(under)
	for _, issuer := range c.issuers() {
		below = append(below, c.issuerChecks(issuer, below)...)
	}
	for _, issuer := range c.issuers() {
		c.endpointChecks(issuer, below)
	}
	c.browserChecks(below)
	c.clockChecks(nil)
	logins := c.loginChecks(named, under)
	c.clientChecks(append(slices.Clone(below), logins...))
	c.originChecks(below)
	c.tokenChecks(below)
	c.blindChecks()
}

// withoutReach leaves out what explains no other address than its own: a check
// of another address has a cause of its own, or the same one by its subject.
func (c *examination) withoutReach(ids []string) (kept []string) {
	for _, id := range ids {
		stage, where, _ := strings.Cut(id, "/")
		if stage == "reach" || stage == "tls" || stage == "answer" || stage == "document" {
			if !strings.Contains(where, "/"+roleUpstream) {
				continue
			}
		}
		kept = append(kept, id)
	}
	return kept
}

// browserChecks are for the login pages that the browser was asked to load.
func (c *examination) browserChecks(under []string) {
	s := c.sights[Browser]
	if s == nil {
		return
	}
	for i, v := range s.Bases[0].Endpoints {
		c.graph.add(node{id: fmt.Sprintf("front/browser/%d", i), kind: "D1", vantage: Browser, title: "login page " + v.URL, under: under, run: func(context.Context) verdict {
			if v.Failure != "" {
				return c.browserFailed(v)
			}
			return ok("in %d ms", v.Millis)
		}})
	}
	c.graph.add(node{id: "cookies/browser", kind: "D5", vantage: Browser, title: "cookies of the browser", run: func(context.Context) verdict {
		if s.Cookies != nil && !*s.Cookies {
			return fail(CookieSecure, "the browser", "this browser keeps no cookies: no login can end", "switch cookies on for the provider and the site")
		}
		return ok("kept")
	}})
}

// pastChecks look at what the app is told, before a door.
func (c *examination) pastChecks() (ids []string) {
	if c.Door == nil {
		return nil
	}
	for i, at := range c.Discovery {
		id := fmt.Sprintf("past/%d", i)
		c.graph.add(node{
			id: id, kind: "D2", title: "what the app is told: " + at,
			run: func(context.Context) verdict {
				origin := originOf(at)
				switch {
				case slices.Contains(c.Door.Public, origin), slices.Contains(c.Door.Internal, origin):
					return ok("it is the door's")
				case origin == originOf(c.Door.Upstream):
					return fail(DoorPast, origin, fmt.Sprintf("the app is told %s, which is the provider itself: its requests go past the door", at), "tell the app the door's address: "+c.toldInstead())
				}
				return ok("it is none of the door's origins; whoever answers there will say")
			},
		})
		ids = append(ids, id)
	}
	return ids
}

// toldInstead is what an app before this door should be told.
func (c *examination) toldInstead() string {
	origin := c.Door.Public[0]
	if len(c.Door.Internal) > 0 {
		origin = c.Door.Internal[0]
	}
	return documentURL(origin + strings.TrimPrefix(c.issuers()[0], originOf(c.issuers()[0])))
}

// doorChecks see whether the public origin is the door.
func (c *examination) doorChecks(all []place, under []string) (ids []string) {
	if c.Door == nil {
		return nil
	}
	for _, p := range all {
		h := p.seen.Health
		if h == nil {
			continue
		}
		id := p.id("door")
		c.graph.add(node{
			id: id, kind: "D6", vantage: p.vantage, title: "the door at " + originOf(h.URL), needs: []string{p.id("reach"), p.id("tls")}, under: append(slices.Clone(under), p.id("answer")),
			run: func(context.Context) verdict {
				origin := originOf(h.URL)
				if h.Answer == nil {
					return skip("%s", lost(*h))
				}
				if a := h.Answer; a.Status != 200 || !strings.Contains(a.Said, `"live"`) {
					return fail(DoorNotInFront, origin, fmt.Sprintf("%s answers %d%s, which is not the door", h.URL, a.Status, by(a)),
						"let "+origin+" lead to the door's listener, and the door to the provider: the proxy, the DNS or the port mapping still names the provider")
				}
				return ok("it is the door")
			},
		})
		ids = append(ids, id)
	}
	return ids
}

// blindChecks name what was not looked at.
func (c *examination) blindChecks() {
	var names []string
	for name := range c.blind {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c.graph.add(node{id: "vantage/" + name, kind: "D1", vantage: name, title: "look from " + name, run: func(context.Context) verdict {
			return skip("%s", c.blind[name])
		}})
	}
	if !c.servers() && len(c.blind) == 0 {
		c.graph.add(node{id: "vantage/app", kind: "D1", vantage: "app", title: "look from the app's network", run: func(context.Context) verdict {
			return skip("no --vantage was given: what the app's network can reach is not known")
		}})
	}
}

// vantages says who looked.
func (c *examination) vantages() (all []Seer) {
	for _, name := range c.order {
		all = append(all, Seer{Name: name, Container: c.sights[name].Container})
	}
	var blind []string
	for name := range c.blind {
		blind = append(blind, name)
	}
	slices.Sort(blind)
	for _, name := range blind {
		all = append(all, Seer{Name: name, Blind: c.blind[name]})
	}
	return all
}

// table is who reaches what: a row for each address, a column for each vantage.
func (c *examination) table() [][]string {
	head := append([]string{"ADDRESS"}, c.order...)
	for i := range head[1:] {
		head[i+1] = strings.ToUpper(head[i+1])
	}
	cells := map[string]map[string]string{}
	var order []string
	put := func(at, vantage string, v Visit) {
		if cells[at] == nil {
			cells[at] = map[string]string{}
			order = append(order, at)
		}
		if cells[at][vantage] == "" {
			cells[at][vantage] = cell(v)
		}
	}
	for _, p := range c.places() {
		put(p.seen.Discovery.URL, p.vantage, p.seen.Discovery)
	}
	for _, p := range c.places() {
		for _, v := range p.seen.Endpoints {
			put(v.URL, p.vantage, v)
		}
	}
	rows := [][]string{head}
	for _, at := range order {
		row := []string{at}
		for _, v := range c.order {
			text := cells[at][v]
			if text == "" {
				text = "-"
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return rows
}

func cell(v Visit) string {
	switch {
	case v.Failure != "" && len(v.Dials) > 0 && isLoopback(v.Dials[0].Address) && v.Failure == failRefused:
		return "refused (itself)"
	case v.Failure != "":
		return v.Failure
	case v.Answer != nil && v.Answer.Status > 0:
		return fmt.Sprintf("%d, %d ms", v.Answer.Status, v.Millis)
	}
	return fmt.Sprintf("ok, %d ms", v.Millis)
}
