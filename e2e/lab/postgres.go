//go:build linux

package lab

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // database/sql's "pgx"
)

// Postgres is a PostgreSQL server of Debian's package, in a directory of its
// own, that listens on the loopback interface.
type Postgres struct {
	*Process
	Port int

	scope     Scope
	bin, data string
	as        *syscall.Credential // nil: as we are
	databases atomic.Int64
}

const (
	postgresAdmin = "postgres"
	// PostgresRole owns the databases that Database makes.
	PostgresRole     = "door"
	postgresPassword = "correct-horse" //nolint:gosec // of a server that lives as long as its test
)

// StartPostgres makes a server and starts it. What it writes is not flushed to
// the disk: it may be killed, the machine may not.
func StartPostgres(s Scope) *Postgres {
	s.Helper()
	p := &Postgres{Port: FreePort(s), scope: s, bin: postgresBin(s), data: filepath.Join(TempDir(s, "postgres"), "data")}
	owner := os.Geteuid()
	if owner == 0 { // whom PostgreSQL refuses
		p.as = otherUser(s)
		owner = int(p.as.Uid)
	}
	dir := filepath.Dir(p.data)
	if err := errors.Join(os.Chown(dir, owner, -1), os.WriteFile(filepath.Join(dir, "password"), []byte(postgresPassword), 0o644)); err != nil {
		s.Fatalf("postgres: %v", err)
	}
	init := p.command("initdb", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--auth=scram-sha-256",
		"--username="+postgresAdmin, "--pwfile="+filepath.Join(dir, "password"), "-D", p.data)
	if out, err := init.CombinedOutput(); err != nil {
		s.Fatalf("initdb: %v\n%s", err, out)
	}
	p.Start()
	p.SQL("postgres", fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", PostgresRole, postgresPassword))
	return p
}

// Start starts the server again after Stop or a kill.
func (p *Postgres) Start() {
	p.scope.Helper()
	Await(p.scope, "PostgreSQL starts", func() error {
		p.Process = Start(p.scope, "postgres", p.command("postgres", "-D", p.data, "-p", strconv.Itoa(p.Port),
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="+filepath.Dir(p.data),
			"-c", "fsync=off", "-c", "max_connections=200"))
		for {
			err := p.ping()
			if err == nil {
				return nil
			}
			select {
			case <-p.done: // what a killed one left behind may still be ending
				return fmt.Errorf("%w: %s", err, p.Tail(3))
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}

func (p *Postgres) ping() error {
	db, err := sql.Open("pgx", p.dsn(postgresAdmin, "postgres"))
	if err != nil {
		return err
	}
	defer db.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return db.PingContext(ctx)
}

// Stop ends the server: with SIGINT its clients lose their connections, with
// SIGQUIT and SIGKILL it has to recover when it starts again.
func (p *Postgres) Stop(sig syscall.Signal) {
	if sig == syscall.SIGKILL {
		p.SignalAll(sig)
	} else {
		_ = p.cmd.Process.Signal(sig)
	}
	<-p.done
}

// SignalAll sends a signal to the server and to each process that serves one of
// its connections: they stand in groups of their own.
func (p *Postgres) SignalAll(sig syscall.Signal) {
	server := p.cmd.Process.Pid
	_ = syscall.Kill(server, sig)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …
		var state string
		var parent int
		_, err = fmt.Sscan(string(stat[bytes.LastIndexByte(stat, ')')+1:]), &state, &parent)
		if pid, bad := strconv.Atoi(filepath.Base(filepath.Dir(name))); err == nil && bad == nil && parent == server {
			_ = syscall.Kill(pid, sig)
		}
	}
}

// Database makes an empty database and returns its URL.
func (p *Postgres) Database(s Scope) string {
	s.Helper()
	name := fmt.Sprintf("d%d", p.databases.Add(1))
	p.SQL("postgres", fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE template0", name, PostgresRole))
	return p.dsn(PostgresRole, name)
}

// Admin is the URL of the superuser for the database of another URL.
func (p *Postgres) Admin(dsn string) string {
	u, _ := url.Parse(dsn)
	return p.dsn(postgresAdmin, u.Path[1:])
}

// SQL runs statements as superuser.
func (p *Postgres) SQL(database string, statements ...string) {
	p.scope.Helper()
	db, err := sql.Open("pgx", p.dsn(postgresAdmin, database))
	if err != nil {
		p.scope.Fatalf("%v", err)
	}
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			p.scope.Fatalf("%s: %v", statement, err)
		}
	}
}

func (p *Postgres) dsn(role, database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", role, postgresPassword, p.Port, database)
}

func (p *Postgres) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(p.bin, name), args...)
	cmd.Dir = filepath.Dir(p.data)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if p.as != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.as}
	}
	return cmd
}

// postgresBin finds the newest server: Debian keeps them out of the PATH.
func postgresBin(s Scope) string {
	s.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err == nil && len(found) > 0 {
		slices.Sort(found)
		return filepath.Dir(found[len(found)-1])
	}
	path, err := exec.LookPath("postgres")
	if err != nil {
		s.Fatalf("PostgreSQL is not installed: tools/deps e2e")
	}
	return filepath.Dir(path)
}

func otherUser(s Scope) *syscall.Credential {
	s.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		}
	}
	s.Fatalf("PostgreSQL does not run as root, and there is no user postgres or nobody")
	return nil
}
