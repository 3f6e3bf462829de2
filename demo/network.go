package demo

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Network is the private network that the sites' servers live in: one name can
// be reached in it, the door's internal one, and nothing else. The public
// origin can not, as from within a container.
type Network struct {
	name string // host:port that the sites ask for
	to   string // where the door listens for it

	mu      sync.Mutex
	dialled []string
}

// NewNetwork makes a network in which name leads to the address to.
func NewNetwork(name, to string) *Network { return &Network{name: name, to: to} }

// Dialled are the addresses that were asked for, each once.
func (n *Network) Dialled() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dialled)
}

func (n *Network) dial(ctx context.Context, network, address string) (net.Conn, error) {
	n.mu.Lock()
	if !slices.Contains(n.dialled, address) && len(n.dialled) < 64 {
		n.dialled = append(n.dialled, address)
	}
	n.mu.Unlock()
	if address != n.name {
		return nil, fmt.Errorf("%s can not be reached from here: this network knows %s only", address, n.name)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, n.to)
}

// transport is the one way out for the sites' servers.
func (n *Network) transport() *http.Transport {
	return &http.Transport{
		DialContext:           n.dial, // and no proxy of the environment
		ResponseHeaderTimeout: 15 * time.Second,
		IdleConnTimeout:       30 * time.Second,
	}
}
