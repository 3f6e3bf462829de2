package store

import (
	"context"
	"database/sql"
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
)

const (
	readers = 4
	// busyMillis is how long a connection waits for another process's write. It
	// is less than statementBound, so that the error says what it waited for.
	busyMillis = 8_000
	// busyPause is between two attempts where SQLite does not wait by itself.
	busyPause = 20 * time.Millisecond
	// walLimit is what the write-ahead log is cut to when it begins anew, in
	// octets. While somebody reads a snapshot it grows; it does not stay so.
	walLimit = 16 << 20
	// writeCache is how much of the file the writer remembers, in KiB: an import
	// finds the places of its labels all over the indexes.
	writeCache = 32 << 10
)

// openSQLite opens the file path names, creating it, readable by its owner
// alone, where there is none.
func openSQLite(ctx context.Context, dsn string, db *DB) error {
	path := strings.TrimPrefix(strings.TrimPrefix(dsn, "file://"), "file:")
	if path == "" || strings.HasPrefix(path, ":memory:") { // each connection would have a memory of its own
		return fmt.Errorf("database %q: no file is named: give a path, such as onedoor.db", dsn)
	}
	if err := prepareFile(path); err != nil {
		return err
	}
	db.engine = engine{
		dialect: goose.DialectSQLite3,
		prepare: true,
		watch:   db.poll,
		explain: func(err error) error { return explainFileContent(path, err) },
		final:   func(err error) bool { return sqliteCode(err) == sqliteNotADatabase || sqliteCode(err) == sqliteFull },
	}
	// SQLite has one writer at a time. One connection that begins every
	// transaction as a writer waits its turn; several would fail in the middle
	// of one, where busy_timeout does not help. It comes first: it creates the
	// WAL, which readers may not. What is overwritten is zeroed: it may be a key.
	var err error
	if db.write, err = connectSQLite(ctx, path, 1, fmt.Sprintf(
		"_txlock=immediate&_pragma=journal_mode(wal)&_pragma=journal_size_limit(%d)&_pragma=foreign_keys(1)&_pragma=secure_delete(1)&_pragma=cache_size(-%d)", walLimit, writeCache)); err != nil {
		return explainFileContent(path, err)
	}
	// Readers see the last commit and wait for nobody (WAL).
	db.read, err = connectSQLite(ctx, path, readers, "_pragma=query_only(1)")
	if err != nil {
		return explainFileContent(path, err)
	}
	return nil
}

func connectSQLite(ctx context.Context, path string, conns int, params string) (pool, error) {
	// A path may hold "?" or "%": it goes into a URI.
	uri := fmt.Sprintf("file:%s?_pragma=busy_timeout(%d)&%s", (&url.URL{Path: path}).EscapedPath(), busyMillis, params)
	conn, err := sql.Open("sqlite", uri)
	if err != nil {
		return pool{}, err
	}
	conn.SetMaxOpenConns(conns)
	conn.SetMaxIdleConns(conns)
	if err := awaitTurn(ctx, conn); err != nil {
		return pool{}, errors.Join(err, conn.Close())
	}
	return pool{conn}, nil
}

// awaitTurn opens the first connection. While another process turns the file to
// a WAL, or back at its end, SQLite says "busy" at once: busy_timeout does not
// hold for a change of the journal's mode.
func awaitTurn(ctx context.Context, conn *sql.DB) error {
	for until := time.Now().Add(busyMillis * time.Millisecond); ; {
		err := conn.PingContext(ctx)
		if sqliteCode(err) != sqliteBusy || time.Now().After(until) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(busyPause):
		}
	}
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

// explainFileContent turns what SQLite says of a file into what to do about it.
func explainFileContent(path string, err error) error {
	switch sqliteCode(err) {
	case sqliteNotADatabase:
		return fmt.Errorf("database %q: is not a SQLite database: name another file, or move this one away", path)
	case sqliteReadOnly, sqliteCantOpen:
		return fmt.Errorf("database %q: may not be written by this user: SQLite also makes files beside it, so the directory must be writable too", path)
	case sqliteCorrupt:
		return fmt.Errorf("database %q: is damaged: put back a backup, or save what can be read with sqlite3 .recover", path)
	}
	return fmt.Errorf("database %q: %w", path, explain(err))
}

// sqliteCode is the primary result code, 0 where err is none of SQLite's.
func sqliteCode(err error) int {
	var cause *sqlite.Error
	if !errors.As(err, &cause) {
		return 0
	}
	return cause.Code() & 0xff
}

// watchEvery is how often a SQLite file is asked whether it changed.
const watchEvery = 200 * time.Millisecond

// poll is Watch on SQLite.
func (db *DB) poll(ctx context.Context, changed func()) {
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	last := int64(-1)
	for {
		if now, err := db.Revision(ctx); err == nil && now != last {
			last = now
			changed()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}
