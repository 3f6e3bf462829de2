package registry

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync/atomic"
)

// table maps keys to short values. Any number of goroutines may read while one
// writes, and nobody ever waits: readers see a key as it was or as it is.
//
// It is made for a million entries of some twenty octets. Those live in 256
// shards, each one piece of memory (arena) with the entries one behind the
// other, and one with their places (slots). There is no pointer in either, so
// the collector does not look at them, whatever their number. A shard that is
// full, or holds too much that is gone, is written anew and takes the old one's
// place in one step. That is a ten-thousandth of a second's work, and at no
// time is there more than one shard twice.
type table struct {
	seed   maphash.Seed // of this process: nobody can choose keys that collide
	shards [shardCount]atomic.Pointer[shard]
	count  atomic.Int64 // entries that are there
	size   atomic.Int64 // octets of memory
}

const shardCount = 256

// shard holds the keys whose hash begins with its number.
type shard struct {
	// slots are probed one after the other from where the hash points. A slot
	// is written once its entry is complete, which makes the entry visible; it
	// is read and written atomically. 8 bits of the hash stand above 24 bits of
	// the entry's place in arena.
	slots []uint32
	// arena is only appended to: what a slot has pointed to never changes.
	arena []byte

	// Only the writer looks at these.
	used int // octets of arena
	dead int // of those, octets that no slot points to
	live int // slots that point somewhere
	gone int // slots that did
}

const (
	free    = 0 // nothing was ever here: the search ends
	removed = 1 // something was: the search goes on

	placeBits = 24
	maxArena  = 1 << placeBits // octets of a shard; 256 of them are 4 GB
	firstUsed = 2              // places 0 and 1 would look like free and removed
)

func newTable() *table {
	t := &table{seed: maphash.MakeSeed()}
	t.size.Store(shardCount * 8)
	return t
}

// hash says which shard, which slot first, and which 8 bits mark it.
func (t *table) hash(key []byte) uint64 { return maphash.Bytes(t.seed, key) }

func shardOf(h uint64) int          { return int(h >> 56) }
func mark(h uint64) uint32          { return uint32(h>>48) << placeBits }
func (s *shard) first(h uint64) int { return int(uint64(uint32(h)) * uint64(len(s.slots)) >> 32) }

// get returns the value of a key. It stays as it is for as long as anybody
// holds it, and must not be written to.
func (t *table) get(key []byte) ([]byte, bool) {
	h := t.hash(key)
	s := t.shards[shardOf(h)].Load()
	if s == nil {
		return nil, false
	}
	_, value := s.find(h, key)
	return value, value != nil
}

// getString is get for a key that is a string; nothing is copied.
func (t *table) getString(key string) ([]byte, bool) {
	h := maphash.String(t.seed, key)
	s := t.shards[shardOf(h)].Load()
	if s == nil {
		return nil, false
	}
	_, value := find(s, h, key)
	return value, value != nil
}

func (s *shard) find(h uint64, key []byte) (slot int, value []byte) { return find(s, h, key) }

// find returns the slot of a key and its value, nil where it is not there.
func find[K string | []byte](s *shard, h uint64, key K) (slot int, value []byte) {
	m := mark(h)
	for i := s.first(h); ; i++ {
		if i == len(s.slots) {
			i = 0
		}
		v := atomic.LoadUint32(&s.slots[i])
		if v == free {
			return -1, nil
		}
		if v == removed || v&^(maxArena-1) != m {
			continue
		}
		if k, value, _ := s.entry(int(v & (maxArena - 1))); string(k) == string(key) {
			return i, value
		}
	}
}

// entry reads what stands at a place: the lengths of key and value, key, value.
func (s *shard) entry(at int) (key, value []byte, end int) {
	k, n := binary.Uvarint(s.arena[at:])
	at += n
	v, n := binary.Uvarint(s.arena[at:])
	at += n
	key = s.arena[at : at+int(k)]
	at += int(k)
	end = at + int(v)
	return key, s.arena[at:end:end], end
}

// entrySize is how much of an arena an entry takes.
func entrySize(key, value []byte) int {
	return uvarintLen(len(key)) + uvarintLen(len(value)) + len(key) + len(value)
}

func uvarintLen(n int) int {
	size := 1
	for n >= 0x80 {
		size++
		n >>= 7
	}
	return size
}

