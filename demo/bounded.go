package demo

import (
	"slices"
	"sync"
	"time"
)

// bounded keeps at most max values, each for ttl; the oldest goes first. What
// visitors can make more of must not fill the memory.
type bounded[V any] struct {
	max int
	ttl time.Duration
	now func() time.Time

	mu     sync.Mutex
	values map[string]dated[V]
	order  []string
}

type dated[V any] struct {
	value V
	until time.Time
}

func newBounded[V any](most int, ttl time.Duration, now func() time.Time) *bounded[V] {
	return &bounded[V]{max: most, ttl: ttl, now: now, values: map[string]dated[V]{}}
}

func (b *bounded[V]) put(key string, v V) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.values[key]; !ok {
		if len(b.order) == b.max {
			delete(b.values, b.order[0])
			b.order = b.order[1:]
		}
		b.order = append(b.order, key)
	}
	b.values[key] = dated[V]{v, b.now().Add(b.ttl)}
}

func (b *bounded[V]) get(key string) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.values[key]
	if !ok || b.now().After(d.until) {
		var none V
		return none, false
	}
	return d.value, true
}

// take is get that leaves nothing behind: of many who ask, one gets it.
func (b *bounded[V]) take(key string) (V, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d, ok := b.values[key]
	if ok {
		delete(b.values, key)
		if i := slices.Index(b.order, key); i >= 0 {
			b.order = slices.Delete(b.order, i, i+1)
		}
	}
	if !ok || b.now().After(d.until) {
		var none V
		return none, false
	}
	return d.value, true
}
