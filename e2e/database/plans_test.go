//go:build e2e && linux

package database

import (
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onedoor/store"
	"onedoor/store/storetest"
)

// rowsOfEach is enough for a planner to prefer an index where there is one.
const rowsOfEach = 20_000

// TestEveryStatementFindsItsRowsByAnIndex asks for each statement's plan as a
// connection gets it the first time, and again when the server would settle for
// a plan that fits all values. Only tables of one row are read as a whole.
func TestEveryStatementFindsItsRowsByAnIndex(t *testing.T) {
	dsn := server().Database(t)
	storetest.Open(t, dsn, store.Options{})
	db := connect(t, dsn)
	db.SetMaxOpenConns(1)
	fill(t, db)
	for i, s := range storetest.Statements(t, "../../store") {
		var args []string
		for n := range s.Params {
			value := "'1'"
			if strings.Contains(s.SQL, fmt.Sprintf("LIMIT $%d", n+1)) {
				value = "'100'"
			}
			args = append(args, value)
		}
		execute := fmt.Sprintf("EXPLAIN EXECUTE s%d", i)
		if len(args) > 0 {
			execute += "(" + strings.Join(args, ", ") + ")"
		}
		if _, err := db.Exec(fmt.Sprintf("PREPARE s%d AS %s", i, s.SQL)); err != nil {
			t.Fatalf("%s: %q: %v", s.File, s.SQL, err)
		}
		for try := range 7 { // from the sixth on, one plan may serve all values
			if plan := explain(t, db, execute); readsWhole(plan) {
				t.Errorf("%s: %q, time %d:\n%s", s.File, s.SQL, try+1, plan)
				break
			}
		}
	}
}

// oneRow are the tables that never have a second row.
var oneRow = []string{"registry", "verify_rounds"}

var wholeTable = regexp.MustCompile(`Seq Scan on (\w+)`)

func readsWhole(plan string) bool {
	for _, scan := range wholeTable.FindAllStringSubmatch(plan, -1) {
		if !slices.Contains(oneRow, scan[1]) {
			return true
		}
	}
	return false
}

func fill(t *testing.T, db *sql.DB) {
	t.Helper()
	rows, err := db.Query(`SELECT table_name, string_agg(CASE
			WHEN column_name IN ('removed_at', 'verified_at', 'trusted') THEN 'CASE i % 3 WHEN 0 THEN 0 ELSE i END'
			WHEN data_type = 'bigint' THEN 'i' ELSE '''x'' || i' END, ', ' ORDER BY ordinal_position)
		FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'goose_db_version' AND table_name <> ALL ($1)
		GROUP BY table_name ORDER BY table_name DESC`, oneRow)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var inserts []string
	for rows.Next() {
		var table, values string
		if err := rows.Scan(&table, &values); err != nil {
			t.Fatal(err)
		}
		inserts = append(inserts, fmt.Sprintf("INSERT INTO %s SELECT %s FROM generate_series(1, %d) AS i", table, values, rowsOfEach))
	}
	if err := rows.Err(); err != nil || len(inserts) < 10 {
		t.Fatalf("%d tables: %v", len(inserts), err)
	}
	// Without the rows' references to each other for a moment.
	server().SQL(database(t, db), append(append([]string{"SET session_replication_role = replica"}, inserts...), "VACUUM (ANALYZE)")...) //nolint:misspell // PostgreSQL's word
}

func database(t *testing.T, db *sql.DB) (name string) {
	t.Helper()
	if err := db.QueryRow(`SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

func explain(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
