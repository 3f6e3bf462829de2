package store

import (
	"context"
	"encoding/json"
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

// AuditQuery says which part of the audit log is wanted.
type AuditQuery struct {
	// After is the ID of the last entry that was seen; entries come newest
	// first. 0 begins at the newest.
	After int64
	// Tenant is a label, and Subject any subject; "" for every one.
	Tenant  string
	Subject string
	Limit   int // from 1 to 1000; 0 is 100
}

// Audit returns a page of the audit log, newest first.
func (db *DB) Audit(ctx context.Context, q AuditQuery) (entries []AuditEntry, err error) {
	before := q.After
	if before == 0 {
		before = 1<<63 - 1
	}
	subject := q.Subject
	if q.Tenant != "" {
		subject = tenantSubject(q.Tenant)
	}
	query, args := `SELECT revision, at, actor, via, action, subject, before, after FROM audit
		WHERE revision < $1 ORDER BY revision DESC LIMIT $2`, []any{before, limit(q.Limit)}
	if subject != "" {
		query, args = `SELECT revision, at, actor, via, action, subject, before, after FROM audit
			WHERE revision < $1 AND subject = $3 ORDER BY revision DESC LIMIT $2`, append(args, subject)
	}
	err = each(ctx, db.read, func(r row) error {
		var e AuditEntry
		var before, after string
		err := r.Scan(&e.ID, &e.At, &e.Actor.Name, &e.Actor.Via, &e.Action, &e.Subject, &before, &after)
		e.Before, e.After = raw(before), raw(after)
		entries = append(entries, e)
		return err
	}, query, args...)
	return entries, err
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
