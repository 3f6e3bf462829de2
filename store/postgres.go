package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

const (
	// poolSize is how many connections a process has for its statements; Watch
	// has one more. PostgreSQL allows 100 in all by default.
	poolSize = 10
	// Connections are let go when they are idle, and now and then so that a
	// server that was added behind a name gets its share.
	poolIdle = 5 * time.Minute
	poolLife = 30 * time.Minute
	// pingBound is how long a server may take to say that it is there.
	pingBound = 5 * time.Second
)

// serverBounds end, on the server's side, what this side has given up: a replica
// that is cut off from the network in the middle of a change holds the registry's
// lock for no longer.
var serverBounds = map[string]string{
	"statement_timeout":                   "15s",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "15s",
	"application_name":                    "onedoor",
}

// openPostgres opens the database that a postgres:// URL names.
func openPostgres(ctx context.Context, dsn string, db *DB) error {
	config, err := parsePostgres(dsn)
	if err != nil {
		return fmt.Errorf("database %s: %w", redact(dsn), err)
	}
	name := fmt.Sprintf("database %q at %s", config.Database, address(config.Host, config.Port))
	db.engine = engine{
		dialect:        goose.DialectPostgres,
		snapshot:       &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true},
		beforeSnapshot: []string{`SET LOCAL statement_timeout = '10min'`},
		notify:         `SELECT pg_notify('onedoor', $1)`,
		watch:          func(ctx context.Context, changed func()) { listen(ctx, config, changed) },
		explain:        func(err error) error { return explainServer(config, name, err) },
		final:          isSetUp,
	}
	conn := stdlib.OpenDB(*config)
	conn.SetMaxOpenConns(poolSize)
	conn.SetMaxIdleConns(poolSize)
	conn.SetConnMaxIdleTime(poolIdle)
	conn.SetConnMaxLifetime(poolLife)
	// Any connection may read and write: the server lets writers of one row wait
	// for each other, and a row is only written over the version that was read.
	db.write, db.read = pool{conn}, pool{conn}
	ctx, cancel := context.WithTimeout(ctx, statementBound)
	defer cancel()
	var encoding, readOnly string
	err = conn.QueryRowContext(ctx, `SELECT current_setting('server_encoding'), current_setting('transaction_read_only')`).Scan(&encoding, &readOnly)
	switch {
	case err != nil:
		return explainServer(config, name, err)
	case encoding != "UTF8":
		return fmt.Errorf("%s: its encoding is %s: create it with ENCODING 'UTF8'", name, encoding)
	case readOnly == "on":
		return fmt.Errorf("%s: may only be read: it is a standby, or its role is read-only: name the primary, or all servers and target_session_attrs=read-write", name)
	}
	return nil
}

// CheckPostgres says what is wrong with a postgres:// URL, without a word of it:
// any could be a password in the wrong place.
func CheckPostgres(dsn string) error {
	_, err := parsePostgres(dsn)
	return err
}

// parsePostgres reads a URL. No error has a value of it.
func parsePostgres(dsn string) (*pgx.ConnConfig, error) {
	// An "@" or "#" of a password that stands for itself makes the rest of it a
	// host's or a database's name, which errors print.
	if u, err := url.Parse(dsn); err != nil || strings.Contains(u.EscapedPath(), "@") || u.Fragment != "" || strings.Count(authority(dsn), "@") > 1 {
		return nil, errors.New(`the URL cannot be read: write special characters of the password percent-encoded, as "%40" for "@"`)
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		text := err.Error() // cannot parse `the URL`: what is wrong (why)
		what, why, _ := strings.Cut(text[strings.LastIndex(text, "`: ")+len("`: "):], " (")
		if strings.Contains(what, "TLS") { // a file, or a mode
			what += ": " + strings.TrimSuffix(why, ")")
		}
		return nil, errors.New(what)
	}
	for name, value := range serverBounds {
		if config.RuntimeParams[name] == "" {
			config.RuntimeParams[name] = value
		}
	}
	// Each server of the URL is tried within a statement's time, and as much is
	// left for the statement: the first is often the one that is down.
	servers := map[string]bool{address(config.Host, config.Port): true}
	for _, f := range config.Fallbacks {
		servers[address(f.Host, f.Port)] = true
	}
	each := statementBound / time.Duration(len(servers)+1)
	if config.ConnectTimeout == 0 || config.ConnectTimeout > each {
		config.ConnectTimeout = each
	}
	return config, nil
}

// authority is what of a URL stands before its path (RFC 3986 §3.2).
func authority(dsn string) string {
	_, rest, _ := strings.Cut(dsn, "://")
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	return rest
}

