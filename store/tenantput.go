package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"onedoor/tenant"
)

// TenantPut is a tenant as it shall be: Label, Status ("" is active), Issuer,
// Parameters and Notes replace what was there.
//
// ID may be "": the tenant of that label, or a new one. Given, it must be the ID
// of the label's tenant; a removed tenant's ID brings that tenant back, however
// long its label has to rest yet; one that nobody has is taken, so that a
// registry can move with its IDs.
//
// Domains nil leaves the domains as they are. Otherwise they become those, of
// which App and Origin are read: one that was there keeps its token and proof,
// any other gets a new token and is not admitted (SetDomain admits).
type TenantPut struct {
	Tenant
	IfRevision int64 // ErrConflict unless the tenant is at it; 0: whatever it is at; -1: ErrExists where there is one
}

// MustNotExist is the IfRevision of a tenant that is to be new.
const MustNotExist = -1

// MaxBatch bounds the tenants of one PutTenants, and so the time for which
// others wait.
const MaxBatch = 5000

// PutTenants writes the tenants in one transaction, all or none, and returns
// them as they are then, in the order of puts. A put that changes nothing leaves
// no trace. Rows that are wrong are all named, by RowErrors.
func (db *DB) PutTenants(ctx context.Context, who Actor, puts []TenantPut) ([]Tenant, error) {
	b, err := db.putTenants(ctx, who, puts, nil)
	if err != nil {
		return nil, err
	}
	return b.result, nil
}

// Imported is what an import did.
type Imported struct {
	Added, Changed, Unchanged int   // tenants
	Revision                  int64 // of the registry afterwards
}

// ImportTenants is PutTenants for whoever counts. With dry it says what it would
// do, and keeps nothing.
func (db *DB) ImportTenants(ctx context.Context, who Actor, puts []TenantPut, dry bool) (Imported, error) {
	var end error
	if dry {
		end = errDryRun
	}
	b, err := db.putTenants(ctx, who, puts, end)
	if err != nil {
		return Imported{}, err
	}
	return b.did, nil
}

// errDryRun ends a transaction that is not to be kept.
var errDryRun = errors.New("dry run")

