package provider

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"onedoor/store"
)

const rsaBits = 2048

// signingAlgs are those of our keys, and so the only ones that a token of ours
// can have.
var signingAlgs = []jose.SignatureAlgorithm{jose.ES256, jose.RS256}

// keyRing holds the private keys that the provider signs with.
type keyRing struct {
	store *store.DB
	now   func() time.Time
	rsa   chan struct{} // closed when the RSA key is there, or cannot be had

	mu   sync.RWMutex
	keys []jose.JSONWebKey
}

// newKeyRing reads the keys, and makes the elliptic one if there is none.
func newKeyRing(ctx context.Context, db *store.DB, now func() time.Time) (*keyRing, error) {
	k := &keyRing{store: db, now: now, rsa: make(chan struct{})}
	if err := k.read(ctx); err != nil || k.has(jose.ES256) {
		return k, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	return k, k.add(ctx, jose.ES256, key)
}

// makeRSA makes the RSA key if there is none: a fraction of a second of work
// that the start need not wait for.
func (k *keyRing) makeRSA(ctx context.Context, log *slog.Logger) {
	defer close(k.rsa)
	if k.has(jose.RS256) {
		return
	}
	key, err := rsa.GenerateKey(rand.Reader, rsaBits)
	if err == nil {
		err = k.add(ctx, jose.RS256, key)
	}
	if err != nil && ctx.Err() == nil {
		log.Error("no RSA key: clients that ask for RS256 cannot log in", "error", err)
	}
}

// wait waits until there is a key of that algorithm, or there will be none.
func (k *keyRing) wait(ctx context.Context, alg jose.SignatureAlgorithm) {
	if alg != jose.RS256 {
		return
	}
	select {
	case <-k.rsa:
	case <-ctx.Done():
	}
}

func (k *keyRing) has(alg jose.SignatureAlgorithm) bool {
	for _, key := range k.all() {
		if key.Algorithm == string(alg) {
			return true
		}
	}
	return false
}

// all returns the private keys; of each algorithm's the first signs.
func (k *keyRing) all() []jose.JSONWebKey {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys
}

// add stores key and reads back what counts: another replica may have been
// faster.
func (k *keyRing) add(ctx context.Context, alg jose.SignatureAlgorithm, key crypto.Signer) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	public := jose.JSONWebKey{Key: key.Public()}
	thumb, err := public.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	err = k.store.AddFirstSigningKey(ctx, store.SigningKey{
		ID: base64.RawURLEncoding.EncodeToString(thumb), Alg: string(alg), PrivateKey: der, CreatedAt: k.now().Unix(),
	})
	if err != nil {
		return fmt.Errorf("signing key: %w", err)
	}
	return k.read(ctx)
}

func (k *keyRing) read(ctx context.Context) error {
	stored, err := k.store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("signing keys: %w", err)
	}
	keys := make([]jose.JSONWebKey, 0, len(stored))
	for _, s := range stored {
		key, err := x509.ParsePKCS8PrivateKey(s.PrivateKey)
		if err != nil {
			return fmt.Errorf("signing key %q in the database is damaged", s.ID)
		}
		keys = append(keys, jose.JSONWebKey{Key: key, KeyID: s.ID, Algorithm: s.Alg, Use: "sig"})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
	return nil
}

// idToken is what a hint says. A hint is an ID token that we signed at any time:
// whether it has expired says nothing about who is meant (OIDC RP-Initiated
// Logout §2: "the OP SHOULD accept ID Tokens … even when the exp time has
// passed").
type idToken struct {
	Subject  string
	Audience []string
	SID      string
}

// readHint returns what an id_token_hint says, or an error where it is not an ID
// token of ours.
func (p *Provider) readHint(hint string) (idToken, error) {
	token, err := jwt.ParseSigned(hint, signingAlgs)
	if err != nil {
		return idToken{}, fmt.Errorf("id_token_hint: %w", err)
	}
	var claims jwt.Claims
	var more struct {
		SID     string `json:"sid"`
		GrantID string `json:"grant_id"`
	}
	for _, key := range p.keys.all() {
		if len(token.Headers) != 1 || token.Headers[0].KeyID != key.KeyID {
			continue
		}
		if err := token.Claims(key.Public().Key, &claims, &more); err != nil {
			return idToken{}, fmt.Errorf("id_token_hint: %w", err)
		}
		if claims.Issuer != p.issuer || more.GrantID != "" { // an access token has a grant
			return idToken{}, fmt.Errorf("id_token_hint: not an ID token of ours")
		}
		return idToken{Subject: claims.Subject, Audience: claims.Audience, SID: more.SID}, nil
	}
	return idToken{}, fmt.Errorf("id_token_hint: not signed by us")
}
