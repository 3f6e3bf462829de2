package provider

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/secure/precis"
)

// Argon2id as OWASP's password storage cheat sheet has it first: 19 MiB, two
// passes, one lane.
const (
	argonMemory = 19 * 1024 // KiB
	argonTime   = 2
	argonLanes  = 1
	saltSize    = 16
	hashSize    = 32
	// hashesAtOnce bounds the memory of logins: four take 76 MiB.
	hashesAtOnce = 4
	// Bounds of what people may choose.
	minPassword = 8
	maxPassword = 1024 // octets: more only burns time
)

// nobody is the hash that is compared where there is no such user, so that the
// answer takes as long as for one (THREATS T-72). Nothing hashes to it.
var nobody = phc(make([]byte, saltSize), make([]byte, hashSize))

func phc(salt, hash []byte) string {
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt), b64(hash))
}

// hashPassword returns the Argon2id hash of a password in PHC form.
func hashPassword(password string) (string, error) {
	prepared, err := preparePassword(password)
	if err != nil {
		return "", err
	}
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	return phc(salt, argon2.IDKey(prepared, salt, argonTime, argonMemory, argonLanes, hashSize)), nil
}

// preparePassword brings what different keyboards send for one password to one
// form (RFC 8265 §4.2), and checks its length.
func preparePassword(password string) ([]byte, error) {
	if len(password) > maxPassword {
		return nil, fmt.Errorf("a password has at most %d octets", maxPassword)
	}
	text, err := precis.OpaqueString.String(password)
	if err != nil {
		return nil, errors.New("a password holds no control characters and is not empty")
	}
	if len([]rune(text)) < minPassword {
		return nil, fmt.Errorf("a password has at least %d characters", minPassword)
	}
	return []byte(text), nil
}

// samePassword says whether hash is the password's. It always takes the time of
// one hash.
func (p *Provider) samePassword(ctx context.Context, password, hash string) (bool, error) {
	if err := p.hashing.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer p.hashing.Release(1)
	prepared, err := preparePassword(password)
	if err != nil {
		prepared, hash = []byte("no such password"), nobody
	}
	var version int
	var memory, passes uint32
	var lanes uint8
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errors.New("a password hash in the database is damaged")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &lanes); err != nil ||
		version != argon2.Version || memory > 1<<20 || passes < 1 || passes > 16 || lanes < 1 {
		return false, errors.New("a password hash in the database is damaged")
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	want, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(want) == 0 {
		return false, errors.New("a password hash in the database is damaged")
	}
	got := argon2.IDKey(prepared, salt, passes, memory, lanes, uint32(len(want))) //nolint:gosec // tens of octets
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
