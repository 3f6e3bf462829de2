package store

import (
	"context"
	"embed"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

const (
	// migrateTries bounds the wait for another process that migrates.
	migrateTries = 50
	migratePause = 100 * time.Millisecond
)

// migrate brings the tables up to date. Of several processes that start at once
// one does it; the others wait for its lock, or fail on its tables and look
// again.
func migrate(ctx context.Context, db *DB) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := migrateOnce(ctx, db, files)
		if err == nil || try == migrateTries || errors.Is(err, errNewer) || db.engine.final(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(migratePause):
		}
	}
}

var errNewer = errors.New("its tables were made by a newer onedoor: use that one, or name another database")

func migrateOnce(ctx context.Context, db *DB, files fs.FS) error {
	var options []goose.ProviderOption
	if db.engine.dialect == goose.DialectPostgres {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60)) // one try a second, for a minute
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
		files = bytewise{files}
	}
	p, err := goose.NewProvider(db.engine.dialect, db.write.DB, files, options...)
	if err != nil {
		return err
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have > want {
		return errNewer
	}
	if have == want {
		return nil
	}
	_, err = p.Up(ctx)
	return err
}

// bytewise are the migrations for PostgreSQL, whose texts are to be compared
// octet by octet, as SQLite does: in a language's order "-" may count for
// nothing, and an upgrade of the system's C library may change the order under
// an index.
type bytewise struct{ fs.FS }

var textType = regexp.MustCompile(`\btext\b`)

// Open opens a migration in which every text is one without a language.
func (b bytewise) Open(name string) (fs.File, error) {
	file, err := b.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return file, err
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return migration{file, strings.NewReader(textType.ReplaceAllString(string(content), `text COLLATE "C"`))}, nil
}

type migration struct {
	fs.File
	content io.Reader
}

func (m migration) Read(b []byte) (int, error) { return m.content.Read(b) }
