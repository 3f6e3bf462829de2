//go:build linux

package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver of the tables that are filled here

	"onedoor/store"
)

// sizes are how many tenants a database has.
var sizes = []int{10, 10_000, 1_000_000}

// registry is a number of tenants, and who knows them.
type registry struct {
	n        int
	database string
	door     *subject // from the database
	nginx    *subject // from a map in its configuration; nil for a size in between
	plain    *subject // Go's bare server with a Go map; nil likewise

	idle map[*subject]float64 // MB of memory before anybody asked
}

func (g *registry) subjects() (all []*subject) {
	for _, s := range []*subject{g.door, g.nginx, g.plain} {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// tenants measures what it costs to have many of them: every request of a login
// and the relay, memory, and the start.
func (l *lab) tenants(ctx context.Context, p plan, r *report) error {
	for _, n := range sizes {
		g := &registry{n: n, database: filepath.Join(l.dir, fmt.Sprintf("tenants-%d.db", n)), idle: map[*subject]float64{}}
		if err := fill(ctx, g.database, n); err != nil {
			return err
		}
		l.registries = append(l.registries, g)
		if err := l.openRegistry(ctx, g, n == sizes[0] || n == sizes[len(sizes)-1]); err != nil {
			return err
		}
	}
	if err := l.tenantStarts(ctx, p, r); err != nil {
		return err
	}
	if err := l.tenantRelays(ctx, p, r); err != nil {
		return err
	}
	if err := l.tenantMemory(r); err != nil {
		return err
	}
	return l.tenantLogins(ctx, p, r)
}

// openRegistry starts who knows the tenants, and notes how much memory each
// takes two seconds after it was ready.
func (l *lab) openRegistry(ctx context.Context, g *registry, peers bool) (err error) {
	if g.door, _, err = l.startDoor(ctx, g.database, g.n, false); err != nil {
		return err
	}
	if err = g.door.ready(ctx); err != nil {
		return err
	}
	if peers {
		if g.nginx, _, err = l.startNginx(ctx, g.n); err != nil {
			return err
		}
		if g.plain, err = l.startBare(ctx, g.n); err != nil {
			return err
		}
	}
	if pause(ctx, g.door.done, 2*time.Second) {
		return errors.New("the door has ended")
	}
	for _, s := range g.subjects() {
		// A large nginx answers before all of its processes are there.
		if s.members, err = family(s.cmd.Process.Pid); err != nil {
			return err
		}
		if g.idle[s], err = s.share(); err != nil {
			return err
		}
	}
	return nil
}

// tenantStarts compares the time to the first right answer with all tenants.
func (l *lab) tenantStarts(ctx context.Context, p plan, r *report) error {
	g := l.registries[len(l.registries)-1]
	var door, nginx, ratio []float64
	for range max(p.starts/3, 1) {
		s, took, err := l.startDoor(ctx, g.database, g.n, false)
		if err != nil {
			return err
		}
		s.close()
		door = append(door, milliseconds(took))
		if s, took, err = l.startNginx(ctx, g.n); err != nil {
			return err
		}
		s.close()
		nginx = append(nginx, milliseconds(took))
		ratio = append(ratio, door[len(door)-1]/nginx[len(nginx)-1])
	}
	r.budget("start with a million tenants: time over nginx's with a map of them", "×", 1, ratio...)
	r.fact("start to first answer, a million tenants", "ms", door...)
	r.fact("start to first answer, nginx with a map of a million", "ms", nginx...)
	return nil
}

func (l *lab) tenantRelays(ctx context.Context, p plan, r *report) error {
	var cs []contender
	for _, g := range l.registries {
		for _, s := range g.subjects() {
			name := map[*subject]string{g.door: "onedoor", g.nginx: "nginx", g.plain: "Go map"}[s]
			cs = append(cs, contender{fmt.Sprintf("%s, %d tenants", name, g.n), s, relays(s, curl)})
		}
	}
	costs, err := interleave(ctx, p.rounds, p.turn, cs...)
	if err != nil {
		return err
	}
	first, most := sizes[0], sizes[len(sizes)-1]
	of := func(who string, n int) string { return fmt.Sprintf("%s, %d tenants", who, n) }
	r.budget("relay: a million tenants over ten", "×", 1.1, costs.over(of("onedoor", most), of("onedoor", first))...)
	r.fact("relay: 10,000 tenants over ten", "×", costs.over(of("onedoor", sizes[1]), of("onedoor", first))...)
	r.fact("relay: a million tenants over ten, nginx with a map", "×", costs.over(of("nginx", most), of("nginx", first))...)
	r.fact("relay: a million tenants over ten, Go's bare server with a map", "×", costs.over(of("Go map", most), of("Go map", first))...)
	r.budget("relay with a million tenants: CPU over nginx's with a map of them", "×", 2, costs.over(of("onedoor", most), of("nginx", most))...)
	r.costs("relay", costs)
	return nil
}

// tenantMemory is what a tenant takes: the difference between a million and ten
// of them, before anybody asked and after the rounds.
func (l *lab) tenantMemory(r *report) error {
	first, last := l.registries[0], l.registries[len(l.registries)-1]
	each := func(many, few float64) float64 { return (many - few) * 1e6 / float64(last.n-first.n) }
	for _, s := range []struct {
		name        string
		few, many   *subject
		idle, after float64 // budgets
	}{
		{"onedoor", first.door, last.door, 60, 60},
		{"nginx with a map", first.nginx, last.nginx, 0, 0},
		{"Go's bare server with a map", first.plain, last.plain, 0, 0},
	} {
		few, err := s.few.share()
		if err != nil {
			return err
		}
		many, err := s.many.share()
		if err != nil {
			return err
		}
		idle, after := each(last.idle[s.many], first.idle[s.few]), each(many, few)
		if s.idle > 0 {
			r.budget("memory of a tenant, idle", "octets", s.idle, idle)
			r.budget("memory of a tenant, after the rounds", "octets", s.after, after)
			r.fact("memory when idle, a million tenants", "MB", last.idle[s.many])
			r.fact("memory after the rounds, a million tenants", "MB", many)
			continue
		}
		r.fact("memory of a tenant, idle, "+s.name, "octets", idle)
		r.fact("memory of a tenant, after the rounds, "+s.name, "octets", after)
	}
	return nil
}

// tenantLogins measures the whole of each request of a login: what the door
// does itself, and passing it on.
func (l *lab) tenantLogins(ctx context.Context, p plan, r *report) error {
	steps := []string{"authorize", "callback", "token"}
	work := map[*registry]map[string][]exchange{}
	for _, g := range l.registries {
		var err error
		if work[g], err = g.door.logins(ctx); err != nil {
			return err
		}
	}
	for _, step := range steps {
		var cs []contender
		for _, g := range l.registries {
			cs = append(cs, contender{strconv.Itoa(g.n), g.door, work[g][step]})
		}
		costs, err := interleave(ctx, p.rounds, p.turn, cs...)
		if err != nil {
			return fmt.Errorf("%s: %w", step, err)
		}
		r.budget(step+" request: a million tenants over ten", "×", 1.1, costs.over(cs[2].name, cs[0].name)...)
		r.fact(step+" request: 10,000 tenants over ten", "×", costs.over(cs[1].name, cs[0].name)...)
		for _, c := range cs {
			r.fact(step+" request: CPU, tenants: "+c.name, "µs", costs[c.name]...)
		}
	}
	return nil
}

// logins makes a login for each of many tenants, in no order, and gives the
// requests of all: each can be sent again.
func (s *subject) logins(ctx context.Context) (map[string][]exchange, error) {
	const most = 512
	work := map[string][]exchange{}
	for _, i := range rand.Perm(len(s.tenants))[:min(most, len(s.tenants))] {
		site := siteCallback(s.tenants[i])
		authorize := get(s, "/realms/atlas/auth?"+url.Values{
			"client_id": {loginClient}, "response_type": {"code"}, "scope": {"openid profile"}, "redirect_uri": {site},
			"state": {"dGhlIGFwcCdzIG93biBzdGF0ZSwgb3BhcXVl"}, "nonce": {"n-0S6_WzA2Mj-0123456789"},
		}.Encode(), curl)
		at, cookie, err := s.follow(ctx, authorize)
		if err != nil {
			return nil, err
		}
		callback := get(s, at.RequestURI(), curl+"Cookie: "+cookie+"\r\n")
		back, _, err := s.follow(ctx, callback)
		if err != nil {
			return nil, err
		}
		body := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {site}}.Encode()
		token := bytes.Replace(get(s, "/realms/atlas/token", curl+"Authorization: Basic YXRsYXMtd2ViOnNlY3JldA==\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "+strconv.Itoa(len(body))+"\r\n"), []byte("GET"), []byte("POST"), 1)
		work["authorize"] = append(work["authorize"], exchange{request: authorize, status: http.StatusFound, location: s.origin + "/onedoor/callback?code=", prefix: true})
		work["callback"] = append(work["callback"], exchange{request: callback, status: http.StatusSeeOther, location: site + "?code=", prefix: true})
		work["token"] = append(work["token"], exchange{request: append(token, body...), status: http.StatusOK, length: bodySize})
	}
	return work, nil
}

// follow sends a request, and says where it leads and which cookie came with it.
func (s *subject) follow(ctx context.Context, request []byte) (*url.URL, string, error) {
	target, _, _ := strings.Cut(strings.TrimPrefix(string(request), "GET "), " ")
	_, cookies, _ := strings.Cut(string(request), "Cookie: ")
	cookies, _, _ = strings.Cut(cookies, "\r\n")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address()+target, nil)
	if err != nil {
		return nil, "", err
	}
	req.Host = strings.TrimPrefix(s.origin, "http://")
	if cookies != "" {
		req.Header.Set("Cookie", cookies)
	}
	resp, err := once.Transport.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	at, err := resp.Location()
	if err != nil {
		return nil, "", fmt.Errorf("%s in answer to %s: %w", resp.Status, target, err)
	}
	cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	return at, cookie, nil
}

