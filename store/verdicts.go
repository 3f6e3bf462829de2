package store

import (
	"context"
	"database/sql"
)

// Verdict is what was found wrong with a tenant's logins. Times are in unix
// seconds.
type Verdict struct {
	Tenant, App string // labels; Tenant "" for what is about the provider
	Outcome     string
	Detail, Fix string // for people
	Since       int64  // when it began
	At          int64  // when it was seen last
}

// PutVerdict notes what is wrong, and says whether that is news: it was well, or
// something else was wrong. Since is kept while it stays the same.
func (db *DB) PutVerdict(ctx context.Context, v Verdict) (news bool, err error) {
	err = db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		var was string
		err := tx.QueryRowContext(ctx, `SELECT outcome FROM verdicts WHERE tenant = $1 AND app = $2`, v.Tenant, v.App).Scan(&was)
		if err = found(err); err != nil && err != ErrNotFound { //nolint:errorlint // found has just made it
			return err
		}
		news = was != v.Outcome
		_, err = tx.ExecContext(ctx, `INSERT INTO verdicts (tenant, app, outcome, detail, fix, since, at) VALUES ($1, $2, $3, $4, $5, $6, $6)
			ON CONFLICT (tenant, app) DO UPDATE SET detail = excluded.detail, fix = excluded.fix, at = excluded.at,
			since = CASE WHEN verdicts.outcome = excluded.outcome THEN verdicts.since ELSE excluded.since END, outcome = excluded.outcome`,
			v.Tenant, v.App, v.Outcome, v.Detail, v.Fix, v.At)
		return err
	})
	return news, err
}

// ClearVerdict notes that it is well, and says whether that is news.
func (db *DB) ClearVerdict(ctx context.Context, tenant, app string) (news bool, err error) {
	result, err := db.write.ExecContext(ctx, `DELETE FROM verdicts WHERE tenant = $1 AND app = $2`, tenant, app)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// VerdictQuery says which verdicts are wanted.
type VerdictQuery struct {
	Outcome               string // "" for all
	AfterTenant, AfterApp string // the last one that was seen, "" for the first page
	Limit                 int    // from 1 to 1000; 0 is 100
}

// Verdicts returns a page of them, by tenant and app.
func (db *DB) Verdicts(ctx context.Context, q VerdictQuery) (list []Verdict, err error) {
	query, args := `SELECT tenant, app, outcome, detail, fix, since, at FROM verdicts
		WHERE tenant >= $1 AND (tenant > $1 OR app > $2 OR $3 = 1) ORDER BY tenant, app LIMIT $4`, []any{}
	if q.Outcome != "" {
		query = `SELECT tenant, app, outcome, detail, fix, since, at FROM verdicts
			WHERE outcome = $5 AND tenant >= $1 AND (tenant > $1 OR app > $2 OR $3 = 1) ORDER BY tenant, app LIMIT $4`
		args = append(args, q.Outcome)
	}
	first := bit(q.AfterTenant == "" && q.AfterApp == "")
	err = each(ctx, db.read, func(r row) error {
		var v Verdict
		err := r.Scan(&v.Tenant, &v.App, &v.Outcome, &v.Detail, &v.Fix, &v.Since, &v.At)
		list = append(list, v)
		return err
	}, query, append([]any{q.AfterTenant, q.AfterApp, first, limit(q.Limit)}, args...)...)
	return list, err
}

// PruneVerdicts removes those that were last seen before that time: nobody looks
// at these tenants any more.
func (db *DB) PruneVerdicts(ctx context.Context, before int64) error {
	return db.pruneBy(ctx, `DELETE FROM verdicts WHERE (tenant, app) IN (SELECT tenant, app FROM verdicts WHERE at < $1 ORDER BY at LIMIT $2)`, before, pruneAtOnce)
}

// VerifyRound is how far the verification of all tenants has come.
type VerifyRound struct {
	Began  int64  // of the round, unix seconds; 0: none ever did
	Ended  int64  // of the last one that went to its end; 0: none
	After  string // the last label that was looked at; "" where none was in this round
	Looked int64  // tenants in the last one that went to its end
}

// VerifyRound reads it.
func (db *DB) VerifyRound(ctx context.Context) (r VerifyRound, err error) {
	err = db.read.QueryRowContext(ctx, `SELECT began, ended, after, looked FROM verify_rounds WHERE id = 1`).Scan(&r.Began, &r.Ended, &r.After, &r.Looked)
	return r, err
}

// TakeVerifyRound makes the holder, one of many replicas, the one that verifies
// until that unix time, unless another's has not passed at now. It returns what
// the one before has left.
func (db *DB) TakeVerifyRound(ctx context.Context, holder string, now, until int64) (r VerifyRound, taken bool, err error) {
	err = db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `UPDATE verify_rounds SET holder = $1, until = $3 WHERE id = 1 AND (holder = $1 OR until < $2)
			RETURNING began, ended, after, looked`, holder, now, until).Scan(&r.Began, &r.Ended, &r.After, &r.Looked)
		if err = found(err); err == ErrNotFound { //nolint:errorlint // found has just made it
			return nil
		}
		taken = err == nil
		return err
	})
	return r, taken, err
}

// KeepVerifyRound writes down how far the holder has come, and lengthens its
// time. False: another one has taken over.
func (db *DB) KeepVerifyRound(ctx context.Context, holder string, until int64, r VerifyRound) (kept bool, err error) {
	result, err := db.write.ExecContext(ctx, `UPDATE verify_rounds SET until = $2, began = $3, ended = $4, after = $5, looked = $6 WHERE id = 1 AND holder = $1`,
		holder, until, r.Began, r.Ended, r.After, r.Looked)
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}
