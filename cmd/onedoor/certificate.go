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

// certificate is a pair of files that may be renewed while the door runs.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu       sync.Mutex
	current  *tls.Certificate
	modified [2]time.Time
	looked   time.Time
}

// certificates is the TLS of a listener. The files must be good at the start;
// later ones that are not leave the old pair in use.
func certificates(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil },
	}, nil
}

func (c *certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) > certificateAge {
		before := c.current
		if err := c.load(); err != nil {
			c.log.Error("certificate not renewed", slog.String("error", err.Error()))
		} else if c.current != before {
			c.log.Info("certificate renewed", slog.String("cert_file", c.certFile))
		}
	}
	return c.current
}

// load reads the files where they have changed.
func (c *certificate) load() error {
	c.looked = time.Now()
	var modified [2]time.Time
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return fmt.Errorf("tls: %w", err)
		}
		modified[i] = info.ModTime()
	}
	if c.current != nil && modified == c.modified {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("tls: %s and %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.modified = &pair, modified
	return nil
}