// fill makes a database with n tenants. Through the store a million would take
// minutes, for each has a line in the audit log; the door reads the same rows.
func fill(ctx context.Context, path string, n int) (err error) {
	db, err := store.Open(ctx, path, store.Options{})
	if err != nil {
		return err
	}
	if err = db.Close(); err != nil {
		return err
	}
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(wal)&_pragma=synchronous(off)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, raw.Close()) }()
	for _, step := range []string{
		`INSERT INTO tenants (id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at)
			WITH RECURSIVE counted (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM counted WHERE i + 1 < $1)
			SELECT 't_' || lower(hex(randomblob(8))), format('t%06d', i), 'active', '', '{}', '', i + 1, 0, 0, 0 FROM counted`,
		`UPDATE registry SET revision = $1, tenants = $1`,
	} {
		if _, err := raw.ExecContext(ctx, step, n); err != nil {
			return fmt.Errorf("%.40s…: %w", step, err)
		}
	}
	return nil
}

// share is the program's part in memory that is nobody's file, in MB: pages that
// nginx's processes share count once, and the program's own text not at all.
func (p *process) share() (float64, error) {
	var sum float64
	for _, pid := range p.members {
		rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			return 0, err
		}
		_, rest, _ := bytes.Cut(rollup, []byte("\nPss_Anon:"))
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0, fmt.Errorf("no Pss_Anon in the memory of %s", p.name)
		}
		kB, err := strconv.ParseFloat(string(fields[0]), 64)
		if err != nil {
			return 0, err
		}
		sum += kB * 1024 / 1e6
	}
	return sum, nil
}
