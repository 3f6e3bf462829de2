package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
)

// Actor is who made a change, for the audit log.
type Actor struct {
	Name string `json:"name"` // of a token, of an operating system's user
	Via  string `json:"via"`  // how: "api", "cli", "domains", "start"
}

// Revision returns how many changes tenants, domains, tokens and sealing keys
// have seen. It only grows, and it costs one row. A door asks several times a
// second: preparing the question was a quarter of what an idle one did.
func (db *DB) Revision(ctx context.Context) (revision int64, err error) {
	if db.revision == nil {
		err = db.read.QueryRowContext(ctx, askRevision).Scan(&revision)
		return revision, err
	}
	ctx, cancel := context.WithTimeout(ctx, statementBound)
	defer cancel()
	err = db.revision.QueryRowContext(ctx).Scan(&revision)
	return revision, explain(err)
}

const askRevision = `SELECT revision FROM registry WHERE id = 1`

// TenantCount returns how many tenants there are, without counting them.
func (db *DB) TenantCount(ctx context.Context) (int64, error) {
	var n int64
	err := db.read.QueryRowContext(ctx, `SELECT tenants FROM registry WHERE id = 1`).Scan(&n)
	return n, err
}

// Watch calls changed soon after any commit that raised the revision, made
// through this DB or another, until ctx ends. It may call once too often, and it
// calls from one goroutine at a time: what comes meanwhile is one more call.
//
// A follower asks for Revision now and then all the same: a call can be late by
// as long as the database is out of reach.
func (db *DB) Watch(ctx context.Context, changed func()) { db.engine.watch(ctx, changed) }

// change is a transaction that holds the registry: nobody else changes tenants,
// domains, tokens or sealing keys before it ends, so that what it reads stays true.
type change struct {
	*sql.Tx
	actor    Actor
	at       int64
	revision int64 // of the last change made in it
	tenants  int64
	log      []AuditEntry
	prepared map[string]*sql.Stmt // nil where the driver keeps them
}

// change runs f while it holds the registry. What f notes with made becomes
// visible at once and together, or not at all.
func (db *DB) change(ctx context.Context, who Actor, f func(context.Context, *change) error) error {
	return db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		c := &change{Tx: tx, actor: who, at: db.now().Unix()}
		if db.engine.prepare {
			c.prepared = map[string]*sql.Stmt{}
		}
		err := tx.QueryRowContext(ctx, `UPDATE registry SET revision = revision WHERE id = 1 RETURNING revision, tenants`).Scan(&c.revision, &c.tenants)
		if err != nil {
			return err
		}
		if err := f(ctx, c); err != nil || len(c.log) == 0 {
			return err
		}
		if err := c.writeAudit(ctx); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `UPDATE registry SET revision = $1, tenants = $2 WHERE id = 1`, c.revision, c.tenants)
		if err != nil || db.engine.notify == "" {
			return err
		}
		_, err = tx.ExecContext(ctx, db.engine.notify, strconv.FormatInt(c.revision, 10))
		return err
	})
}

// write runs a statement of many rows, of which a batch runs dozens: a quarter
// of an import was their preparation. The transaction closes what it prepares.
func (c *change) write(ctx context.Context, query string, args ...any) error {
	if c.prepared == nil {
		_, err := c.ExecContext(ctx, query, args...)
		return err
	}
	statement, ok := c.prepared[query]
	if !ok {
		var err error
		if statement, err = c.PrepareContext(ctx, query); err != nil {
			return err
		}
		c.prepared[query] = statement
	}
	_, err := statement.ExecContext(ctx, args...)
	return err
}

// made notes one change and returns its revision. Before and after become JSON;
// nil is nothing.
func (c *change) made(action, subject string, before, after any) (int64, error) {
	c.revision++
	entry := AuditEntry{ID: c.revision, At: c.at, Actor: c.actor, Action: action, Subject: subject}
	for _, side := range []struct {
		from any
		to   *json.RawMessage
	}{{before, &entry.Before}, {after, &entry.After}} {
		if side.from == nil {
			continue
		}
		text, err := json.Marshal(side.from)
		if err != nil {
			return 0, fmt.Errorf("%s of %q: %v", action, subject, err)
		}
		*side.to = text
	}
	c.log = append(c.log, entry)
	return c.revision, nil
}
