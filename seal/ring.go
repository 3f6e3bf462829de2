package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// KeySize is the length of a key in octets.
const KeySize = 32

// Key is one key of the ring. ID stands in clear in each value.
type Key struct {
	ID     byte
	Secret []byte // KeySize octets from crypto/rand

	// From is when the key begins to seal, by the clock of this replica; it
	// opens at once. Until then every other replica learns it. The zero time is
	// long ago.
	From time.Time
}

// NewKey makes a key from crypto/rand.
func NewKey(id byte) Key {
	k := Key{ID: id, Secret: make([]byte, KeySize)}
	_, _ = rand.Read(k.Secret)
	return k
}

// Ring seals with one of its keys and opens with any of them. Its keys may be
// changed at any time: each call sees those of one moment, and waits for nobody.
type Ring struct {
	now     func() time.Time
	current atomic.Pointer[keys]
	ask     func(id byte) error
	believe func() bool
}

// keys are never changed.
type keys struct {
	list []*ringKey // the newest first
	byID [256]*ringKey
}

type ringKey struct {
	id      byte
	from    time.Time
	aeads   map[Purpose]cipher.AEAD
	pkce    *mac
	browser *mac
}

// NewRing makes a ring of keys as Set takes them.
func NewRing(now func() time.Time, keys ...Key) (*Ring, error) {
	r := &Ring{now: now}
	return r, r.Set(keys...)
}

// OnUnknown is what the ring does when a value names a key that it does not
// have: ask may Set keys, and then the value is looked at again. An error says
// that it could not look, so that there may be such a key all the same. Anybody
// can write such a value, so ask must bound how often it works, and how long. It
// is set before the ring is used.
func (r *Ring) OnUnknown(ask func(id byte) error) { r.ask = ask }

// OnUse is how the ring knows whether its keys may be believed at this moment.
// While believe says no, one of them may have been revoked: nothing opens, and
// Usable is an error. It is set before the ring is used.
func (r *Ring) OnUse(believe func() bool) { r.believe = believe }

// Usable is ErrStale while the keys may not be believed. Who seals asks first.
func (r *Ring) Usable() error {
	if r.believe != nil && !r.believe() {
		return ErrStale
	}
	return nil
}

// Set puts these keys in the place of all that were there. The first one whose
// time has come seals; where there is none, the last. A key that is left out
// opens nothing any more: it may go after the longest lifetime of what it
// sealed. After an error the keys are those from before.
func (r *Ring) Set(all ...Key) error {
	if len(all) == 0 {
		return errors.New("a key ring needs a key")
	}
	next := &keys{}
	for _, k := range all {
		if len(k.Secret) != KeySize {
			return fmt.Errorf("sealing key %d has %d octets, want %d", k.ID, len(k.Secret), KeySize)
		}
		if next.byID[k.ID] != nil {
			return fmt.Errorf("sealing key id %d stands twice", k.ID)
		}
		rk, err := newRingKey(k)
		if err != nil {
			return err
		}
		next.byID[k.ID] = rk
		next.list = append(next.list, rk)
	}
	r.current.Store(next)
	return nil
}

func newRingKey(k Key) (*ringKey, error) {
	rk := &ringKey{id: k.ID, from: k.From, aeads: map[Purpose]cipher.AEAD{}}
	for _, p := range purposes {
		sub, err := subkey(k.Secret, string(p))
		if err != nil {
			return nil, err
		}
		if rk.aeads[p], err = chacha20poly1305.NewX(sub); err != nil {
			return nil, err
		}
	}
	var err error
	if rk.pkce, err = newMAC(k.Secret, "pkce"); err != nil {
		return nil, err
	}
	rk.browser, err = newMAC(k.Secret, "browser")
	return rk, err
}

func subkey(secret []byte, label string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("onedoor/%d/%s", version, label), KeySize)
}

// sealing is the key that seals at that time.
func (k *keys) sealing(now time.Time) *ringKey {
	last := len(k.list) - 1
	for _, key := range k.list[:last] {
		if !now.Before(key.from) {
			return key
		}
	}
	return k.list[last]
}

// find returns a key by its id. One that another replica has made in this moment
// is asked for.
func (r *Ring) find(id byte) (*ringKey, error) {
	k := r.current.Load().byID[id]
	if k != nil {
		return k, nil
	}
	bad := ErrOpen
	if r.ask != nil && r.ask(id) != nil {
		bad = ErrKeyUnread
	}
	if k = r.current.Load().byID[id]; k == nil {
		return nil, bad
	}
	return k, nil
}

// Primary is the id of the key that seals.
func (r *Ring) Primary() byte {
	k := r.current.Load()
	if len(k.list) == 1 {
		return k.list[0].id
	}
	return k.sealing(r.now()).id
}

// Verifier derives the door's own PKCE verifier of a transaction (RFC 7636
// §4.1: 43 characters) from its id, so that nothing needs to be stored: whoever
// has the sealed value of another transaction gets another verifier, and the
// provider refuses the code (THREATS §3.4). keyID is the one under which the
// transaction was begun; a verifier of a key that is gone is ErrOpen.
func (r *Ring) Verifier(keyID byte, transaction []byte) (string, error) {
	return r.derive(keyID, transaction, func(k *ringKey) *mac { return k.pkce })
}

// Browser derives the secret that the browser which began a transaction keeps
// in a cookie; of another browser nobody can guess it.
func (r *Ring) Browser(keyID byte, transaction []byte) (string, error) {
	return r.derive(keyID, transaction, func(k *ringKey) *mac { return k.browser })
}

func (r *Ring) derive(keyID byte, transaction []byte, of func(*ringKey) *mac) (string, error) {
	k, err := r.find(keyID)
	if err != nil {
		return "", err
	}
	return of(k).sum(transaction), nil
}

// mac is HMAC-SHA256 under one key. To set one up costs more than to use it, so
// they are used again.
type mac struct{ keyed sync.Pool } // of *keyedHash

type keyedHash struct {
	hash.Hash
	out [sha256.Size]byte
}

func newMAC(secret []byte, label string) (*mac, error) {
	key, err := subkey(secret, label)
	if err != nil {
		return nil, err
	}
	return &mac{sync.Pool{New: func() any { return &keyedHash{Hash: hmac.New(sha256.New, key)} }}}, nil
}

func (m *mac) sum(b []byte) string {
	h := m.keyed.Get().(*keyedHash)
	defer m.keyed.Put(h)
	h.Reset()
	h.Write(b)
	return encode(h.Sum(h.out[:0]))
}
