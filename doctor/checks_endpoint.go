package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// endpointChecks are D1 and D7 for what the documents name: can those who call
// it reach it, and are there keys?
func (c *examination) endpointChecks(issuer string, under []string) {
	for _, v := range c.views(issuer) {
		for _, visit := range v.seen.Endpoints {
			id := v.id("endpoint/" + visit.For)
			c.graph.add(node{
				id: id, kind: "D1", vantage: v.vantage, title: visit.For + " at " + hostOf(visit.URL),
				needs: []string{v.id("document")}, under: under,
				run: func(context.Context) verdict {
					out := c.endpoint(v.place, visit)
					// An address that nobody was told is there because of something else.
					out.alone = out.alone && slices.Contains([]string{originOf(issuer), originOf(v.seen.Base.URL)}, originOf(visit.URL))
					return out
				},
			})
			if visit.For == "jwks_uri" {
				c.graph.add(node{
					id: v.id("keys"), kind: "D7", vantage: v.vantage, title: "keys at " + hostOf(visit.URL), needs: []string{id}, under: under,
					run: func(context.Context) verdict { return keys(visit).itself() },
				})
			}
		}
	}
	c.graph.add(node{
		id: "keys/" + issuer, kind: "D7", title: "one key set, whoever asks", under: under,
		run: func(context.Context) verdict { return c.sameKeys(issuer) },
	})
}

// endpoint judges one. Any answer but 404 and 5xx will do: it was asked without
// what it wants.
func (c *examination) endpoint(p place, visit Visit) verdict {
	out := c.reached(p, visit)
	if out.status == OK && strings.HasPrefix(visit.URL, "https:") {
		if s := c.secured(p, visit); s.status == Failed {
			out = s
		}
	}
	if out.status == OK && (visit.Failure != "" || visit.Answer.Status >= 500 || visit.Answer.Status == 421) {
		out = c.answered(p, visit)
	}
	switch {
	case out.status == Failed && p.vantage == Here && c.servers():
		return skip("%s; that endpoint is for the app's network, which has looked itself", out.said)
	case out.status == Failed && p.seen.Base.Role == roleDiscovery && p.vantage == Here:
		return skip("%s; that endpoint is for the app's network", out.said)
	case out.status == Failed, out.status == Warning:
		if out.cause != DoorUpstream {
			out.said = fmt.Sprintf("the document names %s at %s: %s", visit.For, originOf(visit.URL), out.said)
		}
		return out
	case out.status == OK && visit.Answer != nil && visit.Answer.Status == 404:
		said := fmt.Sprintf("%s is at %s by the document, and there is nothing (404)", visit.For, visit.URL)
		const fix = "let the proxy before the provider pass all of the provider's paths, not the login's alone"
		if !slices.Contains([]string{"token_endpoint", "jwks_uri", "userinfo_endpoint"}, visit.For) {
			return warn(EndpointNotFound, originOf(visit.URL), said, fix) // no login needs it
		}
		return fail(EndpointNotFound, originOf(visit.URL), said, fix)
	case out.status == OK && visit.Answer != nil:
		return ok("%d in %d ms", visit.Answer.Status, visit.Millis)
	}
	return out
}

// servers says whether an app's network has looked.
func (c *examination) servers() bool {
	return slices.ContainsFunc(c.order, func(v string) bool { return v != Here && v != Browser })
}

func keys(visit Visit) verdict {
	a := visit.Answer
	switch {
	case a == nil:
		return skip("there was no answer")
	case a.Keys == nil:
		return fail(KeysNone, visit.URL, fmt.Sprintf("%s answers %d, and no key set: %q", visit.URL, a.Status, a.Said), "jwks_uri must lead to the provider's key set (RFC 7517 §5): see what the proxy sends there")
	case len(a.Keys) == 0:
		return fail(KeysEmpty, visit.URL, visit.URL+" is a key set without a key", "the provider has no signing key: Keycloak, Realm settings, Keys; authentik, the provider's signing key (without one tokens are signed with the client's secret)")
	}
	return ok("%d keys", len(a.Keys))
}

