package main

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateAge is how long a certificate is used before its files are looked
// at again. Renewals come days before the old one ends.
const certificateAge = 10 * time.Second

// certificate is a pair of files that may be renewed while the door runs. It
// looks at them by itself: a renewal must not wait until somebody has mended a
// mistake in the configuration.
type certificate struct {
	log *slog.Logger

	mu      sync.Mutex
	current pair
	looked  time.Time
}

// pair is a certificate and where it is from.
type pair struct {
	certFile, keyFile string
	modified          [2]time.Time
	certificate       *tls.Certificate
}

// newCertificate reads a pair, which must be good at the start; a later one that
// is not leaves the old one in use.
func newCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	p, err := pair{}.read(certFile, keyFile)
	if err != nil {
		return nil, err
	}
	return &certificate{log: log, current: p, looked: time.Now()}, nil
}

// config is the TLS of a listener with that certificate.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}
}

func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > certificateAge {
		c.looked = time.Now()
		switch next, err := c.current.read(c.current.certFile, c.current.keyFile); {
		case err != nil:
			c.log.Error("certificate not renewed", slog.String("error", err.Error()))
		case next.certificate != c.current.certificate:
			c.current = next
			c.log.Info("certificate renewed", slog.String("cert_file", next.certFile))
		}
	}
	return c.current.certificate
}

// use puts another pair in the place of the present one.
func (c *certificate) use(p pair) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.looked = p, time.Now()
}

// read reads the files, unless p is from them and they have not changed.
func (p pair) read(certFile, keyFile string) (pair, error) {
	next := pair{certFile: certFile, keyFile: keyFile}
	for i, name := range []string{certFile, keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return p, fmt.Errorf("tls: %w", err)
		}
		next.modified[i] = info.ModTime()
	}
	if p.certificate != nil && p.certFile == certFile && p.keyFile == keyFile && p.modified == next.modified {
		return p, nil
	}
	read, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return p, fmt.Errorf("tls: %s and %s: %w", certFile, keyFile, err)
	}
	next.certificate = &read
	return next, nil
}
