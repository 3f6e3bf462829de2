package store

import (
	"context"
	"errors"
	"fmt"
)

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
		k.Alg, k.ID, db.box.Seal(signingPlace(k.Alg, k.ID), k.PrivateKey), k.CreatedAt)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// SigningKeys returns every key; of each algorithm's the first is the one that
// signs.
func (db *DB) SigningKeys(ctx context.Context) (keys []SigningKey, err error) {
	err = each(ctx, db.read, func(r row) error {
		var k SigningKey
		var value string
		if err := r.Scan(&k.ID, &k.Alg, &value, &k.CreatedAt); err != nil {
			return err
		}
		if k.PrivateKey, err = db.box.Open(signingPlace(k.Alg, k.ID), value); err != nil {
			return fmt.Errorf("signing key %q in the database %w", k.ID, err)
		}
		keys = append(keys, k)
		return nil
	}, `SELECT id, alg, private_key, created_at FROM signing_keys ORDER BY alg, generation DESC`)
	return keys, err
}

// Where private keys are kept, for the encryption: a value that is moved to
// another row does not open there.
func sealPlace(id byte, createdAt int64) string {
	return fmt.Sprintf("secrets/seal/%d/%d", id, createdAt)
}
func signingPlace(alg, id string) string { return "signing_keys/" + alg + "/" + id }

// NotEncrypted counts the private keys that are not encrypted as this DB would
// encrypt them now: not at all, or under another key.
func (db *DB) NotEncrypted(ctx context.Context) (n int, err error) {
	err = db.eachPrivateKey(ctx, db.read, func(k privateKey) error {
		if !db.box.Current(k.value) {
			n++
		}
		return nil
	})
	return n, err
}

// Reencrypt encrypts every private key anew that NotEncrypted counts, all or
// none, and says how many.
func (db *DB) Reencrypt(ctx context.Context, who Actor) (n int, err error) {
	err = db.change(ctx, who, func(ctx context.Context, c *change) error {
		var stale []privateKey
		err := db.eachPrivateKey(ctx, c, func(k privateKey) error {
			if !db.box.Current(k.value) {
				stale = append(stale, k)
			}
			return nil
		})
		if err != nil || len(stale) == 0 {
			return err
		}
		for _, k := range stale {
			plain, err := db.box.Open(k.place, k.value)
			if err != nil {
				return fmt.Errorf("%s in the database %w", k.subject, err)
			}
			if err := changed(ErrConflict)(c.ExecContext(ctx, k.update, append([]any{db.box.Seal(k.place, plain)}, k.row...)...)); err != nil {
				return err
			}
		}
		n = len(stale)
		_, err = c.made("key.reencrypt", "keys", nil, struct {
			Keys int `json:"keys"`
		}{n})
		return err
	})
	return n, err
}

// privateKey is a row that holds one.
type privateKey struct {
	subject, place, value string
	update                string // writes another value into the row
	row                   []any
}

func (db *DB) eachPrivateKey(ctx context.Context, on querier, f func(privateKey) error) error {
	err := each(ctx, on, func(r row) error {
		var id, createdAt int64
		k := privateKey{update: `UPDATE secrets SET value = $1 WHERE purpose = $2 AND id = $3`}
		if err := r.Scan(&id, &k.value, &createdAt); err != nil {
			return err
		}
		k.subject, k.place, k.row = fmt.Sprintf("sealing key %d", id), sealPlace(byte(id), createdAt), []any{sealPurpose, id}
		return f(k)
	}, `SELECT id, value, created_at FROM secrets WHERE purpose = $1`, sealPurpose)
	if err != nil {
		return err
	}
	return each(ctx, on, func(r row) error {
		var alg, id string
		k := privateKey{update: `UPDATE signing_keys SET private_key = $1 WHERE id = $2`}
		if err := r.Scan(&alg, &id, &k.value); err != nil {
			return err
		}
		k.subject, k.place, k.row = fmt.Sprintf("signing key %q", id), signingPlace(alg, id), []any{id}
		return f(k)
	}, `SELECT alg, id, private_key FROM signing_keys ORDER BY alg, generation DESC`)
}
