package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/user"
	"strconv"
	"time"

	"onedoor/config"
	"onedoor/seal"
	"onedoor/store"
)

// keyCommand looks after the keys: those that logins in progress are sealed
// with, and the encryption of all that lie in the database.
type keyCommand struct {
	List      keyList      `cmd:"" help:"List the keys that logins in progress are sealed with."`
	Rotate    keyRotate    `cmd:"" help:"Make a new key; the ones before it open until nothing that they sealed is left."`
	Revoke    keyRevoke    `cmd:"" help:"Take a key away at once: logins that it sealed have to begin again."`
	Generate  keyGenerate  `cmd:"" help:"Print a new encryption_key."`
	Reencrypt keyReencrypt `cmd:"" help:"Encrypt the keys in the database under the encryption_key of the configuration."`
}

type keyList struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

type keyRotate struct {
	configFlag
	JSON bool `name:"json" help:"Print JSON."`
}

type keyRevoke struct {
	configFlag
	JSON bool  `name:"json" help:"Print JSON."`
	IDs  []int `arg:"" name:"id" help:"Which, by their numbers."`
}

type keyGenerate struct{}

type keyReencrypt struct {
	configFlag
}

// shownKey is a sealing key for people and programs, never its secret.
type shownKey struct {
	ID        int    `json:"id"`
	State     string `json:"state"` // waits, seals, opens
	CreatedAt int64  `json:"created_at"`
	// ActiveAt is when it begins to seal, RetiresAt when it is removed: 0 for
	// the newest.
	ActiveAt  int64 `json:"active_at"`
	RetiresAt int64 `json:"retires_at,omitempty"`
}

// showKeys tells of each key what it does at that time.
func showKeys(keys []store.SealKey, times keyTimes, now time.Time) []shownKey {
	shown, sealing := make([]shownKey, len(keys)), false
	for i, k := range keys {
		active := time.Unix(k.CreatedAt, 0).Add(keyNotice)
		s := shownKey{ID: int(k.ID), State: "opens", CreatedAt: k.CreatedAt, ActiveAt: active.Unix()}
		switch {
		case sealing:
		case i < len(keys)-1 && now.Before(active):
			s.State = "waits"
		default:
			s.State, sealing = "seals", true
		}
		if i > 0 {
			s.RetiresAt = times.retires(keys[i-1]).Unix()
		}
		shown[i] = s
	}
	return shown
}

