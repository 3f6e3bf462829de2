package admin

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// An import sends a thousand tenants in one request, so that this is no
	// bound for it; a script that has run wild is stopped.
	tokenBurst = 2
	// Nobody guesses 256 bits: these keep whoever tries from having the
	// database asked each time.
	addressEvery = time.Second
	addressBurst = 50
	// limitKeys bounds each of the two generations of a limiter's keys.
	limitKeys = 10_000
)

// limits allows each key so many tries a second, in bounded memory: keys live
// in two generations, and a full one pushes the older one out.
type limits struct {
	each  rate.Limit
	burst int

	mu       sync.Mutex
	now, old map[string]*rate.Limiter
}

func newLimits(each rate.Limit, burst int) *limits {
	return &limits{each: each, burst: burst, now: map[string]*rate.Limiter{}}
}

// take takes one of key's tries; where there is none it returns how long the
// next one takes.
func (l *limits) take(key string, at time.Time) (wait time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.of(key).ReserveN(at, 1)
	if wait = r.DelayFrom(at); wait > 0 {
		r.CancelAt(at)
	}
	return wait
}

// left tells whether key has a try left, and takes none.
func (l *limits) left(key string, at time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(key).TokensAt(at) >= 1
}

// knows tells whether key took a try lately.
func (l *limits) knows(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now[key] != nil || l.old[key] != nil
}

func (l *limits) of(key string) *rate.Limiter {
	if x := l.now[key]; x != nil {
		return x
	}
	x := l.old[key]
	if x == nil {
		x = rate.NewLimiter(l.each, l.burst)
	}
	if len(l.now) >= limitKeys {
		l.now, l.old = map[string]*rate.Limiter{}, l.now
	}
	l.now[key] = x
	return x
}

// network is what an address is limited by: itself, or the /64 that one
// customer of a provider has (RFC 6177 §2).
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	a, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	if a = a.Unmap(); a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
