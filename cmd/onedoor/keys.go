package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/user"
	"strconv"
	"time"

	"onedoor/admin"
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
	registryFlags
	JSON bool `name:"json" help:"Print JSON."`
}

type keyRotate struct {
	registryFlags
	JSON bool `name:"json" help:"Print JSON."`
}

type keyRevoke struct {
	registryFlags
	JSON bool  `name:"json" help:"Print which there are now, as JSON."`
	IDs  []int `arg:"" name:"id" help:"Which, by their numbers."`
}

type keyGenerate struct{}

type keyReencrypt struct {
	configFlag
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
	return k.registry(t, func(r *registrar) error { return printKeys(t, r, k.JSON) })
}

func printKeys(t *terminal, r *registrar, asJSON bool) error {
	var got struct{ Keys []admin.Key }
	if err := r.call(t.ctx, http.MethodGet, pathOf("keys"), nil, nil, &got); err != nil {
		return t.refusal(err)
	}
	if asJSON {
		return t.json(got.Keys)
	}
	rows := [][]string{{"ID", "STATE", "CREATED", "SEALS FROM", "RETIRES"}}
	for _, k := range got.Keys {
		retires := "-"
		if k.RetiresAt != nil {
			retires = k.RetiresAt.Format(time.RFC3339)
		}
		rows = append(rows, []string{strconv.Itoa(k.ID), k.State, k.CreatedAt.Format(time.RFC3339), k.SealsFrom.Format(time.RFC3339), retires})
	}
	return t.table(rows)
}

// Run makes a key and shows what there is now.
func (k *keyRotate) Run(t *terminal) error {
	return k.registry(t, func(r *registrar) error {
		if err := r.call(t.ctx, http.MethodPost, pathOf("keys"), nil, nil, nil); err != nil {
			return t.refusal(err)
		}
		return printKeys(t, r, k.JSON)
	})
}

// Run takes keys away, up to the first that is not there.
func (k *keyRevoke) Run(t *terminal) error {
	return k.registry(t, func(r *registrar) error {
		for _, id := range k.IDs {
			var done struct{ Made *int }
			err := r.call(t.ctx, http.MethodDelete, pathOf("keys", strconv.Itoa(id)), nil, nil, &done)
			var no *refused
			switch {
			case errors.As(err, &no) && (no.Status == http.StatusNotFound || no.Status == http.StatusUnprocessableEntity):
				return found(fmt.Errorf("there is no key %d", id), "onedoor key list shows which there are")
			case err != nil:
				return t.refusal(err)
			case k.JSON:
			case done.Made != nil:
				fmt.Fprintf(t.out, "revoked %d; made %d in its place\n", id, *done.Made)
			default:
				fmt.Fprintf(t.out, "revoked %d\n", id)
			}
		}
		if k.JSON {
			return printKeys(t, r, true)
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
