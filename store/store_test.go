package store_test

import (
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"onedoor/store"
	"onedoor/store/storetest"
	"onedoor/tenant"
)

func open(t *testing.T, path string) *store.DB {
	t.Helper()
	return storetest.Open(t, path, store.Options{})
}

func TestSQLitePassesTheSuite(t *testing.T) {
	var mu sync.Mutex
	paths := map[string]string{}
	storetest.Run(t, func(t *testing.T, o store.Options) *store.DB {
		mu.Lock()
		defer mu.Unlock()
		if paths[t.Name()] == "" {
			paths[t.Name()] = filepath.Join(t.TempDir(), "onedoor.db")
		}
		return storetest.Open(t, paths[t.Name()], o)
	})
}

func TestManyProcessesMayStartAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "on e?do%or.db")
	storetest.OpenAtOnce(t, path)
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestWhatWasKeptIsThereAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onedoor.db")
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, err := db.SealKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := open(t, path).SealKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if string(before[0].Secret) != string(after[0].Secret) {
		t.Error("the sealing key changed")
	}
}

func TestOnlyTheOwnerMayReadTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onedoor.db")
	if err := os.WriteFile(path, nil, 0o644); err != nil { // as an older umask left it
		t.Fatal(err)
	}
	db := open(t, path)
	if _, err := db.SealKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 2 {
		t.Fatalf("%q %v", files, err)
	}
	for _, name := range files {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}

func TestAnUnusableDatabaseSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "notes.txt")
	if err := os.WriteFile(text, []byte(strings.Repeat("these are notes, not tables\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	open(t, newer)
	raw, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, 1)`); err != nil {
		t.Fatal(err)
	}
	if err := raw.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, dsn, want string }{
		{"a directory that does not exist", filepath.Join(dir, "none", "x.db"), "does not exist: create it"},
		{"a file in the place of the directory", filepath.Join(text, "x.db"), "is not a directory"},
		{"a directory in the place of the file", dir, "is a directory: name a file in it"},
		{"a file that is not a database", text, "is not a SQLite database"},
		{"tables of a newer program", newer, "newer onedoor"},
		{"another kind of database", "mysql://user:hunter2@db/x", "SQLite file, such as onedoor.db, or a postgres:// URL"},
		{"a URL that is none", "postgres://user:hunter2%zz@db/x", "percent-encoded"},
		{"a port that is none", "postgres://user:pass#hunter2@db/x", "percent-encoded"},
		{"an @ of the password as it is", "postgres://user:a@hunter2@db/x", "percent-encoded"},
		{"a slash of the password as it is", "postgres://user:123/hunter2@db/x", "percent-encoded"},
		{"a # of the password as it is", "postgres://user:123#hunter2@db/x", "percent-encoded"},
		{"a parameter that is none", "postgres://user:hunter2@db/x?sslmode=maybe", "sslmode"},
		{"a time limit that is none", "postgres://user:a@db/x?connect_timeout=hunter2", "connect_timeout"},
		{"a port where nothing listens", "postgres://user:hunter2@127.0.0.1:1/x", "nothing listens there"},
		{"no name", "", "no file is named"},
		{"a database in memory", ":memory:", "no file is named"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, err := store.Open(t.Context(), tt.dsn, store.Options{})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

func TestADatabaseIsCopiedWhole(t *testing.T) {
	dir := t.TempDir()
	rows := storetest.Copy(t, open(t, filepath.Join(dir, "from.db")), open(t, filepath.Join(dir, "to.db")))
	raw, err := sql.Open("sqlite", filepath.Join(dir, "to.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	tables, err := raw.Query(`SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'goose_db_version'`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tables.Close() }()
	for tables.Next() {
		var name string
		if err := tables.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if rows[name] == 0 {
			t.Errorf("of table %s nothing was copied", name)
		}
	}
	if err := tables.Err(); err != nil || len(rows) < 19 {
		t.Errorf("%d tables: %v", len(rows), err)
	}
}

func TestEveryStatementFindsItsRowsByAnIndex(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onedoor.db")
	open(t, path)
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = raw.Close() }()
	for _, s := range storetest.Statements(t, ".") {
		for _, step := range plan(t, raw, s) {
			if strings.HasPrefix(step, "SCAN") {
				t.Errorf("%s: %q: %s", s.File, s.SQL, step)
			}
		}
	}
}

func plan(t *testing.T, db *sql.DB, s storetest.Statement) (steps []string) {
	t.Helper()
	args := make([]any, s.Params)
	for i := range args {
		args[i] = "1"
	}
	rows, err := db.Query("EXPLAIN QUERY PLAN "+s.SQL, args...)
	if err != nil {
		t.Fatalf("%s: %v", s.SQL, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return steps
}

func TestALookChangesNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "onedoor.db")
	if _, err := store.Look(t.Context(), file); err == nil {
		t.Error("a file that is not there was opened")
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is there now: %v", err)
	}
	db, err := store.Open(t.Context(), file, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.PutTenants(t.Context(), store.Actor{Name: "test"}, []store.TenantPut{{Tenant: store.Tenant{Tenant: tenant.Tenant{Label: "acme", Status: tenant.Active}}}}); err != nil {
		t.Fatal(err)
	}
	for _, open := range []bool{true, false} { // while a door runs, and after it
		if !open {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		look, err := store.Look(t.Context(), file)
		if err != nil {
			t.Fatal(err)
		}
		list, err := look.Tenants(t.Context(), store.TenantQuery{})
		if err != nil || len(list) != 1 {
			t.Errorf("%+v, %v", list, err)
		}
		if err := look.AddLegs(t.Context(), []store.LoginLeg{{Request: "x"}}); err == nil {
			t.Error("it may write")
		}
		if err := look.Close(); err != nil {
			t.Error(err)
		}
	}
}
