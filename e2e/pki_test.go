//go:build e2e && linux

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onedoor/e2e/lab"
)

// pki has a certificate for each mistake that people make with them, by the name
// that a client asks for.
type pki struct {
	file         string // the authority that clients are told to trust
	certificates map[string]*tls.Certificate
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	later, before := time.Now().Add(time.Hour), time.Now().Add(-time.Hour)
	trusted := certify(t, "trusted authority", nil, later, nil)
	private := certify(t, "private authority", nil, later, nil)
	chain := certify(t, "chain", []string{"chain.test"}, later, private)
	chain.Certificate = append(chain.Certificate, private.Certificate...)
	p := &pki{file: filepath.Join(lab.TempDir(t, "pki"), "ca.pem"), certificates: map[string]*tls.Certificate{
		"known.test":       certify(t, "known", []string{"known.test"}, later, trusted),
		"self-signed.test": certify(t, "self-signed", []string{"self-signed.test"}, later, nil),
		"other-name.test":  certify(t, "other", []string{"door.test", "other.test"}, later, trusted),
		"expired.test":     certify(t, "expired", []string{"expired.test"}, before, trusted),
		"private.test":     certify(t, "private", []string{"private.test"}, later, private),
		"chain.test":       chain,
	}}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: trusted.Certificate[0]})
	if err := os.WriteFile(p.file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// certify makes a certificate; without an authority it signs itself, and without
// names it is one.
func certify(t *testing.T, subject string, names []string, until time.Time, by *tls.Certificate) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: subject}, DNSNames: names,
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: until, BasicConstraintsValid: true, IsCA: names == nil,
	}
	if template.IsCA {
		template.KeyUsage = x509.KeyUsageCertSign
	}
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func (p *pki) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return p.certificates[hello.ServerName], nil
}
