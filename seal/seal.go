// Package seal makes the values that the browser carries for us: encrypted and
// authenticated under the door's keys, so that the door needs no session and
// any replica can go on with a login that another began.
//
// A seal says what was asked, never what is allowed: anybody can obtain a valid
// one by starting a login, so whoever opens one asks the registry again. It
// does not tie the value to a browser nor to the provider's code; the binding
// cookie and PKCE do that.
//
// Format, version 1, docs/spec/sealed-values.md:
//
//	base64url( version(1) | key id(1) | nonce(24) | ciphertext | tag(16) )
package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// version is the first octet of every sealed value.
const version = 1

// KeySize is the length of a key in octets.
const KeySize = 32

// MaxText bounds what Open looks at, in characters. Nothing that we seal comes
// near it; a longer text is an attacker's.
const MaxText = 16 << 10

// skew is how far the clocks of two replicas may be apart.
const skew = 60 * time.Second

// Purpose types a value: each purpose has subkeys of its own, so that a state
// can never be taken for a code (THREATS T-31).
type Purpose string

// The purposes there are.
const (
	State  Purpose = "state"  // travels to the provider and back
	Code   Purpose = "code"   // handed to the app in place of the provider's code
	Logout Purpose = "logout" // the state of a logout
	Pushed Purpose = "pushed" // handed to the app in place of the provider's request_uri
	Kept   Purpose = "kept"   // a state that is too long to travel, at rest
)

var purposes = []Purpose{State, Code, Logout, Pushed, Kept}

// ErrOpen is all that Open says of a value that it does not open. Which of key,
// purpose, change or age it was is nobody's business.
var ErrOpen = errors.New("sealed value does not open")

// ErrExpired wraps ErrOpen for a value that is authentic and too old: the door
// can still say to which site the person may go back to begin again.
var ErrExpired = fmt.Errorf("sealed value has expired: %w", ErrOpen)

// Key is one key of the ring. ID stands in clear in each value.
type Key struct {
	ID     byte
	Secret []byte // KeySize octets from crypto/rand
}

// Ring seals with its first key and opens with any of them. A key that only
// opens may go after the longest lifetime of what it sealed.
type Ring struct {
	keys []ringKey
	now  func() time.Time
}

type ringKey struct {
	id      byte
	aeads   map[Purpose]cipher.AEAD
	pkce    *mac
	browser *mac
}

// NewRing makes a ring; the first key is the one that seals.
func NewRing(now func() time.Time, keys ...Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("a key ring needs a key")
	}
	r := &Ring{now: now}
	for _, k := range keys {
		if len(k.Secret) != KeySize {
			return nil, fmt.Errorf("sealing key %d has %d octets, want %d", k.ID, len(k.Secret), KeySize)
		}
		if r.key(k.ID) != nil {
			return nil, fmt.Errorf("sealing key id %d stands twice", k.ID)
		}
		rk := ringKey{id: k.ID, aeads: map[Purpose]cipher.AEAD{}}
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
		if rk.browser, err = newMAC(k.Secret, "browser"); err != nil {
			return nil, err
		}
		r.keys = append(r.keys, rk)
	}
	return r, nil
}

func subkey(secret []byte, label string) ([]byte, error) {
	return hkdf.Key(sha256.New, secret, nil, fmt.Sprintf("onedoor/%d/%s", version, label), KeySize)
}

func (r *Ring) key(id byte) *ringKey {
	for i := range r.keys {
		if r.keys[i].id == id {
			return &r.keys[i]
		}
	}
	return nil
}

// Seal seals the value for a purpose and a context (the issuer: a value sealed
// for one provider does not open for another). Nonces are 192 random bits, so
// no number of values wears a key out.
func (r *Ring) Seal(p Purpose, context string, value []byte) string {
	k := &r.keys[0]
	const head = 2 + chacha20poly1305.NonceSizeX
	out := make([]byte, head, head+8+len(value)+chacha20poly1305.Overhead)
	out[0], out[1] = version, k.id
	nonce := out[2:head]
	_, _ = rand.Read(nonce) // never returns an error (crypto/rand since Go 1.24)
	out = binary.BigEndian.AppendUint64(out, uint64(r.now().Unix()))
	out = append(out, value...)
	plain := out[head:] // sealed where it lies
	sealed := k.aeads[p].Seal(plain[:0], nonce, plain, aad(p, k.id, context))
	return base64.RawURLEncoding.EncodeToString(out[:head+len(sealed)])
}

var strict = base64.RawURLEncoding.Strict()

// Open returns what was sealed not longer than ttl ago. For a value that is
// authentic and older it returns the value and ErrExpired; for any other
// failure nothing and ErrOpen.
func (r *Ring) Open(p Purpose, context, text string, ttl time.Duration) ([]byte, error) {
	if len(text) > MaxText {
		return nil, ErrOpen
	}
	raw, err := strict.DecodeString(text)
	if err != nil || base64.RawURLEncoding.EncodeToString(raw) != text {
		return nil, ErrOpen // DecodeString, even Strict, skips \r and \n: one value, many texts
	}
	const head = 2 + chacha20poly1305.NonceSizeX
	if len(raw) < head+8+chacha20poly1305.Overhead || raw[0] != version {
		return nil, ErrOpen
	}
	k := r.key(raw[1])
	if k == nil {
		return nil, ErrOpen
	}
	plain, err := k.aeads[p].Open(raw[head:head], raw[2:head], raw[head:], aad(p, k.id, context))
	if err != nil || len(plain) < 8 {
		return nil, ErrOpen
	}
	sealed := time.Unix(int64(binary.BigEndian.Uint64(plain)), 0)
	switch age := r.now().Sub(sealed); {
	case age < -skew:
		return nil, ErrOpen
	case age > ttl:
		return plain[8:], ErrExpired
	}
	return plain[8:], nil
}

// aad binds what is outside the ciphertext, and the context, to it. The purpose
// is in the subkey already; here it is for whoever reads the format.
func aad(p Purpose, id byte, context string) []byte {
	b := append(make([]byte, 0, 32+len(context)), "onedoor|"...)
	b = append(strconv.AppendUint(b, version, 10), '|')
	b = append(strconv.AppendUint(b, uint64(id), 10), '|')
	b = append(append(b, p...), '|')
	return append(b, context...)
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
	k := r.key(keyID)
	if k == nil {
		return "", ErrOpen
	}
	return of(k).sum(transaction), nil
}

// mac is HMAC-SHA256 under one key. To set one up costs more than to use it, so
// they are used again.
type mac struct{ keyed sync.Pool }

func newMAC(secret []byte, label string) (*mac, error) {
	key, err := subkey(secret, label)
	if err != nil {
		return nil, err
	}
	return &mac{sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}, nil
}

func (m *mac) sum(b []byte) string {
	h := m.keyed.Get().(hash.Hash)
	defer m.keyed.Put(h)
	h.Reset()
	h.Write(b)
	return encode(h.Sum(make([]byte, 0, sha256.Size)))
}

// Primary is the id of the key that seals.
func (r *Ring) Primary() byte { return r.keys[0].id }

// Challenge is the S256 challenge of a verifier (RFC 7636 §4.2).
func Challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return encode(sum[:])
}

// encode writes the 43 characters of a hash.
func encode(sum []byte) string {
	var text [43]byte
	return string(base64.RawURLEncoding.AppendEncode(text[:0], sum))
}

// NewKey makes a key from crypto/rand.
func NewKey(id byte) Key {
	k := Key{ID: id, Secret: make([]byte, KeySize)}
	_, _ = rand.Read(k.Secret)
	return k
}
