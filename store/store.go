// Package store keeps what must outlive the process, in SQL: the registry of
// tenants with its audit log, the admin API's tokens, the keys that the door
// seals with, and the embedded provider's users, clients, grants, sessions and
// keys.
//
// It knows rows and nothing of protocols: grants and sessions hold a body that
// is opaque here. What makes it safe is that a row is only written over the
// version that was read (ErrConflict), so a code is spent once. Reading starts
// at Open.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"onedoor/seal"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// ErrExists says that a row of that name is there already.
var ErrExists = errors.New("exists already")

// ErrConflict says that somebody else wrote the row since it was read.
var ErrConflict = errors.New("written by another since it was read")

//go:embed migrations/*.sql
var migrations embed.FS

// DB is an open database. Its methods may be called from many goroutines, and
// many processes may have one file open.
type DB struct {
	// SQLite has one writer at a time. One connection that begins every
	// transaction as a writer waits its turn; several would fail in the middle
	// of one, where busy_timeout does not help.
	write *sql.DB
	// Readers see the last commit and wait for nobody (WAL).
	read *sql.DB

	now        func() time.Time
	restFor    int64 // seconds
	maxTenants int64
	box        *seal.Box
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

const (
	readers = 4
	// busyMillis is how long a connection waits for another process's write.
	busyMillis = 10_000
	// migrateTries bounds the wait for another process that migrates.
	migrateTries = 50
	migratePause = 100 * time.Millisecond
)

// Open opens the SQLite file dsn names, creating it, readable by its owner
// alone, where there is none, and brings its tables up to date.
func Open(ctx context.Context, dsn string, o Options) (*DB, error) {
	if scheme, _, ok := strings.Cut(dsn, "://"); ok && scheme != "file" {
		return nil, fmt.Errorf("database %q: only SQLite files are known: give a path, such as onedoor.db", redact(dsn))
	}
	path := strings.TrimPrefix(strings.TrimPrefix(dsn, "file://"), "file:")
	if path == "" || strings.HasPrefix(path, ":memory:") { // each connection would have a memory of its own
		return nil, fmt.Errorf("database %q: no file is named: give a path, such as onedoor.db", dsn)
	}
	if err := prepareFile(path); err != nil {
		return nil, err
	}
	db := newDB(o)
	var err error
	// The writer comes first: it creates the WAL, which readers may not.
	if db.write, err = connect(ctx, path, 1, "_txlock=immediate&_pragma=journal_mode(wal)&_pragma=foreign_keys(1)"); err != nil {
		return nil, explain(path, err)
	}
	if err := migrate(ctx, db.write); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	if db.read, err = connect(ctx, path, readers, "_pragma=query_only(1)"); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
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
	if db.read != nil {
		errs = append(errs, db.read.Close())
	}
	return errors.Join(append(errs, db.write.Close())...)
}

func connect(ctx context.Context, path string, conns int, params string) (*sql.DB, error) {
	// A path may hold "?" or "%": it goes into a URI.
	uri := fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)&%s", (&url.URL{Path: path}).EscapedPath(), busyMillis, params)
	pool, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	if err := pool.PingContext(ctx); err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return pool, nil
}

// prepareFile makes the file, and makes it private: it holds private keys.
// SQLite gives its -wal and -shm files the mode of the database.
func prepareFile(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names it
	if err != nil {
		return explainFile(path, err)
	}
	info, err := file.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = file.Chmod(0o600)
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return explainFile(path, err)
	}
	return nil
}

func explainFile(path string, err error) error {
	dir := filepath.Dir(path)
	info, statErr := os.Stat(dir)
	switch {
	case errors.Is(statErr, fs.ErrNotExist):
		return fmt.Errorf("database %q: the directory %q does not exist: create it, or name another file", path, dir)
	case statErr != nil || !info.IsDir():
		return fmt.Errorf("database %q: %q is not a directory: name another file", path, dir)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("database %q: may not be read and written by this user: change the owner of the file and of %q, or name another file", path, dir)
	}
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return fmt.Errorf("database %q: is a directory: name a file in it, such as %q", path, filepath.Join(path, "onedoor.db"))
	}
	return fmt.Errorf("database %q: %v", path, err)
}

// explain turns what SQLite says of a file into what to do about it.
func explain(path string, err error) error {
	const (
		busy, readOnly, cantOpen, full, notADatabase = 5, 8, 14, 13, 26
	)
	var cause *sqlite.Error
	if !errors.As(err, &cause) {
		return fmt.Errorf("database %q: %w", path, err)
	}
	switch cause.Code() & 0xff { // the low octet is the primary result code
	case notADatabase:
		return fmt.Errorf("database %q: is not a SQLite database: name another file, or move this one away", path)
	case readOnly, cantOpen:
		return fmt.Errorf("database %q: may not be written by this user: SQLite also makes files beside it, so the directory must be writable too", path)
	case busy:
		return fmt.Errorf("database %q: another process has held it locked for %d seconds", path, busyMillis/1000)
	case full:
		return fmt.Errorf("database %q: the disk is full", path)
	}
	return fmt.Errorf("database %q: %w", path, err)
}

// redact leaves of a URL what cannot hold a password.
func redact(dsn string) string {
	scheme, _, _ := strings.Cut(dsn, "://")
	return scheme + "://…"
}

// migrate brings the tables up to date. Of several processes that start at once
// one does it; the others fail on its lock or its tables and look again.
func migrate(ctx context.Context, pool *sql.DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := migrateOnce(ctx, pool, files)
		if err == nil || try == migrateTries || errors.Is(err, errNewer) || isNotADatabase(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(migratePause):
		}
	}
}

var errNewer = errors.New("its tables were made by a newer onedoor: use that one, or name another file")

func migrateOnce(ctx context.Context, pool *sql.DB, files fs.FS) error {
	p, err := goose.NewProvider(goose.DialectSQLite3, pool, files)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return errNewer
	}
	_, err = p.Up(ctx)
	return err
}

func isNotADatabase(err error) bool {
	var cause *sqlite.Error
	return errors.As(err, &cause) && cause.Code()&0xff == 26
}

// tx runs f in a transaction that may write.
func (db *DB) tx(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// snapshot runs f in a transaction that reads, and sees one moment.
func (db *DB) snapshot(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := db.read.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	return errors.Join(f(tx), ignoreDone(tx.Rollback()))
}

func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// insert runs an INSERT … ON CONFLICT DO NOTHING; no row is ErrExists.
func insert(ctx context.Context, on execer, query string, args ...any) error {
	return changed(ErrExists)(on.ExecContext(ctx, query, args...))
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// changed makes otherwise of a statement that changed nothing.
func changed(otherwise error) func(sql.Result, error) error {
	return func(result sql.Result, err error) error {
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		if err == nil && n == 0 {
			return otherwise
		}
		return err
	}
}

// found makes ErrNotFound of no row.
func found(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// nullable stores "" as NULL, of which a UNIQUE column may hold many.
func nullable(s string) sql.NullString {
	return sql.NullString{String: s, Valid: s != ""}
}

func bit(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