// database opens the database of the configuration for f. Doors may be running
// meanwhile: they see the change at once.
func (c configFlag) database(t *terminal, f func(*config.Config, *store.DB) error) (err error) {
	cfg, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	db, err := openStore(t.ctx, cfg)
	if err != nil {
		return couldNotLook(err, "")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(cfg, db)
}

// openStore opens the database as the configuration has it.
func openStore(ctx context.Context, cfg *config.Config) (*store.DB, error) {
	box, err := cfg.Box()
	if err != nil {
		return nil, err
	}
	return store.Open(ctx, string(cfg.Database), store.Options{
		Encryption: box, MaxTenants: int64(cfg.Tenants.Limit), RestFor: cmp.Or(cfg.Tenants.LabelRest, -1), // 0 is 90 days there
	})
}

// operator is who works at the command line, for the audit log.
func operator() store.Actor {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return store.Actor{Name: name, Via: "cli"}
}

// Run prints a table.
func (k *keyList) Run(t *terminal) error {
	return k.database(t, func(cfg *config.Config, db *store.DB) error { return printKeys(t, cfg, db, k.JSON) })
}

func printKeys(t *terminal, cfg *config.Config, db *store.DB, asJSON bool) error {
	keys, err := db.SealKeys(t.ctx)
	if err != nil {
		return explainKeys(err)
	}
	shown := showKeys(keys, keyTimesOf(cfg), time.Now())
	if asJSON {
		return t.json(shown)
	}
	rows := [][]string{{"ID", "STATE", "CREATED", "SEALS FROM", "RETIRES"}}
	for _, s := range shown {
		rows = append(rows, []string{strconv.Itoa(s.ID), s.State, moment(s.CreatedAt), moment(s.ActiveAt), moment(s.RetiresAt)})
	}
	return t.table(rows)
}

// moment is a unix time for people; "-" for none.
func moment(unix int64) string {
	if unix == 0 {
		return "-"
	}
	return time.Unix(unix, 0).UTC().Format("2006-01-02T15:04:05Z")
}

// Run makes a key and shows what there is now.
func (k *keyRotate) Run(t *terminal) error {
	return k.database(t, func(cfg *config.Config, db *store.DB) error {
		if _, err := db.SealKeys(t.ctx); err != nil { // makes the first where there is none
			return explainKeys(err)
		}
		if _, err := db.AddSealKey(t.ctx, operator()); err != nil {
			return explainKeys(err)
		}
		return printKeys(t, cfg, db, k.JSON)
	})
}

// Run takes keys away, up to the first that is not there.
func (k *keyRevoke) Run(t *terminal) error {
	return k.database(t, func(cfg *config.Config, db *store.DB) error {
		for _, id := range k.IDs {
			err := store.ErrNotFound
			var next *store.SealKey
			if id >= 0 && id <= 255 {
				next, err = db.RevokeSealKey(t.ctx, operator(), byte(id))
			}
			switch {
			case errors.Is(err, store.ErrNotFound):
				return found(fmt.Errorf("there is no key %d", id), "onedoor key list shows which there are")
			case err != nil:
				return explainKeys(err)
			case next != nil && !k.JSON:
				fmt.Fprintf(t.out, "revoked %d; made %d in its place\n", id, next.ID)
			case !k.JSON:
				fmt.Fprintf(t.out, "revoked %d\n", id)
			}
		}
		if k.JSON {
			return printKeys(t, cfg, db, true)
		}
		return nil
	})
}

// Run prints what is made of crypto/rand.
func (k *keyGenerate) Run(t *terminal) error {
	_, err := fmt.Fprintln(t.out, seal.FormatBoxKey(seal.NewKey(0).Secret))
	return err
}

// Run encrypts anew what is not encrypted as it should be.
func (k *keyReencrypt) Run(t *terminal) error {
	return k.database(t, func(cfg *config.Config, db *store.DB) error {
		n, err := db.Reencrypt(t.ctx, operator())
		if err != nil {
			return explainKeys(err)
		}
		box, err := cfg.Box()
		switch {
		case err != nil:
			return err
		case box == nil:
			fmt.Fprintf(t.out, "%d keys are not encrypted any more: the configuration has no encryption_key\n", n)
		default:
			fmt.Fprintf(t.out, "%d keys were encrypted under the key %s; every other was already\n", n, box.Name())
		}
		return nil
	})
}

// explainKeys adds what to do.
func explainKeys(err error) error {
	switch {
	case errors.Is(err, seal.ErrOtherKey):
		return found(err, "give that key too, behind the one that is to be used from now on: docs/deploy/operations.md")
	case errors.Is(err, seal.ErrDamaged):
		return found(err, "restore that row from a backup, or delete it from the table: what it sealed or signed is lost then")
	case errors.Is(err, store.ErrTooMany):
		return found(err, "wait: numbers are used again after two days")
	}
	return found(err, "")
}

// warnOfPlainKeys tells in the log of keys that are not encrypted as the
// configuration has it.
func warnOfPlainKeys(ctx context.Context, db *store.DB, log *slog.Logger) error {
	n, err := db.NotEncrypted(ctx)
	if err != nil {
		return err
	}
	if n > 0 {
		log.Warn("private keys in the database are not encrypted under the present encryption_key: run onedoor key reencrypt", slog.Int("keys", n))
	}
	return nil
}
