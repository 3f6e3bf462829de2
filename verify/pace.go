package verify

import (
	"sync"
	"time"
)

// pace holds back where the provider is slow: people who log in come first.
//
// It knows how long the provider usually takes to answer, and how long it took
// lately. Where that is several times as long, the time between two tenants
// doubles with every look, up to a bound, and shrinks again when it is well.
// Where the provider does not answer at all, it pauses, and then asks one
// tenant's login at a time.
type pace struct {
	mu     sync.Mutex
	usual  float64 // seconds
	recent float64
	looks  int
	factor float64
	pause  time.Duration
	due    time.Time
	now    func() time.Time
}

const (
	slowTimes  = 4     // this many times as long as usual is slow
	slowAtAll  = 0.050 // seconds; less than that more is noise
	maxFactor  = 32
	firstPause = time.Second
	maxPause   = time.Minute
	warmUp     = 10 // looks that teach what is usual
)

func newPace() *pace { return &pace{factor: 1, now: time.Now} }

// next is how long to wait before the next tenant. It keeps to the rhythm: a
// wait that was too long makes the next one shorter, by one step at most.
func (p *pace) next(step time.Duration) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now()
	if late := now.Sub(p.due); late > step {
		p.due = now.Add(-step)
	}
	p.due = p.due.Add(max(time.Duration(float64(step)*p.factor), p.pause))
	return p.due.Sub(now)
}

// took learns from one look.
func (p *pace) took(v Verdict) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case v.stalled:
		p.pause = min(max(2*p.pause, firstPause), maxPause)
		return
	case v.provider == 0:
		return // it was not asked
	}
	p.pause = 0
	s := v.provider.Seconds()
	if p.looks++; p.looks <= warmUp {
		p.usual += (s - p.usual) / float64(p.looks)
		p.recent = p.usual
		return
	}
	p.recent += (s - p.recent) / 5
	if p.recent > max(slowTimes*p.usual, p.usual+slowAtAll) {
		p.factor = min(2*p.factor, maxFactor)
		p.usual += (s - p.usual) / 1000 // it may be the usual from now on
		return
	}
	p.factor = max(0.9*p.factor, 1)
	p.usual += (s - p.usual) / 100
}

// held is by how much the time between two tenants is longer than it should be.
func (p *pace) held() float64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.factor
}
