package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"slices"
	"strings"
)

// NewProof returns a text to publish in the DNS: 26 characters of which nobody
// knows one beforehand.
func NewProof() string { return strings.ToLower(rand.Text()) }

// SetDomain gives the tenant the domain d for d.App, in place of one that it may
// have, and returns the tenant. With VerifiedAt it is admitted: ErrExists where
// another tenant's proven domain for that app is the same origin. Whoever admits
// read the tenant before and says at which revision: a domain that was changed
// while its proof was looked for is not admitted by it.
func (db *DB) SetDomain(ctx context.Context, who Actor, label string, d Domain, ifRevision int64) (t Tenant, err error) {
	if err := d.valid(); err != nil {
		return Tenant{}, err
	}
	if d.Token == "" {
		d.Token = NewProof()
	}
	err = db.change(ctx, who, func(ctx context.Context, c *change) error {
		if t, err = c.tenant(ctx, label, ifRevision); err != nil {
			return err
		}
		i := slices.IndexFunc(t.Domains, func(o Domain) bool { return o.App == d.App })
		var before any
		switch {
		case i >= 0 && t.Domains[i] == d:
			return nil
		case i >= 0:
			before = t.Domains[i]
			t.Domains[i] = d
		case len(t.Domains) == MaxDomains:
			return ErrTooMany
		default:
			t.Domains = append(t.Domains, d)
		}
		if d.VerifiedAt > 0 {
			if err := c.free(ctx, t.ID, d); err != nil {
				return err
			}
		}
		if err := c.writeDomain(ctx, t.ID, d); err != nil {
			return err
		}
		return c.touch(ctx, &t, "domain.set", before, d)
	})
	return t, err
}

// RemoveDomain takes the tenant's domain for app away.
func (db *DB) RemoveDomain(ctx context.Context, who Actor, label, app string, ifRevision int64) (t Tenant, err error) {
	err = db.change(ctx, who, func(ctx context.Context, c *change) error {
		if t, err = c.tenant(ctx, label, ifRevision); err != nil {
			return err
		}
		i := slices.IndexFunc(t.Domains, func(o Domain) bool { return o.App == app })
		if i < 0 {
			return ErrNotFound
		}
		before := t.Domains[i]
		t.Domains = slices.Delete(t.Domains, i, i+1)
		if err := c.dropDomain(ctx, t.ID, app); err != nil {
			return err
		}
		return c.touch(ctx, &t, "domain.remove", before, nil)
	})
	return t, err
}

// touch writes the tenant whose domains were changed.
func (c *change) touch(ctx context.Context, t *Tenant, action string, before, after any) (err error) {
	if t.Revision, err = c.made(action, tenantSubject(t.Label), before, after); err != nil {
		return err
	}
	t.UpdatedAt = c.at
	slices.SortFunc(t.Domains, func(a, b Domain) int { return strings.Compare(a.App, b.App) })
	t.admit(t.Domains)
	return c.writeTenants(ctx, []Tenant{*t})
}

// free says ErrExists where the origin is another's. The index would say so too,
// each database in its own words.
func (c *change) free(ctx context.Context, tenantID string, d Domain) error {
	var owner string
	err := c.QueryRowContext(ctx, `SELECT tenant_id FROM domains WHERE app = $1 AND origin = $2 AND verified_at > 0`, d.App, d.Origin).Scan(&owner)
	if err == nil && owner != tenantID {
		return ErrExists
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

func (c *change) writeDomain(ctx context.Context, tenantID string, d Domain) error {
	_, err := c.ExecContext(ctx, `INSERT INTO domains (tenant_id, app, origin, token, verified_at, checked_at, failing_since, misses, trusted)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (tenant_id, app) DO UPDATE SET origin = excluded.origin, token = excluded.token,
		verified_at = excluded.verified_at, checked_at = excluded.checked_at, failing_since = excluded.failing_since,
		misses = excluded.misses, trusted = excluded.trusted`,
		tenantID, d.App, d.Origin, d.Token, d.VerifiedAt, d.CheckedAt, d.FailingSince, d.Misses, bit(d.Trusted))
	return err
}

func (c *change) dropDomain(ctx context.Context, tenantID, app string) error {
	_, err := c.ExecContext(ctx, `DELETE FROM domains WHERE tenant_id = $1 AND app = $2`, tenantID, app)
	return err
}

// DueDomain is a domain whose proof is to be looked for.
type DueDomain struct {
	TenantID string
	Domain
}

// ClaimDomains returns up to n domains that were last checked before the unix
// time before, and marks them as checked now: of many replicas that ask, one
// gets each. They are those that a proof keeps admitted, or else those that wait
// for one. It is no change of the registry: no revision, no audit.
func (db *DB) ClaimDomains(ctx context.Context, admitted bool, before int64, n int) (due []DueDomain, err error) {
	// The condition stands twice: on PostgreSQL the inner one may have been
	// answered before another replica's claim was committed.
	query := `UPDATE domains SET checked_at = $1 WHERE verified_at = 0 AND checked_at < $2 AND (tenant_id, app) IN
		(SELECT tenant_id, app FROM domains WHERE verified_at = 0 AND checked_at < $2 ORDER BY checked_at LIMIT $3)
		RETURNING tenant_id, app, origin, token, verified_at, checked_at, failing_since, misses, trusted`
	if admitted {
		query = `UPDATE domains SET checked_at = $1 WHERE verified_at > 0 AND trusted = 0 AND checked_at < $2 AND (tenant_id, app) IN
			(SELECT tenant_id, app FROM domains WHERE verified_at > 0 AND trusted = 0 AND checked_at < $2 ORDER BY checked_at LIMIT $3)
			RETURNING tenant_id, app, origin, token, verified_at, checked_at, failing_since, misses, trusted`
	}
	err = db.tx(ctx, func(ctx context.Context, tx *sql.Tx) error {
		return each(ctx, tx, func(r row) error {
			id, d, err := scanDomain(r)
			due = append(due, DueDomain{id, d})
			return err
		}, query, db.now().Unix(), before, limit(n))
	})
	return due, err
}

// DomainChecked notes what a check found: FailingSince and Misses of d. It
// admits nobody and takes nobody's domain away (SetDomain does), so it is no
// change of the registry either. A domain that was replaced since d was read is
// left alone.
func (db *DB) DomainChecked(ctx context.Context, d DueDomain) error {
	_, err := db.write.ExecContext(ctx, `UPDATE domains SET checked_at = $5, failing_since = $6, misses = $7 WHERE tenant_id = $1 AND app = $2 AND origin = $3 AND token = $4`,
		d.TenantID, d.App, d.Origin, d.Token, db.now().Unix(), d.FailingSince, d.Misses)
	return err
}

func scanDomain(r row) (tenantID string, d Domain, err error) {
	var trusted int64
	err = r.Scan(&tenantID, &d.App, &d.Origin, &d.Token, &d.VerifiedAt, &d.CheckedAt, &d.FailingSince, &d.Misses, &trusted)
	d.Trusted = trusted != 0
	return tenantID, d, err
}
