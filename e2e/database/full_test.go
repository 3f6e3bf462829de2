//go:build e2e && linux

package database

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"onedoor/e2e/lab"
	"onedoor/store"
	"onedoor/store/storetest"
	"onedoor/tenant"
)

// TestAFullDiskLosesNothing fills the disk with tenants, looks, makes room, and
// goes on, without a restart and with one while it is full.
func TestAFullDiskLosesNothing(t *testing.T) {
	dir := lab.SmallDisk(t, 4<<20)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "onedoor.db")
	db := storetest.Open(t, path, store.Options{})
	there := map[string]bool{}
	batch := func(n int) (labels []string) {
		for i := range 50 {
			labels = append(labels, fmt.Sprintf("b%d-%d", n, i))
		}
		return labels
	}
	fill := func(db *store.DB, from int) error {
		for n := from; n < from+10_000; n++ {
			labels := batch(n)
			if _, err := db.PutTenants(t.Context(), anna, puts(labels...)); err != nil {
				return err
			}
			for _, l := range labels {
				there[l] = true
			}
		}
		return nil
	}
	err := fill(db, 0)
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), "make room") {
		t.Fatalf("%v, want that the disk is full", err)
	}
	check := func(db *store.DB) {
		t.Helper()
		found := 0
		if _, err := db.EachTenant(t.Context(), func(x tenant.Tenant) error {
			found++
			if !there[x.Label] {
				t.Errorf("%s was not acknowledged", x.Label)
			}
			return nil
		}); err != nil || found != len(there) {
			t.Errorf("%d of %d tenants: %v", found, len(there), err)
		}
	}
	check(db)
	if _, err := db.PutTenants(t.Context(), anna, puts("one-more")); err == nil {
		there["one-more"] = true // a small one may still fit
	} else if !errors.Is(err, store.ErrFull) {
		t.Errorf("%v", err)
	}
	check(db)

	if err := db.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	if db, err = store.Open(t.Context(), path, store.Options{}); err != nil {
		t.Logf("a full disk at the start: %v", err)
		if !errors.Is(err, store.ErrFull) && !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v", err)
		}
	} else {
		check(db)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if db == nil {
		db = storetest.Open(t, path, store.Options{})
	} else {
		defer db.Close()
	}
	before := len(there)
	if err := fill(db, 20_000); !errors.Is(err, store.ErrFull) {
		t.Errorf("%v", err)
	}
	if len(there) <= before {
		t.Error("there is room, and nothing was written")
	}
	check(db)
	checkWhole(t, "sqlite", path)
}

// TestTheWriteAheadLogIsBounded writes while somebody reads a snapshot, for
// which the log has to be kept, and after.
func TestTheWriteAheadLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "onedoor.db")
	db := storetest.Open(t, path, store.Options{})
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	n := 0
	write := func() {
		t.Helper()
		var labels []string
		for range 300 {
			n++
			labels = append(labels, fmt.Sprintf("t%d", n))
		}
		list := puts(labels...)
		for i := range list {
			list[i].Notes = strings.Repeat("x", store.MaxNotes)
		}
		if _, err := db.PutTenants(t.Context(), anna, list); err != nil {
			t.Fatal(err)
		}
	}
	write()
	const limit = 16 << 20
	grown := int64(0)
	if _, err := db.EachTenant(t.Context(), func(tenant.Tenant) error {
		for grown == 0 && n < 60_000 {
			if write(); size() > limit {
				grown = size()
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if grown == 0 {
		t.Fatal("the log was not kept for a reader: this test shows nothing")
	}
	for range 3 {
		write()
	}
	if size() > limit {
		t.Errorf("the log has %d octets after the reader has gone", size())
	}
}
