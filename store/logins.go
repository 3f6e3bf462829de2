package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
)

// Login is how far a login came. Times are in milliseconds since 1970.
type Login struct {
	ID          string // the login id; the reference of a request that belongs to none
	Joined      bool   // it is a login id: other legs may follow
	Tenant, App string // "" where they are not known
	Stages      int64  // bits
	Rule        string // of its last failure
	BeganAt     int64
	UpdatedAt   int64
	FailedAt    int64 // 0: nothing failed
}

// The stages of a login. They are bits: each replica adds those that it saw.
const (
	LoginAsked    = 1 << iota // an authorization request of an app's came
	LoginSent                 // and went on to the provider
	LoginCameBack             // the provider sent the browser back
	LoginReturned             // and it went on to the app, with a code
	LoginTried                // the app wanted to redeem a code
	LoginRedeemed             // and has
	LogoutAsked
	LogoutCameBack
	LoginDone = 1 << 10 // nothing more is to come: of all stages this is the greatest
)

// LoginLeg is one request of a login. Its body is opaque here.
type LoginLeg struct {
	Login
	Request string // the reference that pages show
	At      int64
	Body    string
}

// maxLegs is how many legs one transaction writes: on SQLite a person who logs
// in waits while it does.
const maxLegs = 64

// AddLegs adds legs. It may be called again with the same ones.
func (db *DB) AddLegs(ctx context.Context, legs []LoginLeg) error {
	for some := range slices.Chunk(legs, maxLegs) {
		err := db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if err := upsertLogins(ctx, tx, sumLogins(some)); err != nil {
				return err
			}
			for part := range parts(some) {
				args := make([]any, 0, 4*len(part))
				for _, l := range part {
					args = append(args, l.Request, l.ID, l.At, l.Body)
				}
				_, err := tx.ExecContext(ctx, rowsMany(`INSERT INTO login_legs (request, login, at, body)
					VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, len(part)), args...)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sumLogins is what the legs say of each login. They are in order, so that two
// replicas that write the same ones wait for each other and do not deadlock.
func sumLogins(legs []LoginLeg) (logins []Login) {
	at := map[string]int{}
	for _, l := range legs {
		i, seen := at[l.ID]
		if !seen {
			at[l.ID] = len(logins)
			logins = append(logins, l.Login)
			continue
		}
		logins[i].add(l.Login)
	}
	slices.SortFunc(logins, func(a, b Login) int { return cmp.Compare(a.ID, b.ID) })
	return logins
}

// add does what the statement below does in the database.
func (l *Login) add(m Login) {
	l.Joined = l.Joined || m.Joined
	l.Tenant, l.App = cmp.Or(m.Tenant, l.Tenant), cmp.Or(m.App, l.App)
	l.Stages |= m.Stages
	l.BeganAt, l.UpdatedAt = min(l.BeganAt, m.BeganAt), max(l.UpdatedAt, m.UpdatedAt)
	if m.FailedAt > l.FailedAt {
		l.FailedAt, l.Rule = m.FailedAt, m.Rule
	}
}

func upsertLogins(ctx context.Context, tx *sql.Tx, logins []Login) error {
	for part := range parts(logins) {
		args := make([]any, 0, 9*len(part))
		for _, l := range part {
			args = append(args, l.ID, bit(l.Joined), l.Tenant, l.App, l.Stages, l.Rule, l.BeganAt, l.UpdatedAt, l.FailedAt)
		}
		_, err := tx.ExecContext(ctx, rowsMany(`INSERT INTO logins (id, joined, tenant, app, stages, rule, began_at, updated_at, failed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE SET
			tenant = CASE WHEN excluded.tenant <> '' THEN excluded.tenant ELSE logins.tenant END,
			app = CASE WHEN excluded.app <> '' THEN excluded.app ELSE logins.app END,
			stages = logins.stages | excluded.stages,
			rule = CASE WHEN excluded.failed_at > logins.failed_at THEN excluded.rule ELSE logins.rule END,
			began_at = CASE WHEN excluded.began_at < logins.began_at THEN excluded.began_at ELSE logins.began_at END,
			updated_at = CASE WHEN excluded.updated_at > logins.updated_at THEN excluded.updated_at ELSE logins.updated_at END,
			failed_at = CASE WHEN excluded.failed_at > logins.failed_at THEN excluded.failed_at ELSE logins.failed_at END`, len(part)), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// legsEach is how many legs are kept for each login that is, on average: most
// have three. Of one login there can be as many as somebody likes: who began it
// can come back from the provider again and again.
const legsEach = 8

// PruneLogins removes the logins that were last heard of before that time, the
// oldest beyond most, and the oldest legs beyond some for each of these.
func (db *DB) PruneLogins(ctx context.Context, before, most int64) error {
	logins, err := db.beyond(ctx, `SELECT updated_at FROM logins WHERE updated_at > 0 ORDER BY updated_at DESC LIMIT 1 OFFSET $1`, most)
	if err != nil {
		return err
	}
	legs, err := db.beyond(ctx, `SELECT at FROM login_legs WHERE at > 0 ORDER BY at DESC LIMIT 1 OFFSET $1`, legsEach*most)
	if err != nil {
		return err
	}
	for _, old := range []struct {
		query  string
		before int64
	}{
		// A login of which no leg is left goes as well.
		{`DELETE FROM logins WHERE id IN (SELECT id FROM logins WHERE updated_at < $1 ORDER BY updated_at LIMIT $2)`, max(before, logins, legs)},
		{`DELETE FROM login_legs WHERE request IN (SELECT request FROM login_legs WHERE at < $1 ORDER BY at LIMIT $2)`, max(before, legs)},
		// Of warnings there are few, and each is told once however many logins come.
		{`DELETE FROM login_warnings WHERE at IN (SELECT at FROM login_warnings WHERE at < $1 ORDER BY at LIMIT $2)`, before},
	} {
		if err := db.pruneBy(ctx, old.query, old.before, pruneLoginsAtOnce); err != nil {
			return err
		}
	}
	return nil
}

// beyond is a time before which all is beyond what is kept, 0 where nothing is.
func (db *DB) beyond(ctx context.Context, query string, kept int64) (before int64, err error) {
	err = found(db.read.QueryRowContext(ctx, query, kept).Scan(&before))
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return before + 1, err
}

// pruneLoginsAtOnce is less than pruneAtOnce: each has some legs.
const pruneLoginsAtOnce = 200

// Warn says whether it was the first to be asked for this tenant, app and time:
// of many replicas one tells.
func (db *DB) Warn(ctx context.Context, tenant, app string, at int64) (bool, error) {
	err := insert(ctx, db.write, `INSERT INTO login_warnings (tenant, app, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, tenant, app, at)
	if errors.Is(err, ErrExists) {
		return false, nil
	}
	return err == nil, err
}
