package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// Limits of a connection. There is none for a whole request or answer: large
// bodies, event streams and WebSockets take as long as they take.
const (
	maxHeader     = 64 << 10 // octets of request line and header fields; a target too long for us gets our own 414
	headerTimeout = 10 * time.Second
	idleTimeout   = 3 * time.Minute // longer than balancers keep theirs, so that they and not we close
)

// NewServer makes the server of one listener: HTTP/1 and HTTP/2, the latter
// also without TLS for those who know that we speak it (RFC 9113 §3.3).
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	s := &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            headerTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeader,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" has a Host to judge, too
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Protocols:                    new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}
