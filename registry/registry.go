// Package registry has every tenant of the database in memory, compact and as
// current as the database. The path of a login asks nobody else.
//
// It follows a Source, which package store implements: it loads all tenants
// once, and then asks for every change, at once where somebody tells it of one.
// Where it has not been able to confirm for some time that it is current, it says
// so instead of answering: a tenant that was suspended is not served longer than
// that, whatever happens to the connection. Reading starts at Registry.ByLabel;
// how it follows is follow.go, and how a million tenants fit into so little
// memory is table.go and record.go.
//
// It knows nothing of SQL, of the configuration's own list (tenant.Listed), and
// of what a tenant may do.
package registry

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"onedoor/tenant"
)

// Source is where the tenants come from.
type Source interface {
	// Each calls f with every tenant, of one moment, and returns the revision of
	// that moment.
	Each(ctx context.Context, f func(tenant.Tenant) error) (revision int64, err error)
	// Since returns the first tenants, at most limit, that changed after the
	// revision, in the order of their changes. None says that there are no more.
	Since(ctx context.Context, revision int64, limit int) ([]Change, error)
	// Revision counts the changes. It grows with each, in the order in which
	// they become visible.
	Revision(ctx context.Context) (int64, error)
	// Mark is a text that says which change made the revision. Another text for
	// the same revision means that the past is another one: a backup was
	// restored, and changes were made since.
	Mark(ctx context.Context, revision int64) (string, error)
	// Count is how many tenants there are.
	Count(ctx context.Context) (int64, error)
}

// Change is a tenant after a change.
type Change struct {
	Tenant   tenant.Tenant
	Revision int64
	Removed  bool
}

// Why the registry does not answer. None of them is tenant.ErrUnknown.
var (
	// ErrLoading: the tenants have not been read for the first time.
	ErrLoading = errors.New("the registry is being loaded from the database")
	// ErrStale: the database has not confirmed for too long that they are current.
	ErrStale = errors.New("the database has not been reached for too long: a tenant may have been suspended since")
	// ErrFull: it is not one of the tenants that memory was allowed for.
	ErrFull = errors.New("there are more tenants than tenants.limit: this may be one of those that were left out")
)

// Options of a Registry.
type Options struct {
	Source     Source
	StaleAfter time.Duration // how long answers are given without a confirmation; 0 is 15 minutes
	Limit      int64         // tenants in memory; 0 is 2,000,000
	Log        *slog.Logger

	// Resized, where there is one, hears how many octets the tenants take,
	// whenever that has changed by much: the collector can be told.
	Resized func(octets int64)
}

const (
	defaultStaleAfter = 15 * time.Minute
	defaultLimit      = 2_000_000
)

// Registry implements tenant.Registry. Its methods may be called from many
// goroutines while Run runs in one.
type Registry struct {
	o     Options
	start time.Time // its monotonic reading: a wall clock that jumps changes no age

	tables    atomic.Pointer[tables] // nil before the first load
	loaded    chan struct{}          // closed after it
	changed   chan struct{}          // by Changed; holds one
	confirmed atomic.Int64           // when the source was last heard, in nanoseconds after start
	revision  atomic.Int64
	following
}

// tables are what was loaded together: tenants by label, and the labels of
// those with sites of their own by app and origin.
type tables struct {
	tenants, sites *table
	full           atomic.Bool // some were left out
}

func newTables() *tables { return &tables{tenants: newTable(), sites: newTable()} }

// New makes a Registry, which knows nothing before Run.
func New(o Options) *Registry {
	if o.StaleAfter == 0 {
		o.StaleAfter = defaultStaleAfter
	}
	if o.Limit == 0 {
		o.Limit = defaultLimit
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Resized == nil {
		o.Resized = func(int64) {}
	}
	return &Registry{o: o, start: time.Now(), loaded: make(chan struct{}), changed: make(chan struct{}, 1)}
}

// ByLabel finds the tenant of that label. The answer holds label itself, and is
// otherwise the caller's own.
func (r *Registry) ByLabel(_ context.Context, label string) (tenant.Tenant, error) {
	all, err := r.current()
	if err != nil {
		return tenant.Tenant{}, err
	}
	return all.byLabel(label)
}

func (t *tables) byLabel(label string) (tenant.Tenant, error) {
	if value, ok := t.tenants.getString(label); ok {
		return decode(label, value), nil
	}
	return t.nobody()
}

// nobody is the answer where nothing was found.
func (t *tables) nobody() (tenant.Tenant, error) {
	if t.full.Load() {
		return tenant.Tenant{}, ErrFull
	}
	return tenant.Tenant{}, tenant.ErrUnknown
}

// maxOrigin bounds an origin: a scheme, a host of 253 octets and a port.
const maxOrigin = 280

// BySite finds the tenant whose own site for that app the origin is.
func (r *Registry) BySite(_ context.Context, app, origin string) (tenant.Tenant, error) {
	all, err := r.current()
	switch {
	case err != nil:
		return tenant.Tenant{}, err
	case len(origin) > maxOrigin:
		return tenant.Tenant{}, tenant.ErrUnknown
	}
	var room [maxOrigin + 65]byte
	label, ok := all.sites.get(siteKey(room[:0], app, origin))
	if !ok {
		return all.nobody()
	}
	// The two tables are not written in one step. The tenant's own word counts:
	// a site that was taken from it since is its no longer.
	t, err := all.byLabel(string(label))
	if err == nil && t.Sites[app] != origin {
		return tenant.Tenant{}, tenant.ErrUnknown
	}
	return t, err
}

// current gives the tables, if they may be believed at this moment.
func (r *Registry) current() (*tables, error) {
	all := r.tables.Load()
	switch {
	case all == nil:
		return nil, ErrLoading
	case r.Age() > r.o.StaleAfter:
		return nil, ErrStale
	}
	return all, nil
}

// Await returns when the tenants were read once, or ctx has ended.
func (r *Registry) Await(ctx context.Context) {
	select {
	case <-r.loaded:
	case <-ctx.Done():
	}
}

// Loaded says, by nil, that the tenants were read once: before, a door is not
// ready.
func (r *Registry) Loaded() error {
	if r.tables.Load() == nil {
		return ErrLoading
	}
	return nil
}

// Age is how long ago the source confirmed that the tenants are current. Before
// the first load it is the time since New.
func (r *Registry) Age() time.Duration {
	return time.Since(r.start) - time.Duration(r.confirmed.Load())
}

// Size is how many tenants there are in memory.
func (r *Registry) Size() int64 {
	if all := r.tables.Load(); all != nil {
		return all.tenants.count.Load()
	}
	return 0
}

// Octets is how much memory they take.
func (r *Registry) Octets() int64 {
	if all := r.tables.Load(); all != nil {
		return all.octets()
	}
	return 0
}

func (t *tables) octets() int64 { return t.tenants.size.Load() + t.sites.size.Load() }

// Revision is that of the last change that is in memory.
func (r *Registry) Revision() int64 { return r.revision.Load() }

// Full says whether tenants were left out because of Options.Limit.
func (r *Registry) Full() bool {
	all := r.tables.Load()
	return all != nil && all.full.Load()
}
