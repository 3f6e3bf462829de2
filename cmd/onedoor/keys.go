package main

import (
	"context"
	"time"

	"onedoor/seal"
	"onedoor/store"
)

// openRing is the ring of the keys that all replicas share.
func openRing(ctx context.Context, db *store.DB) (*seal.Ring, error) {
	keys, err := db.SealKeys(ctx)
	if err != nil {
		return nil, err
	}
	return seal.NewRing(time.Now, keys...)
}
