package main

import (
	"context"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"onedoor/config"
	"onedoor/gateway"
)

// meanwhileDrain is how long somebody who is connected while the door waits, and
// has asked for nothing, may hold its start up.
const meanwhileDrain = time.Second

// answerMeanwhile has the sockets say that the door waits, until stop is called:
// then they are as they were. It begins after a moment, for a database that is
// there is open by then, and nobody is to be sent away from a door that starts as
// it should. The sockets are those of cfg's listeners and, behind them, of admin.
func answerMeanwhile(cfg *config.Config, sockets []net.Listener, log *slog.Logger) (stop func(), err error) {
	handler, all := gateway.Waiting(log, limitsOf(cfg)), gateway.NewConnections(operators, limitsOf(cfg))
	servers := make([]*server, len(sockets))
	for i, socket := range sockets {
		s := &server{Server: gateway.NewServer(handler, log, limitsOf(cfg))}
		s.SetKeepAlivesEnabled(false) // the next request is for the door itself
		s.socket = all.Bound(s.Server, lent{socket.(*net.TCPListener)})
		t := cfg.Admin.TLS
		if i < len(cfg.Listeners) {
			t = cfg.Listeners[i].TLS
		}
		if err := s.secure(t, log); err != nil {
			return nil, err
		}
		servers[i] = s
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-ctx.Done():
		case <-time.After(firstLoad):
			serveUntil(ctx, servers)
		}
		for _, socket := range sockets {
			_ = socket.(*net.TCPListener).SetDeadline(time.Time{}) // a socket that is closed says so to the next
		}
	}()
	return func() {
		cancel()
		<-ended
	}, nil
}

// serveUntil serves until ctx ends, and returns when nobody accepts any more.
func serveUntil(ctx context.Context, servers []*server) {
	var accepting, ending errgroup.Group
	for _, s := range servers {
		accepting.Go(s.serve)
	}
	<-ctx.Done()
	patience, cancel := context.WithTimeout(context.Background(), meanwhileDrain)
	defer cancel()
	for _, s := range servers {
		ending.Go(func() error {
			if s.Shutdown(patience) != nil {
				return s.Close()
			}
			return nil
		})
	}
	_, _ = ending.Wait(), accepting.Wait() // what is lost is an answer that says to come again
}

// lent is a socket that somebody else goes on with: to close it ends the
// accepting, and no more.
type lent struct{ *net.TCPListener }

// Close implements net.Listener.
func (l lent) Close() error { return l.SetDeadline(time.Unix(1, 0)) }