// put sets the value of a key. False says that there is no room: the shard
// would grow beyond what a slot can point to.
func (t *table) put(key, value []byte) bool {
	h := t.hash(key)
	p := &t.shards[shardOf(h)]
	s := p.Load()
	need := entrySize(key, value)
	at := -1
	if s != nil {
		at, _ = s.find(h, key)
	}
	if s == nil || s.used+need > min(len(s.arena), maxArena) || (at < 0 && s.full()) {
		next := t.rewrite(s, need, growth)
		if next == nil {
			return false
		}
		if s != nil && at >= 0 {
			at, _ = next.find(h, key)
		}
		p.Store(next)
		s = next
	}
	v := mark(h) | uint32(s.write(key, value))
	if at >= 0 { // the place of the entry before is lost
		_, _, end := s.entry(int(s.slots[at] & (maxArena - 1)))
		s.dead += end - int(s.slots[at]&(maxArena-1))
		atomic.StoreUint32(&s.slots[at], v)
		return true
	}
	s.insert(h, v)
	t.count.Add(1)
	return true
}

// write appends an entry, which nobody sees yet.
func (s *shard) write(key, value []byte) (at int) {
	at = s.used
	b := binary.AppendUvarint(s.arena[:at], uint64(len(key)))
	b = binary.AppendUvarint(b, uint64(len(value)))
	b = append(b, key...)
	b = append(b, value...)
	s.used = len(b)
	return at
}

// insert makes an entry visible whose key is not there.
func (s *shard) insert(h uint64, v uint32) {
	for i := s.first(h); ; i++ {
		if i == len(s.slots) {
			i = 0
		}
		switch s.slots[i] {
		case removed:
			s.gone--
		case free:
		default:
			continue
		}
		atomic.StoreUint32(&s.slots[i], v)
		s.live++
		return
	}
}

// full says whether one more slot would make searches long: seven of eight are
// taken.
func (s *shard) full() bool { return 8*(s.live+s.gone+1) > 7*len(s.slots) }

// remove forgets a key, and says whether it was there.
func (t *table) remove(key []byte) bool {
	h := t.hash(key)
	p := &t.shards[shardOf(h)]
	s := p.Load()
	if s == nil {
		return false
	}
	at, _ := s.find(h, key)
	if at < 0 {
		return false
	}
	place := int(s.slots[at] & (maxArena - 1))
	_, _, end := s.entry(place)
	s.dead += end - place
	atomic.StoreUint32(&s.slots[at], removed)
	s.live--
	s.gone++
	t.count.Add(-1)
	if s.wasteful() {
		if next := t.rewrite(s, 0, growth); next != nil {
			p.Store(next)
		}
	}
	return true
}

// wasteful says whether half of a shard is for what is gone.
func (s *shard) wasteful() bool {
	return 2*s.dead > s.used || (s.gone > 8 && s.gone > s.live)
}

// A shard that is written anew has room for an eighth more: memory that is
// wasted, against how often it is written. After a load, a thirty-second.
const (
	growth = 8
	tight  = 32
)

// rewrite makes a shard of what is left of s, with room for need octets more and
// 1/slack of all. It is nil where that is too much.
func (t *table) rewrite(s *shard, need, slack int) *shard {
	if s == nil {
		s = &shard{used: firstUsed}
	}
	octets := s.used - s.dead + need
	octets += octets/slack + 16
	if s.used-s.dead+need > maxArena {
		return nil
	}
	octets = min(octets, maxArena)
	entries := s.live + 1
	next := &shard{
		// 3/4 full now, or with a tight one 6/7; 7/8 is full.
		slots: roomy[uint32](entries + entries/max(slack/5, 3) + 4),
		arena: roomy[byte](octets),
		used:  firstUsed,
	}
	for _, v := range s.slots {
		if v == free || v == removed {
			continue
		}
		at := int(v & (maxArena - 1))
		key, _, end := s.entry(at)
		place := next.used
		next.used += copy(next.arena[place:], s.arena[at:end])
		h := t.hash(key)
		next.insert(h, mark(h)|uint32(place))
	}
	t.size.Add(next.octets() - s.octets())
	return next
}

// roomy makes a slice of n at least, as long as what the allocator gives for it.
func roomy[E any](n int) []E {
	s := slices.Grow([]E(nil), n)
	return s[:cap(s)]
}

// octets is the memory of a shard.
func (s *shard) octets() int64 {
	if s.slots == nil {
		return 0
	}
	return int64(cap(s.arena)) + 4*int64(cap(s.slots)) + shardHeader
}

const shardHeader = 80 // two slices and four numbers

// trim gives back the room that a load left over.
func (t *table) trim() {
	for i := range t.shards {
		if s := t.shards[i].Load(); s != nil {
			if next := t.rewrite(s, 0, tight); next != nil {
				t.shards[i].Store(next)
			}
		}
	}
}
