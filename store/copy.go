package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// copied are all tables, each behind those that it refers to.
var copied = []string{
	"registry", "tenants", "domains", "audit", "tokens", "secrets",
	"users", "clients", "grants", "refresh_tokens", "auth_sessions", "browser_sessions", "signing_keys", "long_states",
	"logins", "login_legs", "login_warnings", "verdicts", "verify_rounds",
}

// beginWithARow are those in which the tables' maker puts one row.
var beginWithARow = map[string]bool{"registry": true, "verify_rounds": true}

// NotEmptyError says that a database has rows already.
type NotEmptyError struct{ Table string }

func (e *NotEmptyError) Error() string { return "its table " + e.Table + " has rows already" }

// CopyFrom puts all that another database holds, as it is at one moment, into
// this one, which holds nothing: all or nothing. Private keys stay encrypted as
// they are. It returns how many rows each table got, and takes ten minutes at
// most.
func (db *DB) CopyFrom(ctx context.Context, from *DB, progress func(rows int)) (rows map[string]int, err error) {
	rows = map[string]int{}
	err = from.snapshot(ctx, func(ctx context.Context, source *sql.Tx) error {
		// Not db.tx, which bounds a change: nobody waits for this one.
		target, err := db.write.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		total := 0
		for _, table := range copied {
			n, err := copyTable(ctx, table, source, target, func(n int) { progress(total + n) })
			if err != nil {
				return errors.Join(fmt.Errorf("table %s: %w", table, explain(err)), ignoreDone(target.Rollback()))
			}
			rows[table], total = n, total+n
		}
		return target.Commit()
	})
	return rows, err
}

// words is a statement that reads or empties a whole table, which no other may.
func words(all ...string) string { return strings.Join(all, " ") }

func copyTable(ctx context.Context, table string, source, target *sql.Tx, progress func(int)) (n int, err error) {
	if beginWithARow[table] {
		_, err = target.ExecContext(ctx, words("DELETE", "FROM", table))
	} else if err = target.QueryRowContext(ctx, words("SELECT", "1", "FROM", table, "LIMIT", "1")).Scan(&n); errors.Is(err, sql.ErrNoRows) {
		err = nil
	} else if err == nil {
		err = &NotEmptyError{table}
	}
	if err != nil {
		return 0, err
	}
	from, err := source.QueryContext(ctx, words("SELECT", "*", "FROM", table))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	columns, err := from.Columns()
	if err != nil {
		return 0, err
	}
	// The names are those of the other database: its columns need not be in the
	// same order.
	insert := words("INSERT INTO", table, "(", strings.Join(columns, ", "), ") VALUES", group(1, len(columns)))
	var batch [][]any
	for from.Next() {
		row, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range row {
			into[i] = &row[i]
		}
		if err := from.Scan(into...); err != nil {
			return n, err
		}
		if batch = append(batch, row); len(batch) == maxRows {
			if err := insertRows(ctx, target, insert, batch); err != nil {
				return n, err
			}
			n, batch = n+len(batch), batch[:0]
			progress(n)
		}
	}
	if err := from.Err(); err != nil {
		return n, err
	}
	return n + len(batch), insertRows(ctx, target, insert, batch)
}

func insertRows(ctx context.Context, target *sql.Tx, insert string, rows [][]any) error {
	for part := range parts(rows) {
		var args []any
		for _, row := range part {
			args = append(args, row...)
		}
		if _, err := target.ExecContext(ctx, rowsMany(insert, len(part)), args...); err != nil {
			return err
		}
	}
	return nil
}
