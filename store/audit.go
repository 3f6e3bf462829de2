package store

import (
	"context"
	"encoding/json"
	"errors"
)

// AuditEntry is one change: who, when, what it was before and after. It never
// holds a secret.
type AuditEntry struct {
	ID      int64  `json:"id"` // the revision that the change made
	At      int64  `json:"at"` // unix seconds
	Actor   Actor  `json:"actor"`
	Action  string `json:"action"`  // tenant.add, tenant.set, tenant.remove, tenant.restore, domain.set, domain.remove, token.add, token.remove, key.add, key.remove
	Subject string `json:"subject"` // tenant/acme, token/<id>, key/3
	// Before and After are nil where there was, or is, nothing.
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// AuditQuery says which part of the audit log is wanted. Zero values say
// nothing.
type AuditQuery struct {
	// After is the ID of the last entry that was seen; entries come newest
	// first. 0 begins at the newest.
	After int64
	// Tenant is a label, and Subject any subject.
	Tenant  string
	Subject string
	Actor   string // by its name
	// Since and Until bound the time, in unix seconds; Since is in, Until is out.
	Since, Until int64
	Limit        int // from 1 to 1000; 0 is 100
}

// Audit returns a page of the audit log, newest first.
//
// The order is that of the revisions, which is the order of the changes. Clocks
// of replicas differ a little, so of those that they made at one moment a time
// may cut off one too many or too few.
func (db *DB) Audit(ctx context.Context, q AuditQuery) (entries []AuditEntry, err error) {
	const newest = 1<<63 - 1
	first, end := int64(0), int64(newest)
	if q.Since > 0 {
		if first, err = db.auditAt(ctx, q.Since); err != nil {
			return nil, err
		}
	}
	if q.Until > 0 {
		if end, err = db.auditAt(ctx, q.Until); err != nil {
			return nil, err
		}
	}
	if q.After > 0 {
		end = min(end, q.After)
	}
	subject := q.Subject
	if q.Tenant != "" {
		subject = tenantSubject(q.Tenant)
	}
	// One text for each index that can be the narrowest, as in Logins.
	query, args := `SELECT revision, at, actor, via, action, subject, before, after FROM audit
		WHERE revision >= $1 AND revision < $2 ORDER BY revision DESC LIMIT $3`, []any{first, end, limit(q.Limit)}
	switch {
	case subject != "":
		query, args = `SELECT revision, at, actor, via, action, subject, before, after FROM audit
			WHERE revision >= $1 AND revision < $2 AND subject = $4 AND ($5 = '' OR actor = $5) ORDER BY revision DESC LIMIT $3`, append(args, subject, q.Actor)
	case q.Actor != "":
		query, args = `SELECT revision, at, actor, via, action, subject, before, after FROM audit
			WHERE revision >= $1 AND revision < $2 AND actor = $4 ORDER BY revision DESC LIMIT $3`, append(args, q.Actor)
	}
	err = each(ctx, db.read, func(r row) error {
		e, err := scanAudit(r)
		entries = append(entries, e)
		return err
	}, query, args...)
	return entries, err
}

// auditAt is the revision of the first change at that time or later, and one
// that is never reached where there is none yet.
func (db *DB) auditAt(ctx context.Context, at int64) (revision int64, err error) {
	err = found(db.read.QueryRowContext(ctx, `SELECT revision FROM audit WHERE at >= $1 ORDER BY at, revision LIMIT 1`, at).Scan(&revision))
	if errors.Is(err, ErrNotFound) {
		return 1<<63 - 1, nil
	}
	return revision, err
}

// AuditEntry returns the entry of that ID, or ErrNotFound.
func (db *DB) AuditEntry(ctx context.Context, id int64) (AuditEntry, error) {
	e, err := scanAudit(db.read.QueryRowContext(ctx, `SELECT revision, at, actor, via, action, subject, before, after FROM audit WHERE revision = $1`, id))
	return e, found(err)
}

func scanAudit(r row) (e AuditEntry, err error) {
	var before, after string
	err = r.Scan(&e.ID, &e.At, &e.Actor.Name, &e.Actor.Via, &e.Action, &e.Subject, &before, &after)
	e.Before, e.After = raw(before), raw(after)
	return e, err
}

// PruneAudit removes the entries of before that time, in unix seconds. What the
// log is read for besides stays: by the newest entry doors tell whether a
// database is the one that they know, and by those of the last days how long the
// number of a key has rested.
func (db *DB) PruneAudit(ctx context.Context, before int64) error {
	return db.pruneBy(ctx, `DELETE FROM audit WHERE revision IN (SELECT revision FROM audit
		WHERE at < $1 AND revision < (SELECT revision FROM registry WHERE id = 1) ORDER BY at, revision LIMIT $2)`,
		min(before, db.now().Add(-keyRest).Unix()), pruneAtOnce)
}

func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}

const maxPage = 1000

func limit(n int) int {
	if n <= 0 {
		return 100
	}
	return min(n, maxPage)
}

func (c *change) writeAudit(ctx context.Context) error {
	for part := range parts(c.log) {
		args := make([]any, 0, 8*len(part))
		for _, e := range part {
			args = append(args, e.ID, e.At, e.Actor.Name, e.Actor.Via, e.Action, e.Subject, string(e.Before), string(e.After))
		}
		err := c.write(ctx, rowsMany(`INSERT INTO audit (revision, at, actor, via, action, subject, before, after)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, len(part)), args...)
		if err != nil {
			return err
		}
	}
	return nil
}
