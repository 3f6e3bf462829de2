package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// ErrNotFound says that there is no such row.
var ErrNotFound = errors.New("not found")

// ErrExists says that a row of that name is there already.
var ErrExists = errors.New("exists already")

// ErrConflict says that somebody else wrote the row since it was read.
var ErrConflict = errors.New("written by another since it was read")

// ErrUnavailable says that the database did not answer, or not in time. Whether
// a change that was under way was made is not known.
var ErrUnavailable = errors.New("the database does not answer")

// ErrFull says that the database has no room. The change was not made.
var ErrFull = errors.New("the disk of the database is full: make room, nothing is lost")

// unavailable is an ErrUnavailable that says what to do.
type unavailable string

func (u unavailable) Error() string { return string(u) }
func (u unavailable) Unwrap() error { return ErrUnavailable }

// Primary result codes of SQLite, the low octet of a code.
const (
	sqliteBusy         = 5
	sqliteReadOnly     = 8
	sqliteIOError      = 10
	sqliteCorrupt      = 11
	sqliteFull         = 13
	sqliteCantOpen     = 14
	sqliteNotADatabase = 26
)

// explain says of a driver's error which of the above it is. It keeps what is
// ours, and what the caller caused by ending its context.
func explain(err error) error {
	var lite *sqlite.Error
	var pg *pgconn.PgError
	var connect *pgconn.ConnectError
	var network net.Error
	switch {
	case err == nil, errors.Is(err, ErrUnavailable), errors.Is(err, ErrFull), errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &lite):
		return explainSQLite(lite, err)
	case errors.As(err, &connect), errors.As(err, &network), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, driver.ErrBadConn), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), pgconn.SafeToRetry(err):
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	case errors.As(err, &pg):
		return explainPostgres(pg, err)
	}
	return err
}

func explainSQLite(lite *sqlite.Error, err error) error {
	switch lite.Code() & 0xff {
	case sqliteFull:
		return ErrFull
	case sqliteBusy:
		return fmt.Errorf("%w: another process has held the file locked for %d seconds", ErrUnavailable, busyMillis/1000)
	case sqliteIOError, sqliteCantOpen:
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return err
}

func explainPostgres(pg *pgconn.PgError, err error) error {
	switch {
	case pg.Code == "53100": // disk_full
		return ErrFull
	case pg.Code == "57014", pg.Code == "55P03", pg.Code == "25P03", // a bound of time
		pg.Code == "25006",                                                 // read-only: a standby, after a switch
		strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), // connection, resources
		strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "40"): // shutting down; rolled back
		return fmt.Errorf("%w: %v", ErrUnavailable, err)
	}
	return err
}

// isUnique says that a UNIQUE column would hold a value twice.
func isUnique(err error) bool {
	const sqliteUnique, postgresUnique = 2067, "23505" // SQLITE_CONSTRAINT_UNIQUE, unique_violation
	var lite *sqlite.Error
	var pg *pgconn.PgError
	return errors.As(err, &lite) && lite.Code() == sqliteUnique || errors.As(err, &pg) && pg.Code == postgresUnique
}
