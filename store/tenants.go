package store

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"onedoor/tenant"
)

// Tenant is a row of the registry.
type Tenant struct {
	tenant.Tenant // Sites are those of Domains that are admitted
	Domains       []Domain
	Notes         string
	Revision      int64 // of the registry at the tenant's last change
	CreatedAt     int64 // unix seconds, as all times here
	UpdatedAt     int64
	RemovedAt     int64 // 0: there. A removed tenant keeps its ID, and its label rests
}

// Domain is a tenant's own origin in the place of an app's template.
type Domain struct {
	App          string `json:"app"`
	Origin       string `json:"origin"`
	Token        string `json:"token"`                   // what the DNS must say; public there, so no secret
	VerifiedAt   int64  `json:"verified_at,omitempty"`   // 0: not admitted
	CheckedAt    int64  `json:"checked_at,omitempty"`    // 0: never
	FailingSince int64  `json:"failing_since,omitempty"` // 0: the last check found the proof
	Misses       int64  `json:"misses,omitempty"`        // checks in a row that did not
	Trusted      bool   `json:"trusted,omitempty"`       // admitted on somebody's word: no proof is looked for
}

// ErrResting says that a label was removed a short while ago. Somebody may still
// have a login in progress, a bookmark or a DNS record that means its last owner
// (THREATS T-11).
var ErrResting = errors.New("the label was removed and rests")

// ErrTooMany says that a bound of Options is reached.
var ErrTooMany = errors.New("too many")

// ErrInvalid wraps what no database is asked: a value that no row may have.
var ErrInvalid = errors.New("invalid")

// Bounds of one tenant's row, in octets and entries.
const (
	MaxParameters     = 32
	MaxParametersSize = 4 << 10 // as JSON
	MaxNotes          = 4 << 10
	MaxDomains        = 16
	MaxOrigin         = 255
	MaxIssuer         = 255
	MaxApp            = 64
)

// idPrefix and 16 hexadecimal digits make an ID: random, so that a database
// that was restored from a backup gives none a second time, and 64 bits of it,
// so that a million fit in memory. No label looks like one: "_" is not LDH.
const idPrefix = "t_"

// NewTenantID returns an ID that nobody has.
func NewTenantID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return idPrefix + hex.EncodeToString(b[:])
}

// ValidTenantID says whether s has the form of an ID.
func ValidTenantID(s string) bool {
	if len(s) != len(idPrefix)+16 || s[:len(idPrefix)] != idPrefix {
		return false
	}
	for _, c := range s[len(idPrefix):] {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func tenantSubject(label string) string { return "tenant/" + label }

// Tenant returns the tenant of that label, or ErrNotFound.
func (db *DB) Tenant(ctx context.Context, label string) (Tenant, error) {
	return one(tenants(ctx, db.read, `SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
		FROM tenants WHERE label = $1 AND removed_at = 0`, label))
}

// TenantByID returns the tenant of that ID, also one that was removed.
func (db *DB) TenantByID(ctx context.Context, id string) (Tenant, error) {
	return one(tenants(ctx, db.read, `SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
		FROM tenants WHERE id = $1`, id))
}

// TenantQuery says which tenants are wanted.
type TenantQuery struct {
	After  string        // the last label that was seen, "" for the first page
	Prefix string        // of the label
	Status tenant.Status // "" for any
	Limit  int           // from 1 to 1000; 0 is 100
}

// Tenants returns a page of tenants, by label.
func (db *DB) Tenants(ctx context.Context, q TenantQuery) ([]Tenant, error) {
	// One range of the index: "!" sorts before every character of a label, "~" after.
	from, to := q.Prefix, q.Prefix+"~"
	if q.After != "" {
		from = max(from, q.After+"!")
	}
	query, args := `SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
		FROM tenants WHERE label >= $1 AND label < $2 AND removed_at = 0 ORDER BY label LIMIT $3`, []any{from, to, limit(q.Limit)}
	if q.Status != "" {
		query, args = `SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
			FROM tenants WHERE label >= $1 AND label < $2 AND status = $4 AND removed_at = 0 ORDER BY label LIMIT $3`, append(args, string(q.Status))
	}
	return tenants(ctx, db.read, query, args...)
}

// TenantsSince returns, in the order of their revisions, tenants that changed
// after that revision, the removed ones too; none says that there is no more.
func (db *DB) TenantsSince(ctx context.Context, revision int64, n int) ([]Tenant, error) {
	return tenants(ctx, db.read, `SELECT id, label, status, issuer, parameters, notes, revision, created_at, updated_at, removed_at
		FROM tenants WHERE revision > $1 ORDER BY revision LIMIT $2`, revision, limit(n))
}

// EachTenant calls f with every tenant that is there, in no order, and returns
// the registry's revision of which this is the whole: the changes after it come
// from TenantsSince. Memory is needed for the custom domains alone.
func (db *DB) EachTenant(ctx context.Context, f func(tenant.Tenant) error) (revision int64, err error) {
	err = db.snapshot(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, `SELECT revision FROM registry WHERE id = 1`).Scan(&revision); err != nil {
			return err
		}
		sites := map[string][]Domain{}
		err := eachUnbound(ctx, tx, func(r row) error {
			id, d, err := scanDomain(r)
			sites[id] = append(sites[id], d)
			return err
		}, `SELECT tenant_id, app, origin, token, verified_at, checked_at, failing_since, misses, trusted FROM domains WHERE verified_at > 0`)
		if err != nil {
			return err
		}
		// Whoever starts waits for this: each column is a tenth of it.
		return eachUnbound(ctx, tx, func(r row) error {
			var t Tenant
			var parameters string
			if err := r.Scan(&t.ID, &t.Label, &t.Status, &t.Issuer, &parameters); err != nil {
				return err
			}
			if err := t.readParameters(parameters); err != nil {
				return err
			}
			t.admit(sites[t.ID])
			return f(t.Tenant)
		}, `SELECT id, label, status, issuer, parameters FROM tenants WHERE removed_at = 0`)
	})
	return revision, err
}

