package store

import "context"

// LoginQuery says which logins are wanted. Zero values say nothing.
type LoginQuery struct {
	Tenant, App, Rule string

	// Failed are those that failed and did not get through after all; and those
	// whose code nobody redeemed until the time Patience, in milliseconds.
	Failed   bool
	Patience int64

	// Since and Until bound the time at which they were last heard of, in
	// milliseconds; Since is in, Until is out.
	Since, Until int64

	// Before is the last one that was seen; they come newest first.
	Before LoginCursor

	Limit int // from 1 to 1000; 0 is 100
}

// LoginCursor is a place in the list of logins.
type LoginCursor struct {
	At int64
	ID string
}

// Logins returns the logins that fit, the one that was heard of last first.
func (db *DB) Logins(ctx context.Context, q LoginQuery) (list []Login, err error) {
	last, lastID := q.Until-1, ""
	if q.Until == 0 {
		last = 1<<62 - 1
	}
	if q.Before.ID != "" && q.Before.At <= last {
		last, lastID = q.Before.At, q.Before.ID
	}
	// One text for each index that can be the narrowest, with the same parameters.
	// Whatever else is asked is looked for among those rows.
	query := `SELECT id, joined, tenant, app, stages, rule, began_at, updated_at, failed_at FROM logins
		WHERE updated_at >= $1 AND updated_at <= $2 AND ($3 = '' OR updated_at < $2 OR id < $3)
		AND ($4 = '' OR tenant = $4) AND ($5 = '' OR app = $5) AND ($6 = '' OR rule = $6)
		AND ($7 = 0 OR stages < 1024 AND (failed_at > 0 OR joined = 1 AND (stages & 8) > 0 AND updated_at < $8))
		ORDER BY updated_at DESC, id DESC LIMIT $9`
	switch {
	case q.Tenant != "":
		query = `SELECT id, joined, tenant, app, stages, rule, began_at, updated_at, failed_at FROM logins
			WHERE tenant = $4 AND updated_at >= $1 AND updated_at <= $2 AND ($3 = '' OR updated_at < $2 OR id < $3)
			AND ($5 = '' OR app = $5) AND ($6 = '' OR rule = $6)
			AND ($7 = 0 OR stages < 1024 AND (failed_at > 0 OR joined = 1 AND (stages & 8) > 0 AND updated_at < $8))
			ORDER BY updated_at DESC, id DESC LIMIT $9`
	case q.Rule != "":
		query = `SELECT id, joined, tenant, app, stages, rule, began_at, updated_at, failed_at FROM logins
			WHERE failed_at > 0 AND rule = $6 AND updated_at >= $1 AND updated_at <= $2 AND ($3 = '' OR updated_at < $2 OR id < $3)
			AND ($4 = '' OR tenant = $4) AND ($5 = '' OR app = $5)
			AND ($7 = 0 OR stages < 1024 AND (failed_at > 0 OR joined = 1 AND (stages & 8) > 0 AND updated_at < $8))
			ORDER BY updated_at DESC, id DESC LIMIT $9`
	case q.Failed:
		query = `SELECT id, joined, tenant, app, stages, rule, began_at, updated_at, failed_at FROM logins
			WHERE stages < 1024 AND updated_at >= $1 AND updated_at <= $2 AND ($3 = '' OR updated_at < $2 OR id < $3)
			AND ($4 = '' OR tenant = $4) AND ($5 = '' OR app = $5) AND ($6 = '' OR rule = $6)
			AND ($7 = 0 OR failed_at > 0 OR joined = 1 AND (stages & 8) > 0 AND updated_at < $8)
			ORDER BY updated_at DESC, id DESC LIMIT $9`
	}
	err = each(ctx, db.read, func(r row) error {
		l, err := scanLogin(r)
		list = append(list, l)
		return err
	}, query, q.Since, last, lastID, q.Tenant, q.App, q.Rule, bit(q.Failed), q.Patience, limit(q.Limit))
	return list, err
}

func scanLogin(r row, more ...any) (l Login, err error) {
	var joined int64
	err = r.Scan(append([]any{&l.ID, &joined, &l.Tenant, &l.App, &l.Stages, &l.Rule, &l.BeganAt, &l.UpdatedAt, &l.FailedAt}, more...)...)
	l.Joined = joined == 1
	return l, err
}

// Login returns the login of that id, or of the request of that reference, with
// its legs.
func (db *DB) Login(ctx context.Context, id string) (Login, []LoginLeg, error) {
	legs, err := db.legs(ctx, `SELECT l.id, l.joined, l.tenant, l.app, l.stages, l.rule, l.began_at, l.updated_at, l.failed_at, g.request, g.at, g.body
		FROM login_legs g JOIN logins l ON l.id = g.login WHERE g.login = $1 ORDER BY g.at, g.request LIMIT $2`, id, maxPage)
	if err == nil && len(legs) == 0 {
		legs, err = db.legs(ctx, `SELECT l.id, l.joined, l.tenant, l.app, l.stages, l.rule, l.began_at, l.updated_at, l.failed_at, g.request, g.at, g.body
			FROM login_legs g JOIN logins l ON l.id = g.login WHERE g.login = (SELECT login FROM login_legs WHERE request = $1) ORDER BY g.at, g.request LIMIT $2`, id, maxPage)
	}
	if err == nil && len(legs) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Login{}, nil, err
	}
	return legs[0].Login, legs, nil
}

