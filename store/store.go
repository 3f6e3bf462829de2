// Package store keeps what must outlive the process, in SQL: the registry of
// tenants with its audit log, the admin API's tokens, the keys that the door
// seals with, and the embedded provider's users, clients, grants, sessions and
// keys.
//
// It knows rows and nothing of protocols: grants and sessions hold a body that
// is opaque here. What makes it safe is that a row is only written over the
// version that was read (ErrConflict), so a code is spent once. Reading starts
// at Open; sqlite.go and postgres.go have what the two differ in, registry.go
// how a change is made that every replica follows.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pressly/goose/v3"

	"onedoor/seal"
)

// DB is an open database. Its methods may be called from many goroutines, and
// many processes may have one database open.
//
// No method takes longer than ten seconds, a change thirty, EachTenant ten
// minutes, however the database hangs; the error is ErrUnavailable then.
type DB struct {
	write, read pool
	engine      engine
	revision    *sql.Stmt // see Revision; nil where the driver keeps statements prepared

	now        func() time.Time
	restFor    int64 // seconds
	maxTenants int64
	box        *seal.Box
}

// engine is what the databases differ in. The statements and the tables are the
// same on both.
type engine struct {
	dialect        goose.Dialect
	snapshot       *sql.TxOptions // what it takes to read one moment
	beforeSnapshot []string
	notify         string // tells other replicas of a revision; "" where they have to look
	prepare        bool   // its connections keep no statements prepared by themselves
	watch          func(ctx context.Context, changed func())
	explain        func(error) error // of an error at the start, what to do about it
	final          func(error) bool  // trying again will not help
}

// Options are what a database is used with. Every zero has a meaning.
type Options struct {
	// RestFor is how long the label of a removed tenant cannot be anybody's.
	// 0 is 90 days; less than 0 is no time at all.
	RestFor time.Duration

	// MaxTenants bounds the tenants that are there. 0 is 2,000,000.
	MaxTenants int64

	// Encryption encrypts sealing keys and signing keys; nil leaves them as they
	// are.
	Encryption *seal.Box

	// Now tells the time. Default time.Now.
	Now func() time.Time
}

const (
	defaultRest    = 90 * 24 * time.Hour
	defaultTenants = 2_000_000
)

// Open opens the database that dsn names, a SQLite file or a postgres:// URL,
// and brings its tables up to date.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	db := newDB(o)
	var err error
	switch scheme, _, isURL := strings.Cut(dsn, "://"); {
	case isURL && (scheme == "postgres" || scheme == "postgresql"):
		err = openPostgres(ctx, dsn, db)
	case isURL && scheme != "file":
		err = fmt.Errorf("database %q: give the path of a SQLite file, such as onedoor.db, or a postgres:// URL", redact(dsn))
	default:
		err = openSQLite(ctx, dsn, db)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if err := migrate(ctx, db); err != nil {
		return nil, errors.Join(db.engine.explain(err), db.Close())
	}
	if db.engine.prepare {
		db.revision, err = db.read.PrepareContext(ctx, askRevision)
	}
	if err != nil {
		return nil, errors.Join(explain(err), db.Close())
	}
	return db, nil
}

func newDB(o Options) *DB {
	db := &DB{now: o.Now, maxTenants: o.MaxTenants, box: o.Encryption}
	if db.now == nil {
		db.now = time.Now
	}
	if db.maxTenants == 0 {
		db.maxTenants = defaultTenants
	}
	if o.RestFor == 0 {
		o.RestFor = defaultRest
	}
	db.restFor = int64(max(o.RestFor, 0) / time.Second)
	return db
}

// Close closes the database.
func (db *DB) Close() error {
	var errs []error
	if db.read.DB != nil && db.read != db.write {
		errs = append(errs, db.read.Close())
	}
	if db.write.DB != nil {
		errs = append(errs, db.write.Close())
	}
	return errors.Join(errs...)
}

// redact leaves of a URL what cannot hold a password.
func redact(dsn string) string {
	scheme, _, _ := strings.Cut(dsn, "://")
	return scheme + "://…"
}
