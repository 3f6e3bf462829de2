package gateway

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"
)

// Limits bound what callers can take of the door, and a provider that is slow.
// Zeroes are the defaults. There is none for a whole request or answer: large
// bodies, event streams and WebSockets take as long as they take, as long as
// something comes and goes.
type Limits struct {
	HeaderSize int   // octets of request line and header fields; 64 KiB
	URLLength  int   // octets of a request's path and query; 16 KiB. Many servers before and behind us accept 8 KB
	FormSize   int   // octets of a body that the door reads; 64 KiB
	BodySize   int64 // octets of a body that it passes on; 64 MiB

	HeaderTimeout time.Duration // for a request's header; 10 s
	FormTimeout   time.Duration // for a body that the door reads; 20 s
	ReadTimeout   time.Duration // for the next octets of a body that it passes on; 1 min
	WriteTimeout  time.Duration // for a caller to take the next octets of an answer; 1 min
	IdleTimeout   time.Duration // without a request; 3 min, longer than balancers keep theirs, so that they and not we close
}

func (l Limits) withDefaults() Limits {
	l.HeaderSize = cmp.Or(l.HeaderSize, 64<<10)
	l.URLLength = cmp.Or(l.URLLength, 16<<10)
	l.FormSize = cmp.Or(l.FormSize, 64<<10)
	l.BodySize = cmp.Or(l.BodySize, 64<<20)
	l.HeaderTimeout = cmp.Or(l.HeaderTimeout, 10*time.Second)
	l.FormTimeout = cmp.Or(l.FormTimeout, 20*time.Second)
	l.ReadTimeout = cmp.Or(l.ReadTimeout, time.Minute)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, time.Minute)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 3*time.Minute)
	return l
}

// NewServer makes the server of one listener: HTTP/1 and HTTP/2, the latter
// also without TLS for those who know that we speak it (RFC 9113 §3.3). Its
// sockets are to be wrapped by Connections, which keep WriteTimeout.
func NewServer(h http.Handler, log *slog.Logger, l Limits) *http.Server {
	l = l.withDefaults()
	s := &http.Server{
		Handler:                      h,
		ReadHeaderTimeout:            l.HeaderTimeout,
		IdleTimeout:                  l.IdleTimeout,
		MaxHeaderBytes:               l.HeaderSize,
		DisableGeneralOptionsHandler: true, // "OPTIONS *" has a Host to judge, too
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		Protocols:                    new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	return s
}
