package admin_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/admin"
)

// timed is a listener whose connections know until when they are read from.
type timed struct{ net.Listener }

func (l timed) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &timedConn{Conn: c}, err
}

type timedConn struct {
	net.Conn
	until atomic.Pointer[time.Time]
}

func (c *timedConn) SetReadDeadline(t time.Time) error {
	c.until.Store(&t)
	return c.Conn.SetReadDeadline(t)
}

// TestAnAnswerMayTakeLongerThanABody: while an answer is made the server reads
// on, to see whether the caller is still there. A deadline that passed then ended
// the request, and cut an export of many tenants off in its middle.
func TestAnAnswerMayTakeLongerThanABody(t *testing.T) {
	type conn struct{}
	asked := false
	b := makeBed(t, func(o *admin.Options) {
		o.OpenMetrics = true
		o.Metrics = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			asked = true
			if until := r.Context().Value(conn{}).(*timedConn).until.Load(); until != nil && !until.IsZero() {
				t.Errorf("reading ends at %s", until)
			}
		})
	})
	server := httptest.NewUnstartedServer(b.API)
	server.Listener = timed{server.Listener}
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, conn{}, c)
	}
	server.Start()
	b.url = server.URL
	b.ask("GET", "/metrics", "").is(200, "")
	server.Close() // and waits for the handler
	if !asked {
		t.Error("nobody was asked")
	}
}