// sameKeys compares the key sets of all places: two providers behind one name,
// or an old one, sign what the other's apps refuse.
func (c *examination) sameKeys(issuer string) verdict {
	var first *Visit
	for _, v := range c.views(issuer) {
		if v.doc.Issuer != issuer {
			continue
		}
		for i, visit := range v.seen.Endpoints {
			if visit.For != "jwks_uri" || visit.Answer == nil || len(visit.Answer.Keys) == 0 {
				continue
			}
			if first == nil {
				first = &v.seen.Endpoints[i]
				continue
			}
			if !overlap(first.Answer.Keys, visit.Answer.Keys) {
				return fail(KeysDiffer, issuer, fmt.Sprintf("%s and %s have no key in common", first.URL, visit.URL), "both must be one provider with one database: two instances that do not know of each other answer under these addresses")
			}
		}
	}
	if first == nil {
		return skip("no key set was seen")
	}
	return ok("")
}

func overlap(a, b []Key) bool {
	return slices.ContainsFunc(a, func(x Key) bool {
		return slices.ContainsFunc(b, func(y Key) bool { return x.Thumbprint == y.Thumbprint })
	})
}

// maxSkew is what clients forgive in iat and exp, seconds.
const maxSkew = 60

// clockChecks compare each vantage's clock with the provider's Date.
func (c *examination) clockChecks(under []string) {
	for _, name := range c.order {
		if name == Browser {
			continue
		}
		c.graph.add(node{
			id: "clock/" + name, kind: "D8", vantage: name, title: "clocks", under: under,
			run: func(context.Context) verdict { return c.clock(name) },
		})
	}
}

func (c *examination) clock(vantage string) verdict {
	s, seen := c.sights[vantage], false
	for _, b := range s.Bases {
		a := b.Discovery.Answer
		if a == nil || a.Date == 0 || s.Now == 0 {
			continue
		}
		seen = true
		// The visit lies within a minute before Now; more is a clock.
		if off := a.Date - s.Now; off > maxSkew || off < -maxSkew-30 {
			direction := "ahead of"
			if off < 0 {
				direction = "behind"
			}
			where := "this machine"
			if vantage != Here {
				where = "the network of " + vantage
			}
			return fail(ClockOff, hostname(b.Discovery.URL), fmt.Sprintf("the clock of %s is %d s %s that of %s: tokens are not valid yet, or no more", hostname(b.Discovery.URL), abs(off), direction, where),
				"set both clocks by NTP; of a container, that of its host")
		}
	}
	if !seen {
		return skip("nobody said what time it is")
	}
	return ok("")
}

// tokenChecks are D3.
func (c *examination) tokenChecks(under []string) {
	if c.Token == "" {
		return
	}
	c.graph.add(node{id: "token", kind: "D3", title: "the token", under: under, run: func(context.Context) verdict { return c.token() }})
}

func (c *examination) token() verdict {
	t, isJWT := readClaims(c.Token)
	if !isJWT {
		return skip("what was given is no JWT, so there is nothing to read in it")
	}
	if !slices.Contains(c.issuers(), t.Issuer) {
		return fail(TokenIssuer, t.Issuer, fmt.Sprintf("the token's iss is %s, and the app expects %s", visible(t.Issuer), strings.Join(c.issuers(), " or ")),
			"a provider that follows the Host signs with the name under which the token was asked for: give it one name ("+c.hostnameSetting(originOf(c.issuers()[0]))+"), or always ask it under the public one")
	}
	if ids := c.clientIDs(); len(ids) > 0 && !slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(t.Audience, id) || t.Party == id }) {
		return fail(TokenAudience, strings.Join(ids, " "), fmt.Sprintf("the token is for %s, not for %s", list(append(t.Audience, t.Party)), list(ids)), "compare the client_id of the app with the one at the provider")
	}
	for _, v := range c.views(t.Issuer) {
		for _, visit := range v.seen.Endpoints {
			if visit.For != "jwks_uri" || visit.Answer == nil || len(visit.Answer.Keys) == 0 || t.KeyID == "" {
				continue
			}
			if !slices.ContainsFunc(visit.Answer.Keys, func(k Key) bool { return k.ID == t.KeyID }) {
				return fail(KeysToken, visit.URL, fmt.Sprintf("the token is signed with the key %q, which is not at %s", t.KeyID, visit.URL),
					"a token of another provider or realm, or from before its keys were changed: log in again; with two instances, let them share a database")
			}
		}
	}
	if now := c.o.Now().Unix(); t.IssuedAt > now+maxSkew {
		return fail(ClockOff, t.Issuer, fmt.Sprintf("the token was issued %d s from now", t.IssuedAt-now), "set the clocks of the provider and of this machine by NTP")
	}
	return ok("iss and key are the provider's")
}

func (c *examination) clientIDs() []string {
	var ids []string
	for _, cl := range c.Clients {
		ids = append(ids, cl.ID)
	}
	return ids
}
