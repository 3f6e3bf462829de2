package store

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"time"
)

// AuthSession is a login in progress, or a pushed authorization request.
type AuthSession struct {
	ID        string
	PARHash   string // of the request_uri's handle; "" where there is none
	Body      string // the engine's own, opaque here
	Version   int64  // as it was read; 0 for a new one
	ExpiresAt int64  // unix seconds
}

// SaveAuthSession writes s where the stored version is still s.Version, and
// ErrConflict otherwise: a login form that is posted twice ends one login.
func (db *DB) SaveAuthSession(ctx context.Context, s AuthSession) error {
	if s.Version == 0 {
		err := insert(ctx, db.write, `INSERT INTO auth_sessions (id, par_hash, body, version, expires_at) VALUES ($1, $2, $3, 1, $4) ON CONFLICT DO NOTHING`,
			s.ID, nullable(s.PARHash), s.Body, s.ExpiresAt)
		if errors.Is(err, ErrExists) {
			return ErrConflict
		}
		return err
	}
	return changed(ErrConflict)(db.write.ExecContext(ctx, `UPDATE auth_sessions SET par_hash = $3, body = $4, version = version + 1, expires_at = $5
		WHERE id = $1 AND version = $2`, s.ID, s.Version, nullable(s.PARHash), s.Body, s.ExpiresAt))
}

// AuthSession returns the login whose ID is id.
func (db *DB) AuthSession(ctx context.Context, id string) (AuthSession, error) {
	return scanAuthSession(db.read.QueryRowContext(ctx, `SELECT id, par_hash, body, version, expires_at FROM auth_sessions WHERE id = $1`, id))
}

// AuthSessionByPAR returns the pushed request whose handle has that hash.
func (db *DB) AuthSessionByPAR(ctx context.Context, hash string) (AuthSession, error) {
	return scanAuthSession(db.read.QueryRowContext(ctx, `SELECT id, par_hash, body, version, expires_at FROM auth_sessions WHERE par_hash = $1`, hash))
}

func scanAuthSession(r row) (AuthSession, error) {
	var s AuthSession
	var par sql.NullString
	err := r.Scan(&s.ID, &par, &s.Body, &s.Version, &s.ExpiresAt)
	s.PARHash = par.String
	return s, found(err)
}

// BrowserSession is a person who is logged in, in one browser.
type BrowserSession struct {
	Hash      string // of the cookie's value
	SID       string // what clients may know it by
	UserID    string
	AuthTime  int64 // unix seconds
	ExpiresAt int64
}

// AddBrowserSession adds s and, in the same step, removes the session that it
// replaces: a session never survives a login (THREATS T-72).
func (db *DB) AddBrowserSession(ctx context.Context, s BrowserSession, replaces string) error {
	return db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `DELETE FROM browser_sessions WHERE hash = $1`, replaces); err != nil {
			return err
		}
		return insert(ctx, tx, `INSERT INTO browser_sessions (hash, sid, user_id, auth_time, expires_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
			s.Hash, s.SID, s.UserID, s.AuthTime, s.ExpiresAt)
	})
}

// BrowserSession returns the session of the cookie whose value has that hash.
func (db *DB) BrowserSession(ctx context.Context, hash string) (BrowserSession, error) {
	s := BrowserSession{Hash: hash}
	err := db.read.QueryRowContext(ctx, `SELECT sid, user_id, auth_time, expires_at FROM browser_sessions WHERE hash = $1`, hash).
		Scan(&s.SID, &s.UserID, &s.AuthTime, &s.ExpiresAt)
	return s, found(err)
}

// RemoveBrowserSession ends the session; none is no error.
func (db *DB) RemoveBrowserSession(ctx context.Context, hash string) error {
	_, err := db.write.ExecContext(ctx, `DELETE FROM browser_sessions WHERE hash = $1`, hash)
	return err
}

// pruneAtOnce bounds the rows of one statement: however much has expired, a
// login waits for no more than that.
const pruneAtOnce = 1000

// Prune removes what expired before the unix time before.
func (db *DB) Prune(ctx context.Context, before int64) error {
	for _, query := range []string{
		`DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_at < $1 LIMIT $2)`,
		`DELETE FROM auth_sessions WHERE id IN (SELECT id FROM auth_sessions WHERE expires_at < $1 LIMIT $2)`,
		`DELETE FROM browser_sessions WHERE hash IN (SELECT hash FROM browser_sessions WHERE expires_at < $1 LIMIT $2)`,
		`DELETE FROM long_states WHERE handle IN (SELECT handle FROM long_states WHERE expires_at < $1 LIMIT $2)`,
	} {
		if err := db.pruneBy(ctx, query, before, pruneAtOnce); err != nil {
			return err
		}
	}
	return nil
}

// pruneBy runs a statement that removes so many rows at most of before a time,
// until there are fewer.
func (db *DB) pruneBy(ctx context.Context, query string, before, most int64) error {
	for {
		result, err := db.write.ExecContext(ctx, query, before, most)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n < most {
			return err
		}
	}
}

// PruneUntil prunes every ten minutes until ctx ends. Expired rows are refused
// anyhow, so a minute of grace costs nothing and spares replicas whose clocks
// differ.
func (db *DB) PruneUntil(ctx context.Context, log *slog.Logger) {
	ticks := time.NewTicker(10 * time.Minute)
	defer ticks.Stop()
	for {
		if err := db.Prune(ctx, db.now().Add(-time.Minute).Unix()); err != nil && ctx.Err() == nil {
			log.Warn("what expired was not pruned", slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}