func address(host string, port uint16) string {
	if strings.HasPrefix(host, "/") {
		return host
	}
	return net.JoinHostPort(host, fmt.Sprint(port))
}

// SQLSTATEs that an operator can do something about.
const (
	wrongPassword  = "28P01"
	notAllowed     = "28000"
	noDatabase     = "3D000"
	noPrivilege    = "42501"
	noSchema       = "3F000"
	tooMany        = "53300"
	badParameter   = "08P01"
	unknownSetting = "42704"
)

// isSetUp says that trying again will not help.
func isSetUp(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return false
	}
	switch pg.Code {
	case wrongPassword, notAllowed, noDatabase, noPrivilege, noSchema:
		return true
	}
	return false
}

// explainServer turns what PostgreSQL says at the start into what to do about it.
func explainServer(config *pgx.ConnConfig, name string, err error) error {
	var pg *pgconn.PgError
	var dns *net.DNSError
	switch {
	case errors.As(err, &pg):
		if text := cure(config, pg); text != "" {
			return fmt.Errorf("%s: %s", name, text)
		}
	case errors.As(err, &dns) && dns.IsNotFound:
		return unavailable(name + ": no such host: is the name right, and known in this network?")
	case strings.Contains(err.Error(), "connection refused"), strings.Contains(err.Error(), "no such file"):
		return unavailable(name + ": nothing listens there: is PostgreSQL running, and are host and port right?")
	case strings.Contains(err.Error(), "tls error"), strings.Contains(err.Error(), "refused TLS"):
		return fmt.Errorf("%s: TLS: %v: sslmode in the URL says what is asked for", name, err)
	}
	return fmt.Errorf("%s: %w", name, explain(err))
}

func cure(config *pgx.ConnConfig, pg *pgconn.PgError) string {
	role, database := identifier(config.User), identifier(config.Database)
	switch pg.Code {
	case wrongPassword:
		return fmt.Sprintf("the password of role %q is wrong", config.User)
	case notAllowed:
		return fmt.Sprintf("role %q may not log in from here: %s: look at the role, and at the server's pg_hba.conf", config.User, pg.Message)
	case noDatabase:
		return fmt.Sprintf("does not exist: create it: CREATE DATABASE %s OWNER %s ENCODING 'UTF8' TEMPLATE template0", database, role)
	case noPrivilege:
		return fmt.Sprintf("%s: onedoor makes its tables itself: ALTER DATABASE %s OWNER TO %s; GRANT USAGE, CREATE ON SCHEMA public TO %s", pg.Message, database, role, role)
	case noSchema:
		return fmt.Sprintf("%s: create the schema that search_path names, owned by %s", pg.Message, role)
	case tooMany:
		return fmt.Sprintf("the server has no connection left: each onedoor takes up to %d: raise max_connections", poolSize+1)
	case badParameter, unknownSetting:
		return fmt.Sprintf("%s: a pooler is in between: let it ignore_startup_parameters = statement_timeout, lock_timeout, idle_in_transaction_session_timeout", pg.Message)
	}
	return ""
}

// identifier quotes a name for SQL that a person will paste.
func identifier(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

const (
	// listenPing is how often a connection that only listens is asked whether it
	// is still there: a network that swallows packets says nothing.
	listenPing  = 5 * time.Second
	listenPause = 200 * time.Millisecond
)

// listen is Watch on PostgreSQL: a connection of its own, made again when it
// breaks. What was said meanwhile was not heard, so that counts as a change.
func listen(ctx context.Context, config *pgx.ConnConfig, changed func()) {
	for ctx.Err() == nil {
		listenOnce(ctx, config, changed)
		select {
		case <-ctx.Done():
		case <-time.After(listenPause):
		}
	}
}

func listenOnce(ctx context.Context, config *pgx.ConnConfig, changed func()) {
	connectCtx, cancel := context.WithTimeout(ctx, statementBound)
	conn, err := pgx.ConnectConfig(connectCtx, config.Copy())
	cancel()
	if err != nil {
		return
	}
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closeCtx) // it only listened
	}()
	bounded := func(f func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(ctx, pingBound)
		defer cancel()
		return f(ctx)
	}
	err = bounded(func(ctx context.Context) error {
		_, err := conn.Exec(ctx, "LISTEN onedoor")
		return err
	})
	if err != nil {
		return
	}
	changed() // after LISTEN: nothing falls between
	for {
		waitCtx, cancel := context.WithTimeout(ctx, listenPing)
		_, err := conn.WaitForNotification(waitCtx)
		cancel()
		switch {
		case err == nil:
			changed()
		case ctx.Err() != nil || !pgconn.Timeout(err):
			return
		case bounded(conn.Ping) != nil:
			return
		}
	}
}
