//go:build e2e && linux

package database

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"onedoor/e2e/lab"
	"onedoor/store"
	"onedoor/store/storetest"
	"onedoor/tenant"
)

func TestPostgreSQLPassesTheSuite(t *testing.T) {
	var mu sync.Mutex
	dsns := map[string]string{}
	storetest.Run(t, func(t *testing.T, o store.Options) *store.DB {
		mu.Lock()
		defer mu.Unlock()
		if dsns[t.Name()] == "" {
			dsns[t.Name()] = server().Database(t)
		}
		return storetest.Open(t, dsns[t.Name()], o)
	})
}

func TestADatabaseIsCopiedFromOneEngineToTheOther(t *testing.T) {
	file := filepath.Join(t.TempDir(), "onedoor.db")
	storetest.Copy(t, storetest.Open(t, file, store.Options{}), storetest.Open(t, server().Database(t), store.Options{}))
	storetest.Copy(t, storetest.Open(t, server().Database(t), store.Options{}), storetest.Open(t, file+".back", store.Options{}))
}

// TestTheProviderKeepsItsPromisesOnPostgreSQL runs the embedded provider's own
// tests there: of sixteen who redeem one code, or use one refresh token, over
// HTTP and at the same time, one gets through.
func TestTheProviderKeepsItsPromisesOnPostgreSQL(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "test", "-race", "-count", "1", "-v", "./provider")
	cmd.Dir = lab.Root()
	cmd.Env = append(os.Environ(), "ONEDOOR_TEST_POSTGRES="+server().Admin(server().Database(t)))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, regexp.MustCompile(`(?m)^ *(=== |--- PASS).*\n`).ReplaceAll(out, nil))
	}
	for _, promise := range []string{"TestACodeIsRedeemedOnce", "TestOfManyWhoUseOneRefreshTokenOneGetsThrough", "TestALoginIsFinishedOnce"} {
		if !bytes.Contains(out, []byte("--- PASS: "+promise+" ")) {
			t.Errorf("%s did not run:\n%s", promise, out)
		}
	}
	var n int
	if err := connect(t, server().Admin(server().Database(t))).QueryRow(`SELECT COUNT(*) FROM pg_database WHERE datname LIKE 'provider_%'`).Scan(&n); err != nil || n < 20 {
		t.Errorf("it made %d databases there: %v", n, err)
	}
}

func TestManyProcessesMayStartAtOnce(t *testing.T) {
	storetest.OpenAtOnce(t, server().Database(t))
}

