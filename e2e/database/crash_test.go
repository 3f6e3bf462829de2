//go:build e2e && linux

package database

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"onedoor/e2e/lab"
	"onedoor/store"
	"onedoor/store/storetest"
)

var rounds = flag.Int("rounds", 12, "how often a writer is killed")

// writerEnv makes the test binary a writer to the database that it names.
const writerEnv = "ONEDOOR_TEST_WRITER"

// noRest lets the writer remove and add the same few labels again and again.
var noRest = store.Options{RestFor: -1}

// An operation of the writer. It says what it is about to do, and then what
// came of it: done, no (nothing was changed) or maybe (the database is gone).
type operation struct {
	Kind   string // put, remove, domain
	Labels []string
	Mark   string // of this operation alone: notes, or the domain's origin
}

// writer changes the registry until it is killed.
func writer(ctx context.Context, dsn string) int {
	db, err := store.Open(ctx, dsn, noRest)
	if err != nil {
		fmt.Println("open:", err)
		return 1
	}
	for n := 0; ; n++ {
		o := random(fmt.Sprintf("%d-%d", os.Getpid(), n))
		text, _ := json.Marshal(o)
		fmt.Printf("try %s\n", text)
		switch err := o.run(ctx, db); {
		case err == nil:
			fmt.Println("done")
		case errors.Is(err, store.ErrUnavailable):
			fmt.Println("maybe", err)
			return 0
		case errors.Is(err, store.ErrNotFound):
			fmt.Println("no")
		default:
			fmt.Println("error:", err)
			return 1
		}
	}
}

func random(mark string) operation {
	o := operation{Kind: []string{"put", "put", "put", "batch", "batch", "remove", "domain"}[rand.IntN(7)], Mark: mark}
	first, n := rand.IntN(40), 1
	if o.Kind == "batch" {
		o.Kind, n = "put", 2+rand.IntN(200) // more than one statement takes
	}
	for i := range n {
		o.Labels = append(o.Labels, fmt.Sprintf("t%d", first+i))
	}
	return o
}

func (o operation) run(ctx context.Context, db *store.DB) error {
	who := store.Actor{Name: o.Mark, Via: "test"}
	switch o.Kind {
	case "remove":
		return db.RemoveTenant(ctx, who, o.Labels[0], 0)
	case "domain":
		_, err := db.SetDomain(ctx, who, o.Labels[0], store.Domain{App: "web", Origin: o.Mark}, 0)
		return err
	}
	list := puts(o.Labels...)
	for i := range list {
		list[i].Notes = o.Mark
	}
	_, err := db.PutTenants(ctx, who, list)
	return err
}

// content is what is known of one tenant.
type content struct {
	There         bool
	Notes, Origin string
}

// after is what the operation makes of a tenant.
func (o operation) after(c content) content {
	switch o.Kind {
	case "remove":
		return content{}
	case "domain":
		c.Origin = o.Mark
		return c
	}
	return content{There: true, Notes: o.Mark, Origin: c.Origin}
}

// victim is a writer and what it said.
type victim struct {
	known   map[string]content // by what was acknowledged
	pending *operation         // begun, and nothing was heard of it
	acks    int
	// Of the operations that were cut off, how many were made and how many not.
	made, undone int
}

func (v *victim) String() string {
	return fmt.Sprintf("%d changes were acknowledged; of those that were cut off %d were made and %d not", v.acks, v.made, v.undone)
}

// run starts a writer, kills whom it is told to at a random moment, and reads
// what the writer said until then.
func (v *victim) run(t *testing.T, dsn string, kill func(writer *os.Process)) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), writerEnv+"="+dsn)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	left := 1 + rand.IntN(30)
	killed := make(chan struct{})
	for lines.Scan() {
		if left--; left == 0 {
			time.AfterFunc(time.Duration(rand.IntN(4000))*time.Microsecond, func() {
				kill(cmd.Process)
				close(killed)
			})
		}
		v.heard(t, lines.Text())
	}
	if left > 0 {
		t.Fatal("the writer ended by itself")
	}
	<-killed
	_ = cmd.Wait() // it was killed
}

func (v *victim) heard(t *testing.T, line string) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "try":
		v.pending = &operation{}
		if err := json.Unmarshal([]byte(rest), v.pending); err != nil {
			v.pending = nil // cut off: it was not begun
		}
	case "done":
		for _, l := range v.pending.Labels {
			v.known[l] = v.pending.after(v.known[l])
		}
		v.pending = nil
		v.acks++
	case "no":
		v.pending = nil
	case "maybe":
	default:
		t.Errorf("the writer: %s", line)
	}
}

// check holds the database against what was acknowledged. Of an operation that
// nobody heard the end of, all is there or nothing.
func (v *victim) check(t *testing.T, db *store.DB) {
	t.Helper()
	found := func(label string) content {
		got, err := db.Tenant(t.Context(), label)
		if errors.Is(err, store.ErrNotFound) {
			return content{}
		}
		if err != nil {
			t.Fatal(err)
		}
		c := content{There: true, Notes: got.Notes}
		if len(got.Domains) > 0 {
			c.Origin = got.Domains[0].Origin
		}
		return c
	}
	if v.pending != nil {
		made := 0
		for _, l := range v.pending.Labels {
			got, old := found(l), v.known[l]
			if next := v.pending.after(old); got == next && got != old {
				made++
				v.known[l] = next
			}
		}
		if made != 0 && made != len(v.pending.Labels) {
			t.Errorf("%d of %d rows of one batch are there", made, len(v.pending.Labels))
		}
		if made > 0 {
			v.made++
		} else {
			v.undone++
		}
		v.pending = nil
	}
	for l, want := range v.known {
		if got := found(l); got != want {
			t.Errorf("%s is %+v, and %+v was acknowledged", l, got, want)
		}
	}
}

