package gateway

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"onedoor/horizon"
	"onedoor/tenant"
)

// nobody is a ResponseWriter for whoever measures the handler alone.
type nobody struct {
	header http.Header
	status int
}

func (w *nobody) Header() http.Header         { return w.header }
func (w *nobody) Write(b []byte) (int, error) { return len(b), nil }
func (w *nobody) WriteHeader(status int)      { w.status = status }

// SetReadDeadline is there because the server's has it: without it each step
// that reads a body would pay for two errors.
func (w *nobody) SetReadDeadline(time.Time) error { return nil }

// BenchmarkRelayHandler is the door's own work for a relayed response: all that
// net/http does before and after is not in it.
func BenchmarkRelayHandler(b *testing.B) {
	for _, level := range []slog.Level{slog.LevelWarn, slog.LevelInfo} {
		b.Run(fmt.Sprintf("log=%s", level), func(b *testing.B) {
			h := New(Options{
				PublicOrigin: testOrigin,
				Directory: &tenant.Directory{
					Registry: tenant.Labels{"acme": {}},
					Apps:     []*tenant.App{{Name: "atlas", Site: mustTemplate(b, "https://{tenant}.example.com"), Callbacks: []string{"/api/auth/callback"}}},
				},
				Log: slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: level})),
			}).Handler(&horizon.Listener{Public: []string{testOrigin}, TLS: true})
			r, err := http.NewRequest(http.MethodGet, "/tenants/acme/callback?code=abc&state=def", nil)
			if err != nil {
				b.Fatal(err)
			}
			r.RequestURI, r.Host, r.RemoteAddr = r.URL.String(), "auth.example.com", "192.0.2.1:4711"
			b.ReportAllocs()
			for b.Loop() {
				w := nobody{header: http.Header{}}
				if h.ServeHTTP(&w, r); w.status != http.StatusFound {
					b.Fatal(w.status)
				}
			}
		})
	}
}

func mustTemplate(b *testing.B, text string) tenant.Template {
	b.Helper()
	t, err := tenant.ParseTemplate(text, tenant.Environment{})
	if err != nil {
		b.Fatal(err)
	}
	return t
}
