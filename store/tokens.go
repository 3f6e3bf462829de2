package store

import (
	"context"
	"encoding/json"
	"fmt"
)

// Token is a bearer token of the admin API. Only its hash is kept: who reads
// the database cannot use it.
type Token struct {
	ID        string
	Name      string // one token's only; the audit log calls its bearer so
	Hash      string
	Scopes    []string
	CreatedAt int64 // unix seconds
	ExpiresAt int64 // 0: never
}

// tokenRecord is a token in the audit log: without its hash.
type tokenRecord struct {
	ID        string   `json:"id"`
	Name      string   `json:"name"`
	Scopes    []string `json:"scopes"`
	ExpiresAt int64    `json:"expires_at,omitempty"`
}

func (t Token) record() tokenRecord { return tokenRecord{t.ID, t.Name, t.Scopes, t.ExpiresAt} }

// AddToken adds t, created now; ErrExists where its ID, name or hash is taken.
func (db *DB) AddToken(ctx context.Context, who Actor, t Token) error {
	scopes, err := json.Marshal(t.Scopes)
	if err != nil {
		return err
	}
	return db.change(ctx, who, func(ctx context.Context, c *change) error {
		if _, err := c.made("token.add", "token/"+t.ID, nil, t.record()); err != nil {
			return err
		}
		return insert(ctx, c, `INSERT INTO tokens (id, name, hash, scopes, created_at, expires_at)
			VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, t.ID, t.Name, t.Hash, string(scopes), c.at, t.ExpiresAt)
	})
}

// TokenByHash returns the token of that hash, expired or not.
func (db *DB) TokenByHash(ctx context.Context, hash string) (Token, error) {
	return scanToken(db.read.QueryRowContext(ctx, `SELECT id, name, hash, scopes, created_at, expires_at FROM tokens WHERE hash = $1`, hash))
}

// Tokens returns every token, by name.
func (db *DB) Tokens(ctx context.Context) (tokens []Token, err error) {
	err = each(ctx, db.read, func(r row) error {
		t, err := scanToken(r)
		tokens = append(tokens, t)
		return err
	}, `SELECT id, name, hash, scopes, created_at, expires_at FROM tokens ORDER BY name`)
	return tokens, err
}

// RemoveToken removes the token whose ID is id.
func (db *DB) RemoveToken(ctx context.Context, who Actor, id string) error {
	return db.change(ctx, who, func(ctx context.Context, c *change) error {
		t, err := scanToken(c.QueryRowContext(ctx, `SELECT id, name, hash, scopes, created_at, expires_at FROM tokens WHERE id = $1`, id))
		if err != nil {
			return err
		}
		if _, err := c.made("token.remove", "token/"+id, t.record(), nil); err != nil {
			return err
		}
		return changed(ErrNotFound)(c.ExecContext(ctx, `DELETE FROM tokens WHERE id = $1`, id))
	})
}

func scanToken(r row) (Token, error) {
	var t Token
	var scopes string
	if err := r.Scan(&t.ID, &t.Name, &t.Hash, &scopes, &t.CreatedAt, &t.ExpiresAt); err != nil {
		return t, found(err)
	}
	if err := json.Unmarshal([]byte(scopes), &t.Scopes); err != nil {
		return t, fmt.Errorf("scopes of token %q: %v", t.ID, err)
	}
	return t, nil
}
