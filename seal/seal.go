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
//
// Reading starts at [Ring.Seal] and [Ring.Open]; ring.go has the keys, and
// box.go what encrypts them where they are kept.
package seal

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// version is the first octet of every sealed value.
const version = 1

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

// ErrKeyUnread says of a value that it names a key which is not in the ring and
// could not be looked for either: at another moment, or another replica, it may
// open.
var ErrKeyUnread = errors.New("sealed value names a key that could not be looked for")

// ErrStale says that one of the keys may have been revoked by now. At another
// moment, or another replica, the value may open.
var ErrStale = errors.New("nobody has confirmed the sealing keys for too long: one may have been revoked since")

// ErrExpired wraps ErrOpen for a value that is authentic and too old: the door
// can still say to which site the person may go back to begin again.
var ErrExpired = fmt.Errorf("sealed value has expired: %w", ErrOpen)

// Seal seals the value for a purpose and a context (the issuer: a value sealed
// for one provider does not open for another). Nonces are 192 random bits, so
// no number of values wears a key out.
func (r *Ring) Seal(p Purpose, context string, value []byte) string {
	now := r.now()
	k := r.current.Load().sealing(now)
	const head = 2 + chacha20poly1305.NonceSizeX
	size := head + 8 + len(value) + chacha20poly1305.Overhead
	out := make([]byte, head, size+base64.RawURLEncoding.EncodedLen(size)) // the text goes behind
	out[0], out[1] = version, k.id
	nonce := out[2:head]
	_, _ = rand.Read(nonce) // never returns an error (crypto/rand since Go 1.24)
	out = binary.BigEndian.AppendUint64(out, uint64(now.Unix()))
	out = append(out, value...)
	plain := out[head:] // sealed where it lies
	k.aeads[p].Seal(plain[:0], nonce, plain, aad(p, k.id, context))
	return string(base64.RawURLEncoding.AppendEncode(out[size:size], out[:size]))
}

var strict = base64.RawURLEncoding.Strict()

// Open returns what was sealed not longer than ttl ago. For a value that is
// authentic and older it returns the value and ErrExpired; for any other
// failure nothing and ErrOpen, ErrKeyUnread or ErrStale.
func (r *Ring) Open(p Purpose, context, text string, ttl time.Duration) ([]byte, error) {
	if len(text) > MaxText {
		return nil, ErrOpen
	}
	raw, err := strict.DecodeString(text)
	if err != nil || string(base64.RawURLEncoding.AppendEncode(nil, raw)) != text {
		return nil, ErrOpen // DecodeString, even Strict, skips \r and \n: one value, many texts
	}
	const head = 2 + chacha20poly1305.NonceSizeX
	if len(raw) < head+8+chacha20poly1305.Overhead || raw[0] != version {
		return nil, ErrOpen
	}
	k, err := r.find(raw[1])
	if err != nil {
		return nil, err
	}
	if err := r.Usable(); err != nil {
		return nil, err
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
