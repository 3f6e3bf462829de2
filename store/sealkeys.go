package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"onedoor/seal"
)

const sealPurpose = "seal"

// keyRest is how long the number of a key that was removed is nobody's: longer
// than anything lives that was sealed with a key (login_ttl is 24 h at most), so
// that a number never means two keys to what is on its way.
const keyRest = 48 * time.Hour

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
	keys, err := db.sealKeys(ctx, db.read)
	if err != nil || len(keys) > 0 {
		return keys, err
	}
	err = db.change(ctx, Actor{Name: "onedoor", Via: "start"}, func(ctx context.Context, c *change) error {
		if keys, err = db.sealKeys(ctx, c); err != nil || len(keys) > 0 {
			return err
		}
		key, err := db.addSealKey(ctx, c, 1)
		keys = []SealKey{key}
		return err
	})
	return keys, err
}

// AddSealKey makes a key and returns it; it is the first of SealKeys from now on.
func (db *DB) AddSealKey(ctx context.Context, who Actor) (key SealKey, err error) {
	err = db.change(ctx, who, func(ctx context.Context, c *change) error {
		keys, err := db.sealKeys(ctx, c)
		if err != nil {
			return err
		}
		key, err = db.nextSealKey(ctx, c, keys)
		return err
	})
	return key, err
}

// AddSealKeyAfter is AddSealKey where the newest key is still that one, and else
// ErrConflict: of many that see an old key, one makes the next.
func (db *DB) AddSealKeyAfter(ctx context.Context, who Actor, newest SealKey) (key SealKey, err error) {
	err = db.change(ctx, who, func(ctx context.Context, c *change) error {
		keys, err := db.sealKeys(ctx, c)
		if err != nil {
			return err
		}
		if len(keys) == 0 || keys[0].ID != newest.ID || keys[0].CreatedAt != newest.CreatedAt {
			return ErrConflict
		}
		key, err = db.nextSealKey(ctx, c, keys)
		return err
	})
	return key, err
}

// nextSealKey adds a key under the next number that nobody has or had of late.
func (db *DB) nextSealKey(ctx context.Context, c *change, keys []SealKey) (SealKey, error) {
	var last byte
	if len(keys) > 0 {
		last = keys[0].ID
	}
	for id := last + 1; id != last; id++ {
		if slices.ContainsFunc(keys, func(k SealKey) bool { return k.ID == id }) {
			continue
		}
		var latest int64
		err := found(c.QueryRowContext(ctx, `SELECT at FROM audit WHERE subject = $1 ORDER BY revision DESC LIMIT 1`, keySubject(id)).Scan(&latest))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return SealKey{}, err
		}
		if err == nil && c.at-latest < int64(keyRest/time.Second) {
			continue
		}
		return db.addSealKey(ctx, c, id)
	}
	return SealKey{}, fmt.Errorf("%w sealing keys: all 256 numbers were used within %s", ErrTooMany, keyRest)
}

func (db *DB) addSealKey(ctx context.Context, c *change, id byte) (SealKey, error) {
	k := SealKey{Key: seal.NewKey(id), CreatedAt: c.at}
	revision, err := c.made("key.add", keySubject(id), nil, keyRecord{id, c.at})
	if err != nil {
		return k, err
	}
	return k, insert(ctx, c, `INSERT INTO secrets (purpose, id, value, created_at, revision) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`,
		sealPurpose, int64(id), db.box.Seal(sealPlace(id, k.CreatedAt), k.Secret), k.CreatedAt, revision)
}

// RemoveSealKey removes the key: what was sealed with it opens no more.
// ErrLastKey where there is no other.
func (db *DB) RemoveSealKey(ctx context.Context, who Actor, id byte) error {
	return db.change(ctx, who, func(ctx context.Context, c *change) error {
		keys, err := db.sealKeys(ctx, c)
		if err != nil {
			return err
		}
		if len(keys) == 1 && keys[0].ID == id {
			return ErrLastKey
		}
		return c.removeSealKey(ctx, keys, id)
	})
}

// RevokeSealKey is RemoveSealKey for any key. Where it is the newest, another is
// made first, and returned: an older one should not begin to seal again, and
// somebody has to. Where no number is left for another, the older one does all
// the same: a key that somebody may have read must be one that can be revoked.
func (db *DB) RevokeSealKey(ctx context.Context, who Actor, id byte) (next *SealKey, err error) {
	err = db.change(ctx, who, func(ctx context.Context, c *change) error {
		keys, err := db.sealKeys(ctx, c)
		if err != nil {
			return err
		}
		if len(keys) > 0 && keys[0].ID == id {
			switch made, err := db.nextSealKey(ctx, c, keys); {
			case err == nil:
				next = &made
			case len(keys) == 1 || !errors.Is(err, ErrTooMany):
				return err
			}
		}
		return c.removeSealKey(ctx, keys, id)
	})
	if err != nil {
		return nil, err
	}
	return next, nil
}

func (c *change) removeSealKey(ctx context.Context, keys []SealKey, id byte) error {
	i := slices.IndexFunc(keys, func(k SealKey) bool { return k.ID == id })
	if i < 0 {
		return ErrNotFound
	}
	if _, err := c.made("key.remove", keySubject(id), keyRecord{id, keys[i].CreatedAt}, nil); err != nil {
		return err
	}
	_, err := c.ExecContext(ctx, `DELETE FROM secrets WHERE purpose = $1 AND id = $2`, sealPurpose, int64(id))
	return err
}

func keySubject(id byte) string { return fmt.Sprintf("key/%d", id) }

func (db *DB) sealKeys(ctx context.Context, on querier) (keys []SealKey, err error) {
	err = each(ctx, on, func(r row) error {
		var id, createdAt int64
		var value string
		if err := r.Scan(&id, &value, &createdAt); err != nil {
			return err
		}
		secret, err := db.box.Open(sealPlace(byte(id), createdAt), value)
		if err != nil {
			return fmt.Errorf("sealing key %d in the database %w", id, err)
		}
		if id < 0 || id > 255 || len(secret) != seal.KeySize {
			return fmt.Errorf("sealing key %d in the database %w", id, seal.ErrDamaged)
		}
		keys = append(keys, SealKey{seal.Key{ID: byte(id), Secret: secret}, createdAt})
		return nil
	}, `SELECT id, value, created_at FROM secrets WHERE purpose = $1 ORDER BY revision DESC, id DESC`, sealPurpose)
	return keys, err
}
