package demo

import (
	"context"
	"crypto/sha256"
	"net/url"
)

// Channel tells who carries a request (OAuth's front and back channel).
type Channel string

// The channels.
const (
	Front  Channel = "front"  // the person's browser
	Back   Channel = "back"   // a site's server
	Inside Channel = "inside" // the door, on behalf of either
)

// Those who speak to each other, besides the sites.
const (
	Browser  = "browser"
	Door     = "door"
	Provider = "provider"
)

// Bounds of what is kept. A login has about ten hops.
const (
	maxWays = 256
	maxHops = 40
	maxKeys = 100
)

// Hop is one request and its answer.
type Hop struct {
	Channel  Channel
	From, To string
	Method   string
	URL      Address
	Body     []Param // of a token request
	Status   int     // 0 while there is no answer
	Location *Address
	Changes  []Change // what the door changed on the way through
	Inner    []*Hop   // what the door asked the provider

	way   *Way
	trace string
	full  *url.URL
}

// Way is how one login or logout went, hop by hop.
type Way struct {
	ID   string
	Kind string // "login", "logout", or "start": what an app learns once

	owner  string // the browser that began it, by the site's name for it
	r      *Recorder
	hops   []*Hop
	keys   [][sha256.Size]byte
	closed bool
}

// Context makes the requests of a site's server part of the way.
func (w *Way) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, wayKey{}, w)
}

// Close ends the way: requests that come later are none of its hops.
func (w *Way) Close() {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	w.r.forget(w)
}

// Hops are copies of the hops so far.
func (w *Way) Hops() []Hop {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	list := make([]Hop, len(w.hops))
	for i, h := range w.hops {
		list[i] = *h
		list[i].Inner = make([]*Hop, len(h.Inner))
		for j, inner := range h.Inner {
			c := *inner
			list[i].Inner[j] = &c
		}
	}
	return list
}
