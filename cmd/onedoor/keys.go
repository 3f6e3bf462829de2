package main

import (
	"context"
	"time"

	"onedoor/seal"
	"onedoor/store"
)

// openRing is the ring of the keys that all replicas share.
func openRing(ctx context.Context, db *store.DB) (*seal.Ring, error) {
	stored, err := db.SealKeys(ctx)
	if err != nil {
		return nil, err
	}
	keys := make([]seal.Key, len(stored))
	for i, k := range stored {
		keys[i] = k.Key
	}
	return seal.NewRing(time.Now, keys...)
}
