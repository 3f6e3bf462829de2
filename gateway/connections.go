package gateway

import (
	"container/list"
	"net"
	"net/http"
	"sync"
	"time"
)

// Connections bounds how many connections several servers have open together,
// and how long a caller may leave an answer lying.
//
// Where all are taken, the one that has been idle longest is closed for the next
// that comes: nobody loses a request by it. While none is idle, the next one
// waits, and those behind it wait in the kernel's queue.
type Connections struct {
	limit        int
	writeTimeout time.Duration

	mu    sync.Mutex
	freed sync.Cond
	open  int
	idle  list.List // of *conn, the longest idle first
}

// NewConnections bounds connections to limit.
func NewConnections(limit int, l Limits) *Connections {
	c := &Connections{limit: limit, writeTimeout: l.withDefaults().WriteTimeout}
	c.freed.L = &c.mu
	return c
}

// Open is how many connections there are at this moment.
func (c *Connections) Open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open
}

// Bound makes the server's connections from that socket some of these. The
// result is the socket that the server is to serve.
func (c *Connections) Bound(s *http.Server, socket net.Listener) net.Listener {
	s.ConnState = c.changed
	return &boundListener{Listener: socket, all: c}
}

// changed implements http.Server.ConnState.
func (c *Connections) changed(nc net.Conn, state http.ConnState) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // TLS lies around ours
		nc = t.NetConn()
	}
	own, ok := nc.(*conn)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if own.idle != nil {
		c.idle.Remove(own.idle)
		own.idle = nil
	}
	if state == http.StateIdle && !own.closed {
		own.idle = c.idle.PushBack(own)
		c.freed.Broadcast() // it can make room
	}
}

// enter waits for room, and says whether there is some before the listener is
// closed.
func (c *Connections) enter(l *boundListener) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.open >= c.limit && !l.closed {
		oldest := c.idle.Front()
		if oldest == nil {
			c.freed.Wait()
			continue
		}
		own := c.idle.Remove(oldest).(*conn)
		own.idle = nil
		c.leave(own)
		go func() { _ = own.Conn.Close() }() // TLS or the kernel may take their time
	}
	if l.closed {
		return false
	}
	c.open++
	return true
}

// leave counts a connection out, once. c.mu is held.
func (c *Connections) leave(own *conn) {
	if own.closed {
		return
	}
	own.closed = true
	if own.idle != nil {
		c.idle.Remove(own.idle)
		own.idle = nil
	}
	c.open--
	c.freed.Broadcast()
}

// boundListener is a socket whose connections are counted.
type boundListener struct {
	net.Listener
	all    *Connections
	closed bool // all.mu is held
}

// Accept implements net.Listener.
func (l *boundListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.all.enter(l) {
		_ = nc.Close()
		return nil, net.ErrClosed
	}
	return &conn{Conn: nc, all: l.all}, nil
}

// Close implements net.Listener.
func (l *boundListener) Close() error {
	l.all.mu.Lock()
	l.closed = true
	l.all.freed.Broadcast()
	l.all.mu.Unlock()
	return l.Listener.Close()
}

// conn is one of the connections.
type conn struct {
	net.Conn
	all *Connections

	idle   *list.Element // while it is idle; all.mu is held
	closed bool          // all.mu is held

	mu    sync.Mutex
	until time.Time // the write deadline that is set; zero for none
	given bool      // by the server, which knows better
}

// Write implements net.Conn. An answer that nobody takes ends after some time;
// setting a timer for each write would cost more than most writes.
func (c *conn) Write(b []byte) (int, error) {
	c.mu.Lock()
	timeout := c.all.writeTimeout
	if now := time.Now(); !c.given && c.until.Sub(now) < timeout-timeout/4 {
		c.until = now.Add(timeout)
		_ = c.Conn.SetWriteDeadline(c.until) // a connection that has none is closed
	}
	c.mu.Unlock()
	return c.Conn.Write(b)
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until, c.given = time.Time{}, !t.IsZero()
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until, c.given = time.Time{}, !t.IsZero()
	return c.Conn.SetDeadline(t)
}

// CloseWrite is for net/http: it closes one direction first where the caller is
// still sending, or he would never see the answer.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.all.mu.Lock()
	c.all.leave(c)
	c.all.mu.Unlock()
	return c.Conn.Close()
}