func (db *DB) putTenants(ctx context.Context, who Actor, puts []TenantPut, end error) (*batch, error) {
	if len(puts) > MaxBatch {
		return nil, fmt.Errorf("%w tenants in one batch: %d, at most %d", ErrTooMany, len(puts), MaxBatch)
	}
	b := &batch{db: db, puts: puts, result: make([]Tenant, len(puts))}
	b.checkRows()
	if len(b.wrong) > 0 {
		return nil, b.wrong
	}
	err := db.change(ctx, who, func(ctx context.Context, c *change) error {
		b.change = c
		if err := b.run(ctx); err != nil {
			return err
		}
		return end
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return nil, err
	}
	return b, nil
}

// batch is one run of PutTenants.
type batch struct {
	*change
	db      *DB
	puts    []TenantPut
	result  []Tenant
	did     Imported
	wrong   RowErrors
	there   map[string]Tenant // by label
	byID    map[string]Tenant // of the IDs that were given, removed ones too
	resting map[string]int64  // label to when it was removed last
	written []Tenant
	domains []func(context.Context) error
}

func (b *batch) refuse(i int, err error) {
	b.wrong = append(b.wrong, &RowError{Index: i, Label: b.puts[i].Label, Err: err})
}

func (t *Tenant) parameters() (string, error) {
	if len(t.Parameters) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(t.Parameters)
	return string(text), err
}

func (b *batch) run(ctx context.Context) error {
	if err := b.read(ctx); err != nil {
		return err
	}
	for i := range b.puts {
		if err := b.put(i); err != nil {
			b.refuse(i, err)
		}
	}
	if len(b.wrong) > 0 {
		return b.wrong
	}
	b.did.Revision = b.revision
	return b.write(ctx)
}

// read fetches what the rows are decided by. Nobody else writes meanwhile.
func (b *batch) read(ctx context.Context) error {
	b.there, b.byID, b.resting = map[string]Tenant{}, map[string]Tenant{}, map[string]int64{}
	var labels, ids []any
	for i := range b.puts {
		labels = append(labels, b.puts[i].Label)
		if id := b.puts[i].ID; id != "" {
			ids = append(ids, id)
		}
	}
	for part := range parts(labels) {
		list, err := tenants(ctx, b.change, inMany(`SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
			FROM tenants WHERE label IN ($1) AND removed_at = 0`, len(part)), part...)
		if err != nil {
			return err
		}
		for _, t := range list {
			b.there[t.Label] = t
		}
	}
	labels = slices.DeleteFunc(labels, func(l any) bool {
		_, there := b.there[l.(string)]
		return there
	})
	for part := range parts(labels) {
		err := each(ctx, b.change, func(r row) error {
			var label string
			var at int64
			err := r.Scan(&label, &at)
			b.resting[label] = at
			return err
		}, inMany(`SELECT label, MAX(removed_at) FROM tenants WHERE label IN ($1) AND removed_at > 0 GROUP BY label`, len(part)), part...)
		if err != nil {
			return err
		}
	}
	for part := range parts(ids) {
		list, err := tenants(ctx, b.change, inMany(`SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
			FROM tenants WHERE id IN ($1)`, len(part)), part...)
		if err != nil {
			return err
		}
		for _, t := range list {
			b.byID[t.ID] = t
		}
	}
	return nil
}

// put decides one row.
func (b *batch) put(i int) error {
	p := b.puts[i]
	was, there := b.there[p.Label]
	switch {
	case there && p.IfRevision == MustNotExist:
		return ErrExists
	case there && p.ID != "" && p.ID != was.ID:
		return fmt.Errorf("%w: the label belongs to %s", ErrConflict, was.ID)
	case p.IfRevision > 0 && (!there || was.Revision != p.IfRevision):
		return ErrConflict
	case there:
		return b.keep(i, "tenant.set", &was)
	}
	b.tenants++
	if b.tenants > b.db.maxTenants {
		return fmt.Errorf("%w tenants: at most %d are allowed", ErrTooMany, b.db.maxTenants)
	}
	gone, known := b.byID[p.ID]
	switch {
	case known && gone.Label != p.Label:
		return fmt.Errorf("%w: %s belongs to another label", ErrConflict, p.ID)
	case known:
		return b.keep(i, "tenant.restore", &gone)
	}
	if at := b.resting[p.Label]; at > 0 && at+b.db.restFor > b.at {
		return fmt.Errorf("%w until %s", ErrResting, time.Unix(at+b.db.restFor, 0).UTC().Format(time.RFC3339))
	}
	return b.keep(i, "tenant.add", nil)
}

// keep makes the row, and notes what happens to it.
func (b *batch) keep(i int, action string, was *Tenant) error {
	put := &b.puts[i].Tenant
	var next Tenant
	var before any
	if was != nil {
		next = *was
		before = was.record()
	} else {
		next.ID, next.Label, next.CreatedAt = put.ID, put.Label, b.at
		if next.ID == "" {
			next.ID = NewTenantID()
		}
	}
	next.Status, next.Issuer, next.Parameters, next.Notes = put.Status, put.Issuer, put.Parameters, put.Notes
	next.RemovedAt = 0
	if next.Status == "" {
		next.Status = tenant.Active
	}
	if put.Domains != nil {
		b.putDomains(&next, put.Domains)
	}
	if action == "tenant.set" && next.same(was) {
		b.result[i] = *was
		b.did.Unchanged++
		return nil
	}
	revision, err := b.made(action, tenantSubject(next.Label), before, next.record())
	if err != nil {
		return err
	}
	next.Revision, next.UpdatedAt = revision, b.at
	next.admit(next.Domains)
	if action == "tenant.add" {
		b.did.Added++
	} else {
		b.did.Changed++
	}
	b.result[i] = next
	b.written = append(b.written, next)
	return nil
}

func (t *Tenant) same(was *Tenant) bool {
	return t.Status == was.Status && t.Issuer == was.Issuer && t.Notes == was.Notes &&
		maps.Equal(t.Parameters, was.Parameters) && slices.Equal(t.Domains, was.Domains)
}

// putDomains makes the tenant's domains those of want, and keeps the proof of
// those that it has.
func (b *batch) putDomains(t *Tenant, want []Domain) {
	had := map[string]Domain{}
	for _, d := range t.Domains {
		had[d.App] = d
	}
	next := make([]Domain, 0, len(want))
	for _, d := range want {
		kept, ok := had[d.App]
		delete(had, d.App)
		if ok && kept.Origin == d.Origin {
			next = append(next, kept)
			continue
		}
		d = Domain{App: d.App, Origin: d.Origin, Token: NewProof()}
		next = append(next, d)
		id := t.ID
		b.domains = append(b.domains, func(ctx context.Context) error { return b.writeDomain(ctx, id, d) })
	}
	for app := range had {
		id := t.ID
		b.domains = append(b.domains, func(ctx context.Context) error { return b.dropDomain(ctx, id, app) })
	}
	slices.SortFunc(next, func(a, b Domain) int { return strings.Compare(a.App, b.App) })
	t.Domains = next
}

func (b *batch) write(ctx context.Context) error {
	if err := b.writeTenants(ctx, b.written); err != nil {
		return err
	}
	for _, f := range b.domains {
		if err := f(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *change) writeTenants(ctx context.Context, list []Tenant) error {
	for part := range parts(list) {
		args := make([]any, 0, 10*len(part))
		for _, t := range part {
			parameters, err := t.parameters()
			if err != nil {
				return err
			}
			args = append(args, t.ID, t.Label, string(t.Status), t.Issuer, parameters, t.Notes, t.Revision, t.CreatedAt, t.UpdatedAt, t.RemovedAt)
		}
		err := c.write(ctx, rowsMany(`INSERT INTO tenants (id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
			ON CONFLICT (id) DO UPDATE SET status = excluded.status, issuer = excluded.issuer, parameters = excluded.parameters,
			notes = excluded.notes, revision = excluded.revision, updated_at = excluded.updated_at, removed_at = excluded.removed_at`, len(part)), args...)
		if err != nil {
			return err
		}
	}
	return nil
}

// RemoveTenant removes the tenant of that label and its domains; ifRevision is
// as in TenantPut. The label rests.
func (db *DB) RemoveTenant(ctx context.Context, who Actor, label string, ifRevision int64) error {
	return db.change(ctx, who, func(ctx context.Context, c *change) error {
		t, err := c.tenant(ctx, label, ifRevision)
		if err != nil {
			return err
		}
		before := t.record()
		if t.Revision, err = c.made("tenant.remove", tenantSubject(label), before, nil); err != nil {
			return err
		}
		t.UpdatedAt, t.RemovedAt = c.at, c.at
		c.tenants--
		if _, err := c.ExecContext(ctx, `DELETE FROM domains WHERE tenant_id = $1`, t.ID); err != nil {
			return err
		}
		return c.writeTenants(ctx, []Tenant{t})
	})
}

// tenant reads the tenant that is to be changed.
func (c *change) tenant(ctx context.Context, label string, ifRevision int64) (Tenant, error) {
	t, err := one(tenants(ctx, c, `SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
		FROM tenants WHERE label = $1 AND removed_at = 0`, label))
	if errors.Is(err, ErrNotFound) && ifRevision > 0 {
		return t, ErrConflict
	}
	if err == nil && ifRevision > 0 && t.Revision != ifRevision {
		return t, ErrConflict
	}
	return t, err
}
