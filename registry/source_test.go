package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"onedoor/tenant"
)

// database is a Source in memory that can be slow, down and restored.
type database struct {
	mu       sync.Mutex
	rows     map[string]Change // by id; removed ones stay
	revision int64
	past     map[int64]string // who made each revision
	made     int              // changes ever, restored or not

	err     error         // what every question is answered with
	delay   time.Duration // before every answer
	pageMax int           // of Since, where it gives less than it is asked for

	changed func() // who follows it is told
	silent  bool   // nobody is told
	asked   map[string]int
}

var errDown = errors.New("connection refused")

func newDatabase() *database {
	return &database{rows: map[string]Change{}, past: map[int64]string{}, asked: map[string]int{}}
}

// write is one transaction.
func (d *database) write(changes ...Change) {
	d.mu.Lock()
	for _, c := range changes {
		d.revision++
		d.made++
		d.past[d.revision] = fmt.Sprint("change ", d.made)
		c.Revision = d.revision
		d.rows[c.Tenant.ID] = c
	}
	changed := d.changed
	if d.silent {
		changed = nil
	}
	d.mu.Unlock()
	if changed != nil {
		changed()
	}
}

func (d *database) put(ts ...tenant.Tenant) {
	for _, t := range ts {
		d.write(Change{Tenant: t})
	}
}

func (d *database) remove(t tenant.Tenant) { d.write(Change{Tenant: t, Removed: true}) }

// backup keeps what is there; the function that it returns restores it.
func (d *database) backup() (restore func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rows, past, revision := maps.Clone(d.rows), maps.Clone(d.past), d.revision
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.rows, d.past, d.revision = maps.Clone(rows), maps.Clone(past), revision
	}
}

// labelled is the tenant of a label.
func (d *database) labelled(label string) (tenant.Tenant, bool) {
	for _, c := range d.rows {
		if c.Tenant.Label == label && !c.Removed {
			return c.Tenant, true
		}
	}
	return tenant.Tenant{}, false
}

func (d *database) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *database) times(what string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.asked[what]
}

// answer is what every question begins with.
func (d *database) answer(ctx context.Context, what string) error {
	d.mu.Lock()
	d.asked[what]++
	err, delay := d.err, d.delay
	d.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func (d *database) Each(ctx context.Context, f func(tenant.Tenant) error) (int64, error) {
	if err := d.answer(ctx, "each"); err != nil {
		return 0, err
	}
	d.mu.Lock()
	rows, revision := maps.Clone(d.rows), d.revision
	d.mu.Unlock()
	for _, c := range rows {
		if c.Removed {
			continue
		}
		if err := f(c.Tenant); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

func (d *database) Since(ctx context.Context, revision int64, limit int) (list []Change, err error) {
	if err := d.answer(ctx, "since"); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.rows {
		if c.Revision > revision {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b Change) int { return cmp.Compare(a.Revision, b.Revision) })
	if d.pageMax > 0 {
		limit = min(limit, d.pageMax)
	}
	return list[:min(limit, len(list))], nil
}

func (d *database) Revision(ctx context.Context) (int64, error) {
	err := d.answer(ctx, "revision")
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.revision, err
}

func (d *database) Mark(ctx context.Context, revision int64) (string, error) {
	err := d.answer(ctx, "mark")
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past[revision], err
}

func (d *database) Count(ctx context.Context) (n int64, err error) {
	err = d.answer(ctx, "count")
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.rows {
		if !c.Removed {
			n++
		}
	}
	return n, err
}
