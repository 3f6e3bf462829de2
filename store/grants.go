package store

import (
	"context"
	"database/sql"
)

// Grant is what a person allowed a client. Its code and its refresh tokens are
// kept as hashes only: who reads the file cannot use them.
type Grant struct {
	ID        string
	ClientID  string
	Subject   string
	CodeHash  string // "" where it came from no code
	Body      string // the engine's own, opaque here
	Version   int64  // as it was read; 0 for a new one
	CreatedAt int64  // unix seconds
	ExpiresAt int64  // when nothing of it can be used any more, and it is pruned
	RevokedAt int64  // 0: in force
	// NewRefreshHash, when saved, becomes the grant's one good refresh token; all
	// earlier ones are spent. "" leaves them as they are. It is not read back.
	NewRefreshHash string
}

// SaveGrant writes g where the stored version is still g.Version, and
// ErrConflict otherwise: of many who redeem one code, or one refresh token, at
// the same time, one gets through (RFC 6749 §4.1.2, RFC 9700 §4.14.2).
func (db *DB) SaveGrant(ctx context.Context, g Grant) error {
	return db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := putGrant(ctx, tx, g); err != nil {
			return err
		}
		if g.NewRefreshHash == "" {
			return nil
		}
		if _, err := tx.ExecContext(ctx, `UPDATE refresh_tokens SET spent = 1 WHERE grant_id = $1`, g.ID); err != nil {
			return err
		}
		return insert(ctx, tx, `INSERT INTO refresh_tokens (hash, grant_id, spent) VALUES ($1, $2, 0) ON CONFLICT DO NOTHING`,
			g.NewRefreshHash, g.ID)
	})
}

func putGrant(ctx context.Context, tx *sql.Tx, g Grant) error {
	if g.Version == 0 {
		err := insert(ctx, tx, `INSERT INTO grants (id, client_id, subject, code_hash, body, version, created_at, expires_at, revoked_at)
			VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8) ON CONFLICT DO NOTHING`,
			g.ID, g.ClientID, g.Subject, nullable(g.CodeHash), g.Body, g.CreatedAt, g.ExpiresAt, g.RevokedAt)
		if err == ErrExists { //nolint:errorlint // our own, unwrapped
			return ErrConflict
		}
		return err
	}
	return changed(ErrConflict)(tx.ExecContext(ctx, `UPDATE grants SET body = $3, version = version + 1, expires_at = $4, revoked_at = $5
		WHERE id = $1 AND version = $2`, g.ID, g.Version, g.Body, g.ExpiresAt, g.RevokedAt))
}

// Grant returns the grant whose ID is id.
func (db *DB) Grant(ctx context.Context, id string) (Grant, error) {
	return scanGrant(db.read.QueryRowContext(ctx, `SELECT id, client_id, subject, code_hash, body, version, created_at, expires_at, revoked_at
		FROM grants WHERE id = $1`, id))
}

// GrantByCode returns the grant of the code of that hash, spent or not.
func (db *DB) GrantByCode(ctx context.Context, hash string) (Grant, error) {
	return scanGrant(db.read.QueryRowContext(ctx, `SELECT id, client_id, subject, code_hash, body, version, created_at, expires_at, revoked_at
		FROM grants WHERE code_hash = $1`, hash))
}

// GrantByRefreshToken returns the grant of the refresh token of that hash, and
// whether the token was spent already: then it was stolen, from the client or
// by it, and the caller revokes the grant (RFC 9700 §4.14.2).
//
// Token and grant are read by one statement: between two, another could spend
// the token, and the version that the second reads would let a spent one through.
func (db *DB) GrantByRefreshToken(ctx context.Context, hash string) (g Grant, spent bool, err error) {
	var used int64
	g, err = scanGrant(db.read.QueryRowContext(ctx, `SELECT g.id, g.client_id, g.subject, g.code_hash, g.body, g.version, g.created_at, g.expires_at, g.revoked_at, r.spent
		FROM refresh_tokens r JOIN grants g ON g.id = r.grant_id WHERE r.hash = $1`, hash), &used)
	return g, used != 0, err
}

// RevokeGrant revokes the grant whatever its version is; no such grant is no
// error.
func (db *DB) RevokeGrant(ctx context.Context, id string, at int64) error {
	_, err := db.write.ExecContext(ctx, `UPDATE grants SET revoked_at = $2, version = version + 1 WHERE id = $1 AND revoked_at = 0`, id, at)
	return err
}

func scanGrant(r row, more ...any) (Grant, error) {
	var g Grant
	var code sql.NullString
	err := r.Scan(append([]any{&g.ID, &g.ClientID, &g.Subject, &code, &g.Body, &g.Version, &g.CreatedAt, &g.ExpiresAt, &g.RevokedAt}, more...)...)
	g.CodeHash = code.String
	return g, found(err)
}
