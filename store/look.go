package store

import (
	"context"
	"errors"
	"strings"
)

// Look opens a database as it is, to read some of it: no file and no table is
// made or changed for that.
func Look(ctx context.Context, dsn string) (*DB, error) {
	db := newDB(Options{})
	var err error
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		err = openPostgres(ctx, dsn, db)
	} else {
		path := strings.TrimPrefix(strings.TrimPrefix(dsn, "file://"), "file:")
		if db.read, err = connectSQLite(ctx, path, 1, "mode=ro&_pragma=query_only(1)"); err != nil {
			err = explainFileContent(path, err)
		}
		db.write = db.read // which writes nothing
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}
