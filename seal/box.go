package seal

import (
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// Box encrypts what lies in the database: the keys that the door seals with and
// those that the embedded provider signs with. Whoever has the database alone,
// from a backup or a disk, then has none of them.
//
// It encrypts under its first key and decrypts with any. A nil Box encrypts
// nothing, and reads what is not encrypted; every Box does that too, so that
// encryption can begin on a database that is in use.
//
// Format, version 1, docs/spec/sealed-values.md:
//
//	"box1:" key name ":" base64url( nonce(24) | ciphertext | tag(16) )
type Box struct{ keys []boxKey }

type boxKey struct {
	name string // 8 characters that tell keys apart and nothing about them
	aead cipher.AEAD
}

const boxPrefix = "box1:"

// ErrOtherKey is a value that is encrypted under a key that is not given.
var ErrOtherKey = errors.New("is encrypted under another encryption_key")

// ErrDamaged is a value that is not what was encrypted for its place.
var ErrDamaged = errors.New("is damaged, or belongs to another place")

// NewBox makes a Box of keys of KeySize octets.
func NewBox(secrets ...[]byte) (*Box, error) {
	if len(secrets) == 0 {
		return nil, errors.New("encryption needs a key")
	}
	b := &Box{}
	for _, secret := range secrets {
		if err := checkBoxKey(secret); err != nil {
			return nil, err
		}
		name, err := hkdf.Key(sha256.New, secret, nil, "onedoor/box/1/name", 6)
		if err != nil {
			return nil, err
		}
		sub, err := hkdf.Key(sha256.New, secret, nil, "onedoor/box/1/encrypt", KeySize)
		if err != nil {
			return nil, err
		}
		k := boxKey{name: base64.RawURLEncoding.EncodeToString(name)}
		if b.key(k.name) != nil {
			return nil, errors.New("a key stands twice")
		}
		if k.aead, err = chacha20poly1305.NewX(sub); err != nil {
			return nil, err
		}
		b.keys = append(b.keys, k)
	}
	return b, nil
}

// ParseBoxKey reads a key as operators write it: 32 octets in base64, of either
// alphabet, padded or not. No error has anything of the text in it.
func ParseBoxKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	secret, err := base64.RawStdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errors.New("is not base64")
	}
	return secret, checkBoxKey(secret)
}

// FormatBoxKey writes a key as ParseBoxKey reads it.
func FormatBoxKey(secret []byte) string { return base64.StdEncoding.EncodeToString(secret) }

// fewOctets is how many different octets a random key has at the least: 32
// random ones have fewer than 20 less than once in 10^12.
const fewOctets = 20

// checkBoxKey refuses what nobody drew at random: a password in base64, a
// pattern, zeroes.
func checkBoxKey(secret []byte) error {
	if len(secret) != KeySize {
		return fmt.Errorf("has %d octets, and %d are needed", len(secret), KeySize)
	}
	different, text := map[byte]bool{}, true
	for _, c := range secret {
		different[c] = true
		text = text && c >= ' ' && c <= '~'
	}
	if text || len(different) < fewOctets {
		return errors.New("is not random")
	}
	return nil
}

func (b *Box) key(name string) *boxKey {
	for i := range b.keys {
		if b.keys[i].name == name {
			return &b.keys[i]
		}
	}
	return nil
}

// Seal encrypts a value for a place, such as "secrets/seal/7": taken to
// another place, it does not open.
func (b *Box) Seal(place string, value []byte) string {
	if b == nil {
		return base64.StdEncoding.EncodeToString(value)
	}
	k := &b.keys[0]
	out := make([]byte, chacha20poly1305.NonceSizeX, chacha20poly1305.NonceSizeX+len(value)+chacha20poly1305.Overhead)
	_, _ = rand.Read(out) // never returns an error (crypto/rand since Go 1.24)
	out = k.aead.Seal(out, out, value, k.aad(place))
	return boxPrefix + k.name + ":" + base64.RawURLEncoding.EncodeToString(out)
}

// Open gives back the value. The error is ErrOtherKey, with the name of the
// key that is needed, or ErrDamaged.
func (b *Box) Open(place, text string) ([]byte, error) {
	rest, encrypted := strings.CutPrefix(text, boxPrefix)
	if !encrypted {
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, ErrDamaged
		}
		return value, nil
	}
	name, body, _ := strings.Cut(rest, ":")
	if b == nil || b.key(name) == nil {
		return nil, fmt.Errorf("%w: one of the name %q", ErrOtherKey, name)
	}
	k := b.key(name)
	raw, err := strict.DecodeString(body)
	if err != nil || len(raw) < chacha20poly1305.NonceSizeX {
		return nil, ErrDamaged
	}
	value, err := k.aead.Open(nil, raw[:chacha20poly1305.NonceSizeX], raw[chacha20poly1305.NonceSizeX:], k.aad(place))
	if err != nil {
		return nil, ErrDamaged
	}
	return value, nil
}

// Current says whether a value is encrypted as Seal would do it now: under
// the first key, or with a nil Box not at all.
func (b *Box) Current(text string) bool {
	rest, encrypted := strings.CutPrefix(text, boxPrefix)
	name, _, _ := strings.Cut(rest, ":")
	if b == nil {
		return !encrypted
	}
	return encrypted && name == b.keys[0].name
}

// Name is that of the key that encrypts; "" for a nil Box.
func (b *Box) Name() string {
	if b == nil {
		return ""
	}
	return b.keys[0].name
}

func (k *boxKey) aad(place string) []byte { return []byte("onedoor/box/1|" + k.name + "|" + place) }
