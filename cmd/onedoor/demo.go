package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// demoCommand is the whole thing on this machine: the provider inside, the
// door, and three tenants' sites. How it is put together is demorun.go.
type demoCommand struct {
	Port int    `default:"8080" help:"The port that browsers use (${default}); 0 for any that is free."`
	Keep string `placeholder:"DIR" help:"Keep the database and a configuration to go on with in DIR. Otherwise nothing stays behind."`
	JSON bool   `name:"json" help:"Print the addresses as JSON."`
}

// slowStart is after how long a person is told what is being waited for.
const slowStart = 2 * time.Second

// Run starts the demo and waits for Ctrl-C.
func (c *demoCommand) Run(t *terminal) (err error) {
	if c.Port < 0 || c.Port > 65535 {
		return couldNotLook(fmt.Errorf("--port %d is no port", c.Port), "from 1 to 65535, or 0 for any that is free")
	}
	dir, cleanUp, err := c.directory()
	if err != nil {
		return couldNotLook(err, "")
	}
	defer func() { err = errors.Join(err, cleanUp()) }()
	step, ready := t.progress(slowStart)
	defer ready()
	d, err := startDemo(t.ctx, demoOptions{port: c.Port, dir: dir, keep: c.Keep != "", log: t.err, step: step})
	if err != nil && t.ctx.Err() != nil {
		return nil // stopped by Ctrl-C while it started
	}
	if err != nil {
		return c.explain(t.ctx, err)
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	ready()
	if err := c.print(t, d); err != nil {
		return err
	}
	select {
	case <-t.ctx.Done():
		if !c.JSON {
			fmt.Fprintln(t.out, "\nStopped.")
		}
		return nil
	case err := <-d.ended:
		return err
	}
}

// directory is where the demo keeps its things, and how that is cleaned up.
func (c *demoCommand) directory() (dir string, cleanUp func() error, err error) {
	if c.Keep == "" {
		dir, err = os.MkdirTemp("", "onedoor-demo-")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	dir, err = filepath.Abs(c.Keep)
	if err == nil {
		err = os.MkdirAll(dir, 0o700) // it holds keys
	}
	return dir, func() error { return nil }, err
}

// explain adds what to do.
func (c *demoCommand) explain(ctx context.Context, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return couldNotLook(fmt.Errorf("port %d is taken by another program", c.Port),
			"choose another: onedoor demo --port "+strconv.Itoa(c.another(ctx)))
	}
	if errors.Is(err, syscall.EACCES) && c.Port > 0 && c.Port < 1024 {
		return couldNotLook(fmt.Errorf("port %d is not for everybody", c.Port), "choose one from 1024 on: onedoor demo --port 8080")
	}
	return couldNotLook(err, "")
}

// another is a port that is free at this moment, near the one that was asked
// for where possible.
func (c *demoCommand) another(ctx context.Context) int {
	for port := c.Port + 1; port < min(c.Port+20, 65536); port++ {
		if ls, err := listenLoopback(ctx, port); err == nil {
			closeAll(ls)
			return port
		}
	}
	return 0
}

// shownDemo is what --json prints.
type shownDemo struct {
	Overview string      `json:"overview"`
	Public   string      `json:"public_url"`
	Internal string      `json:"internal_url"`
	Sites    []shownSite `json:"sites"`
	User     shownLogin  `json:"user"`
	Config   string      `json:"config,omitempty"`
}

type shownSite struct {
	Tenant   string `json:"tenant"`
	URL      string `json:"url"`
	App      string `json:"app"`
	ClientID string `json:"client_id"`
	Mode     string `json:"mode"`
}

type shownLogin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func (c *demoCommand) print(t *terminal, d *runningDemo) error {
	if c.JSON {
		return t.json(d.shown)
	}
	stays := "nothing stays behind"
	if d.shown.Config != "" {
		stays = "its database and configuration stay in " + filepath.Dir(d.shown.Config)
	}
	fmt.Fprintf(t.out, "The demo is running. Ctrl-C stops it; %s.\n\n", stays)
	row := func(name, value, note string) {
		fmt.Fprintf(t.out, "  %s%-32s %s\n", t.title(fmt.Sprintf("%-12s", name)), value, note)
	}
	row("Begin at", d.shown.Overview, "")
	for i, s := range d.shown.Sites {
		row([]string{"or at", ""}[min(i, 1)], s.URL, s.App+", "+s.Mode)
	}
	fmt.Fprintln(t.out)
	row("Log in as", d.shown.User.Username, "")
	row("Password", d.shown.User.Password, "")
	fmt.Fprintln(t.out)
	row("The door", d.shown.Public, "for browsers")
	row("", d.shown.Internal, "for the sites' servers only")
	if d.shown.Config != "" {
		fmt.Fprintln(t.out)
		row("Afterwards", "onedoor serve -c "+d.shown.Config, "")
	}
	return nil
}

// listenLoopback listens on both loopback addresses, because a browser may try
// either for a *.localhost name and would else find another program on one of
// them. A machine without IPv6 has one.
func listenLoopback(ctx context.Context, port int) ([]net.Listener, error) {
	var lc net.ListenConfig
	for attempt := 0; ; attempt++ {
		four, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			return nil, err
		}
		same := four.Addr().(*net.TCPAddr).Port
		six, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(same)))
		switch {
		case err == nil:
			return []net.Listener{four, six}, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return []net.Listener{four}, nil
		}
		_ = four.Close()
		if port != 0 || attempt == 20 {
			return nil, err
		}
	}
}

func closeAll(ls []net.Listener) {
	for _, l := range ls {
		_ = l.Close()
	}
}

// progress tells what is waited for once a start takes longer than patience:
// step names what is done now, ready says that it is over.
func (t *terminal) progress(patience time.Duration) (step func(string), ready func()) {
	var mu sync.Mutex
	now, slow, over := "starting", false, false
	say := func() { fmt.Fprintf(t.err, "onedoor: %s …\n", now) }
	timer := time.AfterFunc(patience, func() {
		mu.Lock()
		defer mu.Unlock()
		if slow = true; !over {
			say()
		}
	})
	step = func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if now = what; slow && !over {
			say()
		}
	}
	ready = func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
	return step, ready
}
