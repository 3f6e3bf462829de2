package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"onedoor/config"
	"onedoor/registry"
	"onedoor/store"
	"onedoor/tenant"
)

// firstLoad is how long the listeners wait for the database, and then for the
// tenants. A few are there before; while it does not answer, or many are being
// read, the door answers already, that it is not ready.
const firstLoad = 200 * time.Millisecond

// Between two attempts at a database that does not answer the pauses double.
const (
	minStorePause = 100 * time.Millisecond
	maxStorePause = 5 * time.Second
)

// awaitStore opens the database. One that does not answer may be starting, as
// the door is: it is asked again until it does, or ctx ends.
func awaitStore(ctx context.Context, cfg *config.Config, log *slog.Logger) (*store.DB, error) {
	said := ""
	for pause := minStorePause; ; pause = min(2*pause, maxStorePause) {
		db, err := openStore(ctx, cfg)
		switch {
		case err == nil && said != "":
			log.Info("the database answers")
			return db, nil
		case !errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil:
			return db, err
		case err.Error() != said:
			said = err.Error()
			log.Warn("waiting for the database", slog.String("error", said))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// openRegistry makes the registry of all tenants in the database, and has it
// follow them.
func (d *door) openRegistry(cfg *config.Config) {
	d.tenants = registry.New(registry.Options{
		Source: tenantSource{d.db}, Log: d.log, Resized: d.collect,
		StaleAfter: cfg.Tenants.StaleAfter, Limit: int64(cfg.Tenants.Limit),
	})
	d.background(func(ctx context.Context) error {
		d.tenants.Run(ctx)
		return nil
	})
}

// watch tells all who follow the database of its changes. One connection hears
// of them, for those of a server are counted.
func (d *door) watch(ctx context.Context) error {
	d.db.Watch(ctx, func() {
		d.tenants.Changed()
		d.keys.changed()
	})
	return nil
}

// awaitTenants waits until the tenants were read, but not for long.
func (d *door) awaitTenants(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, firstLoad)
	defer cancel()
	d.tenants.Await(ctx)
}

// registry knows the tenants: those of the database and those of the file.
func (d *door) registry(cfg *config.Config) tenant.Registry { return cfg.Registry(d.tenants) }

// collect lets the collector run as often as it would without a registry. It
// runs when the heap has doubled, and with a million tenants that would be tens
// of megabytes of what nobody uses any more: the tenants hold nothing that it
// could collect. Whoever sets GOGC or GOMEMLIMIT knows better.
func (d *door) collect(registry int64) {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(collectAt(registry))
}

// collectAt is by how many percent the heap may grow beside that much registry.
func collectAt(registry int64) int {
	const rest = elbowRoom + 4<<20 // what is in use besides
	return max(int(100*rest/(rest+registry)), 5)
}

// tenantSource is the database as the registry wants it.
type tenantSource struct{ *store.DB }

// Each implements registry.Source.
func (s tenantSource) Each(ctx context.Context, f func(tenant.Tenant) error) (int64, error) {
	return s.EachTenant(ctx, f)
}

// Since implements registry.Source.
func (s tenantSource) Since(ctx context.Context, revision int64, limit int) ([]registry.Change, error) {
	rows, err := s.TenantsSince(ctx, revision, limit)
	if err != nil {
		return nil, err
	}
	changes := make([]registry.Change, len(rows))
	for i, t := range rows {
		changes[i] = registry.Change{Tenant: t.Tenant, Revision: t.Revision, Removed: t.RemovedAt != 0}
	}
	return changes, nil
}

// Mark implements registry.Source: the audit log knows who made each revision.
func (s tenantSource) Mark(ctx context.Context, revision int64) (string, error) {
	entries, err := s.Audit(ctx, store.AuditQuery{After: revision + 1, Limit: 1})
	if err != nil || len(entries) == 0 || entries[0].ID != revision {
		return "", err
	}
	text, err := json.Marshal(entries[0])
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), err
}

// Count implements registry.Source.
func (s tenantSource) Count(ctx context.Context) (int64, error) { return s.TenantCount(ctx) }
