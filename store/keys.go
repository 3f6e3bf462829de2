package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"onedoor/seal"
)

const sealPurpose = "seal"

// SealKeys returns the keys that the door seals with, the primary first. The
// first call makes one; of many processes that call it at once one makes it,
// and all get the same.
func (db *DB) SealKeys(ctx context.Context) ([]seal.Key, error) {
	keys, err := db.sealKeys(ctx)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	first := seal.NewKey(1)
	err = insert(ctx, db.write, `INSERT INTO secrets (purpose, id, value, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		sealPurpose, int64(first.ID), base64.StdEncoding.EncodeToString(first.Secret), time.Now().Unix())
	if err != nil && !errors.Is(err, ErrExists) {
		return nil, err
	}
	return db.sealKeys(ctx)
}

func (db *DB) sealKeys(ctx context.Context) (keys []seal.Key, err error) {
	rows, err := db.read.QueryContext(ctx, `SELECT id, value FROM secrets WHERE purpose = $1 ORDER BY id DESC`, sealPurpose)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id int64
		var value string
		if err := rows.Scan(&id, &value); err != nil {
			return nil, err
		}
		secret, err := base64.StdEncoding.DecodeString(value)
		if err != nil || id < 0 || id > 255 || len(secret) != seal.KeySize {
			return nil, fmt.Errorf("sealing key %d in the database is damaged", id)
		}
		keys = append(keys, seal.Key{ID: byte(id), Secret: secret})
	}
	return keys, rows.Err()
}

// SigningKey is a private key of the embedded provider.
type SigningKey struct {
	ID         string // kid
	Alg        string
	PrivateKey []byte // PKCS #8
	CreatedAt  int64  // unix seconds
}

// AddFirstSigningKey adds k where there is no key for k.Alg yet; otherwise it
// does nothing. Read SigningKeys afterwards: another process may have been
// faster.
func (db *DB) AddFirstSigningKey(ctx context.Context, k SigningKey) error {
	err := insert(ctx, db.write, `INSERT INTO signing_keys (alg, generation, id, private_key, created_at) VALUES ($1, 1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		k.Alg, k.ID, base64.StdEncoding.EncodeToString(k.PrivateKey), k.CreatedAt)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// SigningKeys returns every key; of each algorithm's the first is the one that
// signs.
func (db *DB) SigningKeys(ctx context.Context) (keys []SigningKey, err error) {
	rows, err := db.read.QueryContext(ctx, `SELECT id, alg, private_key, created_at FROM signing_keys ORDER BY alg, generation DESC`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var k SigningKey
		var value string
		if err := rows.Scan(&k.ID, &k.Alg, &value, &k.CreatedAt); err != nil {
			return nil, err
		}
		if k.PrivateKey, err = base64.StdEncoding.DecodeString(value); err != nil {
			return nil, fmt.Errorf("signing key %q in the database is damaged", k.ID)
		}
		keys = append(keys, k)
	}
	return keys, rows.Err()
}
