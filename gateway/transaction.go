package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"onedoor/seal"
)

// pkce says whose PKCE binds a transaction at the provider.
type pkce byte

const (
	pkceNone   pkce = iota // a provider without PKCE, by the operator's explicit leave
	pkceDoor               // ours: the app sent none
	pkceClient             // the app's own; we never see its verifier before the token request
)

// transaction is one login in progress. It travels as the sealed state to the
// provider and back, and then, with the provider's code, as the sealed code to
// the app. docs/spec/sealed-values.md has its octets.
type transaction struct {
	clientID    string
	redirectURI string   // the app's own, byte for byte; in a code its SHA-256
	tenantID    string   // not the label, which may be given to somebody else
	id          [16]byte // random
	keyID       byte     // of the key from which our verifier is derived
	pkce        pkce
	formPost    bool
	bound       bool   // to the browser that began it
	state       string // the app's own
	hasState    bool   // absent is not empty
	kept        bool   // the state is too long to travel and is kept in the States, under id
	code        string // the provider's: in a sealed code its code, in a pushed request its request_uri
}

func newTransaction(ring *seal.Ring) transaction {
	t := transaction{keyID: ring.Primary()}
	_, _ = rand.Read(t.id[:]) // never returns an error (crypto/rand since Go 1.24)
	return t
}

// The octets of the flags.
const (
	flagState byte = 1 << iota
	flagFormPost
	flagBound
	flagKept
)

var errPayload = errors.New("sealed payload has another shape")

// encode writes the transaction in a fixed order, each text behind its length.
func (t *transaction) encode() []byte {
	b := make([]byte, 0, 64+len(t.clientID)+len(t.redirectURI)+len(t.tenantID)+len(t.state)+len(t.code))
	var flags byte
	if t.hasState {
		flags |= flagState
	}
	if t.formPost {
		flags |= flagFormPost
	}
	if t.bound {
		flags |= flagBound
	}
	if t.kept {
		flags |= flagKept
	}
	b = append(b, flags, byte(t.pkce), t.keyID)
	b = append(b, t.id[:]...)
	for _, s := range []string{t.clientID, t.redirectURI, t.tenantID, t.state, t.code} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

func decodeTransaction(b []byte) (transaction, error) {
	var t transaction
	if len(b) < 3+len(t.id) {
		return t, errPayload
	}
	flags := b[0]
	t.pkce, t.keyID = pkce(b[1]), b[2]
	t.hasState, t.formPost = flags&flagState != 0, flags&flagFormPost != 0
	t.bound, t.kept = flags&flagBound != 0, flags&flagKept != 0
	b = b[3:]
	b = b[copy(t.id[:], b):]
	text := string(b)
	for _, s := range []*string{&t.clientID, &t.redirectURI, &t.tenantID, &t.state, &t.code} {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return t, errPayload
		}
		// The texts share one copy of b.
		*s, b, text = text[used:used+int(n)], b[used+int(n):], text[used+int(n):]
	}
	if len(b) != 0 {
		return t, errPayload
	}
	return t, nil
}

// forCode is the part of the transaction that the token request needs, with the
// provider's code in it. The redirect URI shrinks to its hash: the app sends it
// again, and the sealed code stays short.
func (t *transaction) forCode(code string) transaction {
	sum := sha256.Sum256([]byte(t.redirectURI))
	return transaction{
		clientID: t.clientID, redirectURI: string(sum[:]), tenantID: t.tenantID,
		id: t.id, keyID: t.keyID, pkce: t.pkce, code: code,
	}
}

// isFor says whether a sealed code belongs to that redirect URI.
func (t *transaction) isFor(redirectURI string) bool {
	sum := sha256.Sum256([]byte(redirectURI))
	return t.redirectURI == string(sum[:])
}
