package provider

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A person who mistypes stays below these; somebody who guesses gets some
// hundred tries an hour at one account, whatever their number of addresses.
const (
	accountBurst = 10
	accountEvery = 20 * time.Second
	addressBurst = 50
	addressEvery = 2 * time.Second
	// Each login that is begun is a row for an hour, whoever begins it.
	beginBurst = 500
	beginEvery = 100 * time.Millisecond
	// throttleKeys bounds each generation of a throttle.
	throttleKeys = 10_000
)

// throttle limits attempts by key, in bounded memory: keys live in two
// generations, and a full one pushes the older one out.
type throttle struct {
	every time.Duration
	burst int

	mu       sync.Mutex
	now, old map[string]*rate.Limiter
}

func newThrottle(every time.Duration, burst int) *throttle {
	return &throttle{every: every, burst: burst, now: map[string]*rate.Limiter{}}
}

// take takes one attempt of key's. Where there is none left it returns how long
// the next one takes; otherwise a function that gives the attempt back, for one
// that was no guess.
func (t *throttle) take(key string, at time.Time) (giveBack func(), wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.now[key]
	if l == nil {
		if l = t.old[key]; l == nil {
			l = rate.NewLimiter(rate.Every(t.every), t.burst)
		}
		if len(t.now) >= throttleKeys {
			t.now, t.old = map[string]*rate.Limiter{}, t.now
		}
		t.now[key] = l
	}
	r := l.ReserveN(at, 1)
	if wait := r.DelayFrom(at); wait > 0 {
		r.CancelAt(at)
		return nil, wait
	}
	return func() { r.CancelAt(at) }, 0
}
