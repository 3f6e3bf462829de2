package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Bounds of time, so that a database that hangs hangs nobody for long. They
// include the wait for a connection and, on SQLite, for another's write.
const (
	statementBound = 10 * time.Second
	// transactionBound lets a batch of MaxBatch tenants through.
	transactionBound = 30 * time.Second
	// wholeBound is for EachTenant, which reads everything.
	wholeBound = 10 * time.Minute
)

// pool is a pool of connections on which no statement takes longer than
// statementBound.
type pool struct{ *sql.DB }

func (p pool) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, statementBound)
	defer cancel()
	result, err := p.DB.ExecContext(ctx, query, args...)
	return result, explain(err)
}

func (p pool) QueryRowContext(ctx context.Context, query string, args ...any) row {
	ctx, cancel := context.WithTimeout(ctx, statementBound)
	return boundRow{p.DB.QueryRowContext(ctx, query, args...), cancel}
}

type boundRow struct {
	row    *sql.Row
	cancel func()
}

func (r boundRow) Scan(into ...any) error {
	defer r.cancel()
	return explain(r.row.Scan(into...))
}

// row is one row of an answer.
type row interface{ Scan(into ...any) error }

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// each calls f with every row.
func each(ctx context.Context, on querier, f func(row) error, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, statementBound)
	defer cancel()
	return eachUnbound(ctx, on, f, query, args...)
}

func eachUnbound(ctx context.Context, on querier, f func(row) error, query string, args ...any) (err error) {
	rows, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return explain(err)
	}
	defer func() { err = errors.Join(err, explain(rows.Close())) }()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return explain(rows.Err())
}

// tx runs f in a transaction that may write. The context that f gets is the
// one for its statements.
func (db *DB) tx(ctx context.Context, f func(context.Context, *sql.Tx) error) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// A database that hangs mostly does so at the first word: that one has a
	// statement's time, and the whole its own.
	bound := time.AfterFunc(statementBound, func() { cancel(errTooLong) })
	defer bound.Stop()
	defer func() {
		if err != nil && errors.Is(context.Cause(ctx), errTooLong) {
			err = fmt.Errorf("%w: %v", ErrUnavailable, errTooLong)
		}
	}()
	tx, err := db.write.BeginTx(ctx, nil)
	if err != nil {
		return explain(err)
	}
	bound.Reset(transactionBound)
	if err := f(ctx, tx); err != nil {
		return errors.Join(explain(err), ignoreDone(tx.Rollback()))
	}
	return explain(tx.Commit())
}

var errTooLong = errors.New("it took too long")

// snapshot runs f in a transaction that only reads, and sees one moment.
func (db *DB) snapshot(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	ctx, cancel := context.WithTimeout(ctx, wholeBound)
	defer cancel()
	tx, err := db.read.BeginTx(ctx, db.engine.snapshot)
	if err != nil {
		return explain(err)
	}
	for _, query := range db.engine.beforeSnapshot {
		if _, err := tx.ExecContext(ctx, query); err != nil {
			return errors.Join(explain(err), ignoreDone(tx.Rollback()))
		}
	}
	return errors.Join(explain(f(ctx, tx)), ignoreDone(tx.Rollback()))
}

// ignoreDone forgives a rollback of what the database has ended already. What
// went wrong before says more than a connection that is gone.
func ignoreDone(err error) error {
	if err = explain(err); errors.Is(err, sql.ErrTxDone) || errors.Is(err, ErrUnavailable) {
		return nil
	}
	return err
}

// insert runs an INSERT … ON CONFLICT DO NOTHING; no row is ErrExists.
func insert(ctx context.Context, on execer, query string, args ...any) error {
	return changed(ErrExists)(on.ExecContext(ctx, query, args...))
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
