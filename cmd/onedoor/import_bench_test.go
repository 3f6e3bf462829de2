package main

import (
	"bufio"
	"cmp"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// BenchmarkImport imports tenants in process, beside plain INSERTs of the same
// rows into a table with nothing but a primary key, a thousand in a transaction,
// in turns so that both see the same machine. ONEDOOR_BENCH_ROWS says how many
// (100,000), ONEDOOR_BENCH_DATABASE where (a SQLite file):
//
//	ONEDOOR_BENCH_ROWS=1000000 go test -run '^$' -bench Import -benchtime 1x -timeout 1h ./cmd/onedoor
func BenchmarkImport(b *testing.B) {
	rows, err := strconv.Atoi(cmp.Or(os.Getenv("ONEDOOR_BENCH_ROWS"), "100000"))
	if err != nil {
		b.Fatal(err)
	}
	const turns = 10
	for range b.N {
		dir := b.TempDir()
		database := cmp.Or(os.Getenv("ONEDOOR_BENCH_DATABASE"), filepath.Join(dir, "onedoor.db"))
		cfg := filepath.Join(dir, "onedoor.yaml")
		text := "public_url: https://auth.example.com\nlisten: :9000\nprovider: {embedded: {}}\ndatabase: " + database + "\n"
		if err := os.WriteFile(cfg, []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
		bare := bareTable(b, database, dir)
		var plain, first, again time.Duration
		for turn := range turns {
			file := filepath.Join(dir, "rows.csv")
			tenants := writeRows(b, file, turn*rows/turns, (turn+1)*rows/turns)
			plain += timed(func() { insertPlainly(b, bare, tenants) })
			first += timed(func() { imported(b, cfg, file, "added", len(tenants)) })
			if turn == 0 { // costs the same at every size
				again = timed(func() { imported(b, cfg, file, "as they were", len(tenants)) }) * turns
			}
		}
		out := filepath.Join(dir, "all.jsonl")
		export := timed(func() { commanded(b, "tenant", "export", "-c", cfg, out) })
		for what, took := range map[string]time.Duration{"plain": plain, "import": first, "again": again, "export": export} {
			b.ReportMetric(float64(rows)/took.Seconds(), what+"-rows/s")
		}
		b.ReportMetric(float64(first)/float64(plain), "import/plain")
		b.ReportMetric(0, "ns/op")
	}
}

func timed(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

func commanded(b *testing.B, args ...string) string {
	b.Helper()
	var out, errs output
	if code := run(b.Context(), args, strings.NewReader(""), &out, &errs); code != 0 {
		b.Fatalf("%v: %d %s %s", args, code, out.String(), errs.String())
	}
	return out.String()
}

func imported(b *testing.B, cfg, file, what string, rows int) {
	b.Helper()
	if said := commanded(b, "tenant", "import", "-c", cfg, file); !strings.Contains(said, grouped(rows)+" "+what) {
		b.Fatalf("%s", said)
	}
}

func writeRows(b *testing.B, name string, from, to int) (rows [][4]any) {
	b.Helper()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w, "label,status,parameters,notes")
	for i := from; i < to; i++ {
		label, hint, notes := fmt.Sprintf("tenant-%07d", i), fmt.Sprintf("kc_idp_hint=idp-%d", i%50), fmt.Sprintf("customer %d", i)
		rows = append(rows, [4]any{label, "active", hint, notes})
		fmt.Fprintf(w, "%s,active,%s,%s\n", label, hint, notes)
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	return rows
}

// bareTable is a table in the same kind of database.
func bareTable(b *testing.B, database, dir string) *sql.DB {
	b.Helper()
	driver, dsn := "sqlite", "file:"+filepath.Join(dir, "plain.db")+"?_pragma=journal_mode(wal)&_txlock=immediate"
	if strings.Contains(database, "://") {
		driver, dsn = "pgx", database
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, text := range []string{`DROP TABLE IF EXISTS plain`, `CREATE TABLE plain (label text PRIMARY KEY, status text, parameters text, notes text)`} {
		if _, err := db.ExecContext(b.Context(), text); err != nil {
			b.Fatal(err)
		}
	}
	return db
}

func insertPlainly(b *testing.B, db *sql.DB, rows [][4]any) {
	b.Helper()
	for len(rows) > 0 {
		n := min(len(rows), 1000)
		tx, err := db.BeginTx(b.Context(), nil)
		if err != nil {
			b.Fatal(err)
		}
		insert, err := tx.PrepareContext(b.Context(), `INSERT INTO plain (label, status, parameters, notes) VALUES ($1, $2, $3, $4)`) //nolint:sqlclosecheck // the transaction closes it
		if err != nil {
			b.Fatal(err)
		}
		for _, r := range rows[:n] {
			if _, err := insert.ExecContext(b.Context(), r[:]...); err != nil {
				b.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			b.Fatal(err)
		}
		rows = rows[n:]
	}
}
