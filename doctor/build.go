package doctor

import (
	"context"
	"fmt"
	"maps"
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
	c.loginChecks(named, under)
	c.clientChecks(below)
	c.tenantChecks()
	c.originChecks(below)
	c.tokenChecks(below)
	c.logChecks()
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

// tenantChecks say that no tenant's login was looked at.
func (c *examination) tenantChecks() {
	if c.Door == nil || slices.ContainsFunc(c.Clients, func(cl Client) bool { return cl.Through }) {
		return
	}
	c.graph.add(node{id: "tenant", kind: "D4", vantage: Here, title: "a tenant's login through the door", run: func(context.Context) verdict {
		if c.Door.Unasked != "" {
			return skip("no tenant was named (--tenant LABEL), and %s", c.Door.Unasked)
		}
		return skip("there is no tenant, and none was named: --tenant LABEL")
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
					return fail(DoorPast, origin, fmt.Sprintf("the app is told %s, which is the provider itself: its requests go past the door", at), "tell the app the door's address: "+c.toldInstead()).itself()
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
						"let "+origin+" lead to the door's listener, and the door to the provider: the proxy, the DNS or the port mapping still names the provider").itself()
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

// table is who reaches what: a row for each document, and one for all endpoints
// of an origin that fare alike; a column for each vantage.
func (c *examination) table() [][]string {
	head := []string{"WHAT", "WHERE"}
	for _, v := range c.order {
		head = append(head, strings.ToUpper(v))
	}
	type row struct {
		what  []string
		where string
		cells map[string]string
	}
	var rows []*row
	seen := map[string]*row{} // by address
	put := func(what, at, vantage string, v Visit) {
		if seen[at] == nil {
			seen[at] = &row{what: []string{what}, where: at, cells: map[string]string{}}
			rows = append(rows, seen[at])
		}
		if seen[at].cells[vantage] == "" {
			seen[at].cells[vantage] = cell(v)
		}
	}
	for _, p := range c.places() {
		put("document", strings.TrimSuffix(p.seen.Discovery.URL, wellKnown), p.vantage, p.seen.Discovery)
	}
	for _, p := range c.places() {
		for _, v := range p.seen.Endpoints {
			put(strings.TrimSuffix(strings.TrimSuffix(v.For, "_endpoint"), "_uri"), v.URL, p.vantage, v)
		}
	}
	table := [][]string{head}
	var kept []*row
	for _, r := range rows {
		if i := slices.IndexFunc(kept, func(k *row) bool {
			return k.what[0] != "document" && r.what[0] != "document" && originOf(k.where) == originOf(r.where) && maps.Equal(k.cells, r.cells)
		}); i >= 0 {
			kept[i].what, kept[i].where = append(kept[i].what, r.what...), originOf(r.where)
			continue
		}
		kept = append(kept, r)
	}
	for _, r := range kept {
		line := []string{strings.Join(r.what, ", "), r.where}
		if n := len(r.what); n > 3 {
			line[0] = fmt.Sprintf("%s and %d more", strings.Join(r.what[:2], ", "), n-2)
		}
		for _, v := range c.order {
			text := r.cells[v]
			if text == "" {
				text = "-"
			}
			line = append(line, text)
		}
		table = append(table, line)
	}
	return table
}

func cell(v Visit) string {
	switch {
	case v.Failure == "" && v.For == "jwks_uri" && v.Answer != nil && v.Answer.Status == 200:
		return "answers"
	case v.Failure != "" && len(v.Dials) > 0 && isLoopback(v.Dials[0].Address) && v.Failure == failRefused:
		return "refused (itself)"
	case v.Failure != "":
		return v.Failure
	case v.For != "discovery" && v.Answer.Status >= 400 && v.Answer.Status < 500 && v.Answer.Status != 404 && v.Answer.Status != 421:
		return "answers" // without what it wants, an endpoint refuses
	case v.Answer.Status > 0:
		return fmt.Sprint(v.Answer.Status)
	}
	return "answers"
}
