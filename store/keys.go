package store

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"onedoor/seal"
)

const sealPurpose = "seal"

// SealKey is a key that the door seals with.
type SealKey struct {
	seal.Key
	CreatedAt int64 // unix seconds
}

// keyRecord is a key in the audit log: its number, and never the key.
type keyRecord struct {
	ID        byte  `json:"id"`
	CreatedAt int64 `json:"created_at"`
}

// ErrLastKey says that a door without any key cannot seal.
var ErrLastKey = errors.New("it is the only key: add one before removing it")

// SealKeys returns the keys that the door seals with, the newest first. The
// first call makes one; of many processes that call it at once one makes it,
// and all get the same.
func (db *DB) SealKeys(ctx context.Context) ([]SealKey, error) {
	keys, err := sealKeys(ctx, db.read)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	err = db.change(ctx, Actor{Name: "onedoor", Via: "start"}, func(c *change) error {
		if keys, err = sealKeys(ctx, c); err != nil || len(keys) > 0 {
			return err
		}
		key, err := c.addSealKey(ctx, 1)
		keys = []SealKey{key}
		return err
	})
	return keys, err
}

// AddSealKey makes a key and returns it; it is the first of SealKeys from now on.
func (db *DB) AddSealKey(ctx context.Context, who Actor) (key SealKey, err error) {
	err = db.change(ctx, who, func(c *change) error {
		keys, err := sealKeys(ctx, c)
		if err != nil {
			return err
		}
		used := map[byte]bool{}
		var id byte
		for _, k := range keys {
			used[k.ID] = true
		}
		if len(used) == 256 {
			return fmt.Errorf("%w sealing keys: remove old ones first", ErrTooMany)
		}
		if len(keys) > 0 {
			id = keys[0].ID
		}
		for id++; used[id]; id++ {
		}
		key, err = c.addSealKey(ctx, id)
		return err
	})
	return key, err
}

func (c *change) addSealKey(ctx context.Context, id byte) (SealKey, error) {
	k := SealKey{Key: seal.NewKey(id), CreatedAt: c.at}
	revision, err := c.made("key.add", keySubject(id), nil, keyRecord{id, c.at})
	if err != nil {
		return k, err
	}
	return k, insert(ctx, c, `INSERT INTO secrets (purpose, id, value, created_at, revision) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		sealPurpose, int64(id), base64.StdEncoding.EncodeToString(k.Secret), k.CreatedAt, revision)
}

// RemoveSealKey removes the key: what was sealed with it opens no more.
// ErrLastKey where there is no other.
func (db *DB) RemoveSealKey(ctx context.Context, who Actor, id byte) error {
	return db.change(ctx, who, func(c *change) error {
		keys, err := sealKeys(ctx, c)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(keys, func(k SealKey) bool { return k.ID == id })
		if i < 0 {
			return ErrNotFound
		}
		if len(keys) == 1 {
			return ErrLastKey
		}
		if _, err := c.made("key.remove", keySubject(id), keyRecord{id, keys[i].CreatedAt}, nil); err != nil {
			return err
		}
		_, err = c.ExecContext(ctx, `DELETE FROM secrets WHERE purpose = $1 AND id = $2`, sealPurpose, int64(id))
		return err
	})
}

func keySubject(id byte) string { return fmt.Sprintf("key/%d", id) }

func sealKeys(ctx context.Context, on querier) (keys []SealKey, err error) {
	err = each(ctx, on, func(r row) error {
		var id, createdAt int64
		var value string
		if err := r.Scan(&id, &value, &createdAt); err != nil {
			return err
		}
		secret, err := base64.StdEncoding.DecodeString(value)
		if err != nil || id < 0 || id > 255 || len(secret) != seal.KeySize {
			return fmt.Errorf("sealing key %d in the database is damaged", id)
		}
		keys = append(keys, SealKey{seal.Key{ID: byte(id), Secret: secret}, createdAt})
		return nil
	}, `SELECT id, value, created_at FROM secrets WHERE purpose = $1 ORDER BY revision DESC, id DESC`, sealPurpose)
	return keys, err
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
