//go:build linux

package cluster

import (
	"net"
	"sync"

	"onedoor/e2e/lab"
)

// wire is the network between one replica and the database. It can be made to
// swallow everything: no packet arrives, and nobody is told, as when a firewall
// forgets a connection.
type wire struct {
	to string

	mu   sync.Mutex
	open chan struct{} // closed while packets pass
	cut  bool
}

func newWire(s lab.Scope, to string) (w *wire, address string) {
	s.Helper()
	w = &wire{to: to, open: make(chan struct{})}
	close(w.open)
	l := lab.Here.Listen(s, "127.0.0.1:0")
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.carry(conn)
		}
	}()
	return w, l.Addr().String()
}

// swallow lets nothing pass from now on, and heal everything again. What was
// sent in between arrives late, as retransmitted packets do.
func (w *wire) swallow() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.cut {
		w.cut, w.open = true, make(chan struct{})
	}
}

func (w *wire) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut {
		w.cut = false
		close(w.open)
	}
}

// pass waits until packets pass.
func (w *wire) pass() {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	<-open
}

func (w *wire) carry(in net.Conn) {
	defer in.Close()
	w.pass()
	out, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer out.Close()
	done := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{out, in}, {in, out}} {
		go func() {
			w.copy(way[0], way[1])
			// One end is gone: the other is told when packets pass again.
			w.pass()
			_ = in.Close()
			_ = out.Close()
			done <- struct{}{}
		}()
	}
	<-done
	<-done
}

func (w *wire) copy(to, from net.Conn) {
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		w.pass()
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
