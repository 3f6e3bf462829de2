package store

import "context"

// KeepState keeps a long state until the unix time expiresAt.
func (db *DB) KeepState(ctx context.Context, handle, value string, expiresAt int64) error {
	return insert(ctx, db.write, `INSERT INTO long_states (handle, value, expires_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, handle, value, expiresAt)
}

// KeptState returns what was kept under handle, or ErrNotFound. It stays until
// it expires: a browser may bring one response twice.
func (db *DB) KeptState(ctx context.Context, handle string) (string, error) {
	var value string
	err := db.read.QueryRowContext(ctx, `SELECT value FROM long_states WHERE handle = $1`, handle).Scan(&value)
	return value, found(err)
}
