package main

import (
	"context"
	"slices"
	"time"

	"onedoor/config"
	"onedoor/store"
	"onedoor/tenant"
)

// maxTenants bounds how many tenants are looked at without being named.
const maxTenants = 5

// sampleTime bounds the look into the database: the doctor is often started
// where that cannot be reached.
const sampleTime = 5 * time.Second

// sample are the tenants to look at where none is named: the first of the file,
// and then of the database. The error says why that was not asked.
func sample(ctx context.Context, cfg *config.Config) ([]string, error) {
	some := slices.Clone(cfg.Tenants.List[:min(len(cfg.Tenants.List), maxTenants)])
	if len(some) == maxTenants {
		return some, nil
	}
	ctx, cancel := context.WithTimeout(ctx, sampleTime)
	defer cancel()
	db, err := store.Look(ctx, string(cfg.Database))
	if err != nil {
		return some, err
	}
	defer db.Close()
	list, err := db.Tenants(ctx, store.TenantQuery{Status: tenant.Active})
	for _, t := range list {
		// Those that log in as the configuration says, and not at a site or an issuer
		// of their own.
		plain := len(t.Domains) == 0 && t.Issuer == "" && !slices.Contains(cfg.Tenants.Reserved, t.Label)
		if plain && !slices.Contains(some, t.Label) && len(some) < maxTenants {
			some = append(some, t.Label)
		}
	}
	return some, err
}
