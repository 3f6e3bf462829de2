package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"onedoor/config"
)

type serveCommand struct {
	configFlag
}

// Run runs the door until the first SIGINT or SIGTERM.
func (c *serveCommand) Run(t *terminal) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP) // one that comes during the start ends nothing either
	defer signal.Stop(hangup)
	cfg, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		return err
	}
	level := &slog.LevelVar{}
	level.Set(logLevel(cfg.Log))
	log, flush := newLog(t.err, cfg.Log.Format, level)
	defer flush()
	for _, w := range cfg.Warnings() {
		log.Warn(w)
	}
	listeners := cfg.Listeners
	if cfg.Admin.Open {
		listeners = append(slices.Clip(listeners), config.Listener{Address: cfg.Admin.Listen})
	}
	sockets, err := listen(t.ctx, listeners)
	if err != nil {
		return err
	}
	defer func() {
		for _, s := range sockets {
			s.Close() // those that a server took are closed already
		}
	}()
	stop, err := answerMeanwhile(cfg, sockets, log)
	if err != nil {
		return err
	}
	db, err := awaitStore(t.ctx, cfg, log)
	stop()
	if t.ctx.Err() != nil && db == nil {
		return nil // asked to stop while it waited
	}
	if err != nil {
		return found(err, "the database holds the keys that logins are sealed with: give `database` a path that can be written, or the URL of a PostgreSQL that lets the door in")
	}
	defer db.Close()
	d, err := newDoor(t.ctx, cfg, db, log, doorOptions{})
	if err != nil {
		return err
	}
	defer d.close()
	d.level = level
	if err := d.verifyTenants(cfg); err != nil {
		return err
	}
	d.background(d.follow(c.Config, hangup, reloadPoll))
	for i := range cfg.Listeners {
		if err := d.add(i, sockets[i]); err != nil {
			return err
		}
	}
	if cfg.Admin.Open {
		if err := d.operate(cfg, sockets[len(cfg.Listeners)]); err != nil {
			return err
		}
	}
	return d.run(t.ctx)
}

// listen opens all sockets, or none.
func listen(ctx context.Context, listeners []config.Listener) (sockets []net.Listener, err error) {
	for _, l := range listeners {
		s, err := (&net.ListenConfig{}).Listen(ctx, "tcp", l.Address)
		if err != nil {
			for _, open := range slices.Backward(sockets) {
				open.Close()
			}
			return nil, explainListen(l.Address, err)
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func explainListen(address string, err error) error {
	hint := "give `listen` another address"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = "another program listens there, perhaps another onedoor: stop it, or give `listen` another port"
	case errors.Is(err, syscall.EACCES):
		hint = "ports below 1024 need a privilege: give `listen` a higher port, or the program CAP_NET_BIND_SERVICE"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "this machine has no such address: write :PORT for all that it has"
	}
	var reason syscall.Errno
	if errors.As(err, &reason) {
		err = reason
	}
	return found(fmt.Errorf("cannot listen on %s: %w", address, err), hint)
}

// newLog makes the log. Lines are written together, ten times a second: one
// system call for each request is a third of the relay's cost.
func newLog(w io.Writer, format string, level *slog.LevelVar) (log *slog.Logger, flush func()) {
	b := &batch{to: w}
	var h slog.Handler = slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level})
	if format == "text" {
		h = slog.NewTextHandler(b, &slog.HandlerOptions{Level: level})
	}
	return slog.New(h), b.flush
}

func logLevel(o config.Log) (level slog.Level) {
	_ = level.UnmarshalText([]byte(o.Level)) // config knows the four
	return level
}
