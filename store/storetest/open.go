package storetest

import (
	"sync"
	"testing"

	"onedoor/store"
)

// Open opens a database for as long as the test takes.
func Open(t *testing.T, dsn string, o store.Options) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), dsn, o)
	must(t, err)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// OpenAtOnce opens an empty database as eight processes do that start together.
func OpenAtOnce(t *testing.T, dsn string) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), dsn, store.Options{})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := db.SealKeys(t.Context()); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