func one(list []Tenant, err error) (Tenant, error) {
	if err != nil {
		return Tenant{}, err
	}
	if len(list) == 0 {
		return Tenant{}, ErrNotFound
	}
	return list[0], nil
}

// tenants reads tenants and their domains.
func tenants(ctx context.Context, on querier, query string, args ...any) ([]Tenant, error) {
	var list []Tenant
	err := each(ctx, on, func(r row) error {
		t, err := scanTenant(r)
		list = append(list, t)
		return err
	}, query, args...)
	if err != nil {
		return nil, err
	}
	index := make(map[string]int, len(list))
	ids := make([]any, len(list))
	for i, t := range list {
		index[t.ID], ids[i] = i, t.ID
	}
	for part := range parts(ids) {
		err := each(ctx, on, func(r row) error {
			id, d, err := scanDomain(r)
			if i, ok := index[id]; ok {
				list[i].Domains = append(list[i].Domains, d)
			}
			return err
		}, inMany(`SELECT tenant_id, app, origin, token, verified_at, checked_at, failing_since, misses, trusted
			FROM domains WHERE tenant_id IN ($1) ORDER BY tenant_id, app`, len(part)), part...)
		if err != nil {
			return nil, err
		}
	}
	for i := range list {
		list[i].admit(list[i].Domains)
	}
	return list, nil
}

// admit makes Sites of the domains that are proven.
func (t *Tenant) admit(domains []Domain) {
	t.Sites = nil
	for _, d := range domains {
		if d.VerifiedAt == 0 {
			continue
		}
		if t.Sites == nil {
			t.Sites = map[string]string{}
		}
		t.Sites[d.App] = d.Origin
	}
}

func scanTenant(r row) (Tenant, error) {
	var t Tenant
	var parameters string
	err := r.Scan(&t.ID, &t.Label, &t.Status, &t.Issuer, &parameters, &t.Notes, &t.Revision, &t.CreatedAt, &t.UpdatedAt, &t.RemovedAt)
	if err != nil {
		return t, found(err)
	}
	return t, t.readParameters(parameters)
}

func (t *Tenant) readParameters(text string) error {
	if text == "{}" {
		return nil
	}
	if err := json.Unmarshal([]byte(text), &t.Parameters); err != nil {
		return fmt.Errorf("parameters of tenant %q: %v", t.Label, err)
	}
	return nil
}

// tenantRecord is a tenant in the audit log.
type tenantRecord struct {
	ID         string            `json:"id"`
	Label      string            `json:"label"`
	Status     tenant.Status     `json:"status"`
	Issuer     string            `json:"issuer,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Notes      string            `json:"notes,omitempty"`
	Domains    []Domain          `json:"domains,omitempty"`
}

func (t *Tenant) record() tenantRecord {
	return tenantRecord{t.ID, t.Label, t.Status, t.Issuer, t.Parameters, t.Notes, t.Domains}
}
