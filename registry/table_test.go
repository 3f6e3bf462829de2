package registry

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
)

// memory is what a table really takes: its count of it must be right.
func (t *table) memory() (octets int64) {
	octets = shardCount * 8
	for i := range t.shards {
		if s := t.shards[i].Load(); s != nil {
			octets += s.octets()
		}
	}
	return octets
}

// A table answers as a Go map does.
func TestATableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newTable(), map[string]string{}
		key := rapid.OneOf(rapid.StringMatching(`[ab]{0,3}`), rapid.StringN(0, 200, 200))
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				k, v := key.Draw(t, "key"), rapid.StringN(1, 40, 300).Draw(t, "value")
				if !table.put([]byte(k), []byte(v)) {
					t.Fatal("no room")
				}
				model[k] = v
			},
			"remove": func(t *rapid.T) {
				k := key.Draw(t, "key")
				_, there := model[k]
				if table.remove([]byte(k)) != there {
					t.Fatalf("removing %q: there was %v", k, there)
				}
				delete(model, k)
			},
			"trim": func(*rapid.T) { table.trim() },
			"": func(t *rapid.T) {
				if table.count.Load() != int64(len(model)) || table.size.Load() != table.memory() {
					t.Fatalf("%d entries, %d octets; want %d, %d", table.count.Load(), table.size.Load(), len(model), table.memory())
				}
				for k, v := range model {
					if got, ok := table.getString(k); !ok || string(got) != v {
						t.Fatalf("%q is %q, %v; want %q", k, got, ok, v)
					}
				}
				k := key.Draw(t, "asked")
				_, there := model[k]
				if _, ok := table.get([]byte(k)); ok != there {
					t.Fatalf("%q: %v, want %v", k, ok, there)
				}
			},
		})
	})
}

// One shard takes thousands of changes, so that it is written anew many times.
func TestATableForgetsWhatIsGone(t *testing.T) {
	table, model := newTable(), map[string]string{}
	r := rand.New(rand.NewPCG(1, 2))
	var most int64
	for i := range 200_000 {
		k := fmt.Sprintf("t%05d", r.IntN(20_000))
		if r.IntN(4) == 0 {
			table.remove([]byte(k))
			delete(model, k)
		} else {
			v := strings.Repeat("v", 1+r.IntN(30))
			table.put([]byte(k), []byte(v))
			model[k] = v
		}
		if i > 100_000 {
			most = max(most, table.size.Load())
		}
	}
	for k, v := range model {
		if got, _ := table.getString(k); string(got) != v {
			t.Fatalf("%q is %q, want %q", k, got, v)
		}
	}
	if per := most / int64(len(model)); per > 100 { // 23 octets of entry on average, as much of what is gone, slots
		t.Errorf("%d octets for each of %d entries", per, len(model))
	}
	for k := range maps.Keys(model) {
		table.remove([]byte(k))
	}
	table.trim()
	if table.count.Load() != 0 || table.size.Load() > shardCount*400 {
		t.Errorf("%d entries and %d octets are left", table.count.Load(), table.size.Load())
	}
}

func TestAFullShardTakesNoMore(t *testing.T) {
	table := newTable()
	value := make([]byte, 1<<20)
	refused := 0
	for i := 0; refused == 0; i++ {
		k := fmt.Appendf(nil, "k%d", i)
		if shardOf(table.hash(k)) != 0 {
			continue // 4 GB are many; one shard shows it
		}
		if !table.put(k, value) {
			refused++
			if _, ok := table.get(k); ok {
				t.Fatal("it was refused and is there")
			}
		}
	}
	if s := table.shards[0].Load(); s.live < 15 || s.used > maxArena {
		t.Errorf("%d there, %d octets", s.live, s.used)
	}
}

// Readers see a value as it was or as it is, and what stays is always found.
func TestReadersNeverWaitAndNeverSeeHalfAValue(t *testing.T) {
	table := newTable()
	const keys = 3000
	key := func(i int) []byte { return fmt.Appendf(nil, "tenant-%d", i) }
	value := func(n int) []byte { return []byte(strings.Repeat(string(rune('a'+n%26)), 1+n%50)) }
	for i := range keys {
		table.put(key(i), value(i))
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for !done.Load() {
				i := r.IntN(keys)
				v, ok := table.get(key(i))
				if !ok && i%3 != 0 { // those are removed and come back
					t.Errorf("%d is not there", i)
					return
				}
				if slices.ContainsFunc(v, func(c byte) bool { return c != v[0] }) {
					t.Errorf("half of one value and half of another: %q", v)
					return
				}
			}
		})
	}
	for n := range 40_000 {
		switch i := (n * 7919) % keys; {
		case i%3 == 0 && n%2 == 0:
			table.remove(key(i))
		default:
			table.put(key(i), value(n))
		}
	}
	done.Store(true)
	wg.Wait()
}