// whole are counts that are 0 where tenants, audit log and revision agree.
var whole = map[string]string{
	"changes without an entry, or entries without a change": `SELECT (SELECT revision FROM registry) - (SELECT COUNT(*) FROM audit)`,
	"revisions that were left out":                          `SELECT (SELECT revision FROM registry) - (SELECT COALESCE(MAX(revision), 0) FROM audit)`,
	"tenants that are counted wrong":                        `SELECT (SELECT tenants FROM registry) - (SELECT COUNT(*) FROM tenants WHERE removed_at = 0)`,
	"tenants whose last change is not in the log":           `SELECT COUNT(*) FROM tenants t LEFT JOIN audit a ON a.revision = t.revision AND a.subject = 'tenant/' || t.label WHERE a.revision IS NULL`,
	"last entries that no tenant is at":                     `SELECT COUNT(*) FROM (SELECT MAX(revision) AS revision FROM audit WHERE subject LIKE 'tenant/%' GROUP BY subject) a WHERE NOT EXISTS (SELECT 1 FROM tenants t WHERE t.revision = a.revision)`,
	"tenants that are removed, and the log says otherwise":  `SELECT COUNT(*) FROM tenants t JOIN audit a ON a.revision = t.revision WHERE (t.removed_at > 0) <> (a.action = 'tenant.remove')`,
	"tenants that are not as the log says":                  `SELECT COUNT(*) FROM tenants t JOIN audit a ON a.revision = t.revision WHERE a.action IN ('tenant.add', 'tenant.set') AND t.notes <> '' AND a.after NOT LIKE '%"notes":"' || t.notes || '"%'`,
	"domains of nobody":                                     `SELECT COUNT(*) FROM domains d LEFT JOIN tenants t ON t.id = d.tenant_id AND t.removed_at = 0 WHERE t.id IS NULL`,
}

func checkWhole(t *testing.T, driver, dsn string) {
	t.Helper()
	raw := connectAs(t, driver, dsn)
	defer raw.Close()
	for what, query := range whole {
		var n int64
		if err := raw.QueryRow(query).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d %v", what, n, err)
		}
	}
	if driver != "sqlite" {
		return
	}
	var said string
	if err := raw.QueryRow(`PRAGMA integrity_check`).Scan(&said); err != nil || said != "ok" {
		t.Errorf("integrity: %s %v", said, err)
	}
}

func TestAKilledWriterLeavesSQLiteWhole(t *testing.T) {
	path := t.TempDir() + "/onedoor.db"
	v := &victim{known: map[string]content{}}
	for range *rounds {
		v.run(t, path, func(writer *os.Process) { _ = writer.Kill() })
		db := storetest.Open(t, path, noRest)
		v.check(t, db)
		checkWhole(t, "sqlite", path)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("%d kills: %v", *rounds, v)
}

func TestAKilledWriterLeavesPostgreSQLWhole(t *testing.T) {
	dsn := server().Database(t)
	v := &victim{known: map[string]content{}}
	db := storetest.Open(t, dsn, noRest)
	n := (*rounds + 3) / 4
	for range n {
		v.run(t, dsn, func(writer *os.Process) { _ = writer.Kill() })
		if settle(t, dsn); t.Failed() {
			return
		}
		v.check(t, db)
		checkWhole(t, "pgx", dsn)
	}
	t.Logf("%d kills: %v", n, v)
}

// settle waits until the server has ended what a killed client had begun.
func settle(t *testing.T, dsn string) {
	t.Helper()
	raw := connectAs(t, "pgx", server().Admin(dsn))
	defer raw.Close()
	lab.Await(t, "no transaction is open", func() error {
		var n int
		err := raw.QueryRow(`SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`).Scan(&n)
		if err == nil && n > 0 {
			return fmt.Errorf("%d are", n)
		}
		return err
	})
}

// TestAKilledServerLeavesPostgreSQLWhole ends the server in the middle of a
// change, by its immediate shutdown and by force.
func TestAKilledServerLeavesPostgreSQLWhole(t *testing.T) {
	own := lab.StartPostgres(t)
	dsn := own.Database(t)
	own.SQL(name(dsn), "CREATE EXTENSION amcheck")
	v := &victim{known: map[string]content{}}
	n := max(2, *rounds/20)
	for i := range n {
		v.run(t, dsn, func(*os.Process) { own.Stop([]syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL}[i%2]) })
		own.Start()
		db := storetest.Open(t, dsn, noRest)
		v.check(t, db)
		checkWhole(t, "pgx", dsn)
		own.SQL(name(dsn), `SELECT bt_index_check(c.oid, true) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.relkind = 'i' AND n.nspname = 'public'`)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d kills: %v", n, v)
}