// Legs returns the legs of that time and later, the oldest first.
func (db *DB) Legs(ctx context.Context, since int64, n int) ([]LoginLeg, error) {
	return db.legs(ctx, `SELECT l.id, l.joined, l.tenant, l.app, l.stages, l.rule, l.began_at, l.updated_at, l.failed_at, g.request, g.at, g.body
		FROM login_legs g JOIN logins l ON l.id = g.login WHERE g.at >= $1 ORDER BY g.at, g.request LIMIT $2`, since, limit(n))
}

func (db *DB) legs(ctx context.Context, query string, args ...any) (list []LoginLeg, err error) {
	err = each(ctx, db.read, func(r row) error {
		var leg LoginLeg
		var err error
		leg.Login, err = scanLogin(r, &leg.Request, &leg.At, &leg.Body)
		list = append(list, leg)
		return err
	}, query, args...)
	return list, err
}

// Funnel is how many logins of a tenant and an app came how far.
type Funnel struct {
	Tenant, App string
	Asked       int64
	Sent        int64
	CameBack    int64
	Returned    int64
	Tried       int64
	Redeemed    int64
	Failed      int64 // at any stage, and did not get through after all
}

// FunnelQuery says which logins are counted.
type FunnelQuery struct {
	Tenant, App  string // "" for all
	Since, Until int64  // when they were last heard of, in milliseconds
	ByApp        bool   // all tenants of an app together
	Limit        int    // from 1 to 1000; 0 is 100
}

// Funnels counts logins by tenant and app, or by app. Those come first of which
// most went lost between callback and token.
func (db *DB) Funnels(ctx context.Context, q FunnelQuery) (list []Funnel, err error) {
	query := `SELECT tenant, app, SUM(CASE WHEN (stages & 1) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 2) > 0 THEN 1 ELSE 0 END),
		SUM(CASE WHEN (stages & 4) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 8) > 0 THEN 1 ELSE 0 END),
		SUM(CASE WHEN (stages & 16) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 32) > 0 THEN 1 ELSE 0 END),
		SUM(CASE WHEN failed_at > 0 AND stages < 1024 THEN 1 ELSE 0 END)
		FROM logins WHERE updated_at >= $1 AND updated_at < $2 AND ($3 = '' OR tenant = $3) AND ($4 = '' OR app = $4) AND app <> ''
		GROUP BY tenant, app
		ORDER BY SUM(CASE WHEN (stages & 8) > 0 THEN 1 ELSE 0 END) - SUM(CASE WHEN (stages & 32) > 0 THEN 1 ELSE 0 END) DESC, tenant, app LIMIT $5`
	switch {
	case q.Tenant != "":
		query = `SELECT tenant, app, SUM(CASE WHEN (stages & 1) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 2) > 0 THEN 1 ELSE 0 END),
			SUM(CASE WHEN (stages & 4) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 8) > 0 THEN 1 ELSE 0 END),
			SUM(CASE WHEN (stages & 16) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 32) > 0 THEN 1 ELSE 0 END),
			SUM(CASE WHEN failed_at > 0 AND stages < 1024 THEN 1 ELSE 0 END)
			FROM logins WHERE tenant = $3 AND updated_at >= $1 AND updated_at < $2 AND ($4 = '' OR app = $4) AND app <> ''
			GROUP BY tenant, app ORDER BY app LIMIT $5`
	case q.ByApp:
		query = `SELECT '', app, SUM(CASE WHEN (stages & 1) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 2) > 0 THEN 1 ELSE 0 END),
			SUM(CASE WHEN (stages & 4) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 8) > 0 THEN 1 ELSE 0 END),
			SUM(CASE WHEN (stages & 16) > 0 THEN 1 ELSE 0 END), SUM(CASE WHEN (stages & 32) > 0 THEN 1 ELSE 0 END),
			SUM(CASE WHEN failed_at > 0 AND stages < 1024 THEN 1 ELSE 0 END)
			FROM logins WHERE updated_at >= $1 AND updated_at < $2 AND ($3 = '' OR tenant = $3) AND ($4 = '' OR app = $4) AND app <> ''
			GROUP BY app ORDER BY app LIMIT $5`
	}
	err = each(ctx, db.read, func(r row) error {
		var f Funnel
		err := r.Scan(&f.Tenant, &f.App, &f.Asked, &f.Sent, &f.CameBack, &f.Returned, &f.Tried, &f.Redeemed, &f.Failed)
		list = append(list, f)
		return err
	}, query, q.Since, q.Until, q.Tenant, q.App, limit(q.Limit))
	return list, err
}