func TestTextIsComparedOctetByOctet(t *testing.T) {
	dsn := server().Database(t)
	storetest.Open(t, dsn, store.Options{})
	raw := connect(t, dsn)
	rows, err := raw.Query(`SELECT table_name, column_name FROM information_schema.columns
		WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, column string
		if err := rows.Scan(&table, &column); err != nil {
			t.Fatal(err)
		}
		t.Errorf("%s.%s", table, column)
	}
}

func connect(t *testing.T, dsn string) *sql.DB { return connectAs(t, "pgx", dsn) }

func connectAs(t *testing.T, driver, dsn string) *sql.DB {
	t.Helper()
	raw, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	return raw
}

func TestAnUnusableServerSaysWhatToDo(t *testing.T) {
	with := func(dsn string, change func(*url.URL)) string {
		u, err := url.Parse(dsn)
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		return u.String()
	}
	dsn := server().Database(t)
	theirs := server().Database(t)
	server().SQL(strings.TrimPrefix(with(theirs, func(u *url.URL) { *u = url.URL{Path: u.Path} }), "/"),
		"ALTER DATABASE "+name(theirs)+" OWNER TO postgres")
	latin := server().Database(t)
	server().SQL("postgres", "DROP DATABASE "+name(latin), "CREATE DATABASE "+name(latin)+" ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
	newer := server().Database(t)
	storetest.Open(t, newer, store.Options{})
	server().SQL(name(newer), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)")
	frozen := server().Database(t)
	server().SQL("postgres", "ALTER DATABASE "+name(frozen)+" SET default_transaction_read_only = on")
	for _, tt := range []struct{ name, dsn, want string }{
		{"a wrong password", with(dsn, func(u *url.URL) { u.User = url.UserPassword("door", "hunter2") }), `the password of role "door" is wrong`},
		{"a role that does not exist", with(dsn, func(u *url.URL) { u.User = url.UserPassword("nobody", "hunter2") }), `the password of role "nobody" is wrong`},
		{"no such database", with(dsn, func(u *url.URL) { u.Path = "/none" }), `CREATE DATABASE "none" OWNER "door"`},
		{"a port where nothing listens", with(dsn, func(u *url.URL) { u.Host = fmt.Sprint("127.0.0.1:", lab.FreePort(t)) }), "nothing listens there"},
		{"a schema where we may make nothing", theirs, `GRANT USAGE, CREATE ON SCHEMA public TO "door"`},
		{"a schema that does not exist", dsn + "&search_path=nowhere", "search_path"},
		{"TLS where the server has none", with(dsn, func(u *url.URL) { u.RawQuery = "sslmode=require" }), "TLS"},
		{"another encoding", latin, "ENCODING 'UTF8'"},
		{"tables of a newer program", newer, "newer onedoor"},
		{"a database that may only be read", frozen, "may only be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			db, err := store.Open(t.Context(), tt.dsn, store.Options{})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			for _, secret := range []string{"hunter2", "correct-horse"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%v", err)
				}
			}
		})
	}
}

func name(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return ""
	}
	return strings.TrimPrefix(u.Path, "/")
}

var anna = store.Actor{Name: "anna", Via: "cli"}

func puts(labels ...string) (list []store.TenantPut) {
	for _, l := range labels {
		list = append(list, store.TenantPut{Tenant: store.Tenant{Tenant: tenant.Tenant{Label: l}}})
	}
	return list
}

// TestAServerThatIsRestartedIsFoundAgain restarts it under a follower, and lets
// the connection that listens be cut off alone.
func TestAServerThatIsRestartedIsFoundAgain(t *testing.T) {
	own := lab.StartPostgres(t)
	dsn := own.Database(t)
	db := storetest.Open(t, dsn, store.Options{})
	heard := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		db.Watch(ctx, func() {
			select {
			case heard <- struct{}{}:
			default:
			}
		})
	})
	change := func(label string) {
		t.Helper()
		lab.Await(t, "a change goes through", func() error {
			_, err := db.PutTenants(t.Context(), anna, puts(label))
			if err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("%v", err)
			}
			return err
		})
		late := time.After(time.Second)
		want, err := db.Revision(t.Context())
		if err != nil {
			t.Error(err)
		}
		for {
			select {
			case <-heard:
				list, err := db.TenantsSince(t.Context(), want-1, 1)
				if err == nil && len(list) == 1 && list[0].Label == label {
					return
				}
			case <-late:
				t.Errorf("nobody heard of %s within a second", label)
				return
			}
		}
	}
	change("before")
	own.Stop(syscall.SIGINT)
	if _, err := db.Revision(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
	own.Start()
	change("restarted")
	own.Stop(syscall.SIGKILL)
	own.Start()
	change("recovered")
	own.SQL("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
	change("reconnected")
}

func TestAServerThatHangsHangsNobodyForLong(t *testing.T) {
	own := lab.StartPostgres(t)
	dsn := own.Database(t)
	db := storetest.Open(t, dsn, store.Options{})
	own.SignalAll(syscall.SIGSTOP)
	var wg sync.WaitGroup
	start := time.Now()
	for range 30 { // more than there are connections
		wg.Go(func() {
			if _, err := db.Revision(t.Context()); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("read: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := db.PutTenants(t.Context(), anna, puts("acme")); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("write: %v", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > 40*time.Second {
		t.Errorf("it took %v", took)
	}
	own.SignalAll(syscall.SIGCONT)
	lab.Await(t, "it answers again", func() error {
		_, err := db.PutTenants(t.Context(), anna, puts("acme"))
		return err
	})
}
