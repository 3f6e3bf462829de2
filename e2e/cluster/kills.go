package cluster

import (
	"slices"
	"sync"
	"time"
)

// kills knows when what was ended without a warning, or cut off, and with that
// which answers can have been.
type kills struct {
	names map[string]string // of replicas, by address

	mu  sync.Mutex
	all []*kill
}

type kill struct {
	replica  string    // its address; "" for all
	what     string    // happened to it
	from, to time.Time // to is zero while it happens
}

// begin notes that something is about to happen to a replica, and end that it
// has: an answer may be judged before the killer knows that he was successful.
func (k *kills) begin(replica, what string) *kill {
	k.mu.Lock()
	defer k.mu.Unlock()
	happens := &kill{replica: replica, what: what, from: time.Now()}
	k.all = append(k.all, happens)
	return happens
}

func (k *kills) end(happened *kill) {
	k.mu.Lock()
	defer k.mu.Unlock()
	happened.to = time.Now()
}

// explain says which kill may have cut off the answer to a request that was
// asked of those replicas in that time; "" for none.
func (k *kills) explain(began, ended time.Time, asked []string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, kill := range k.all {
		if !kill.to.IsZero() && kill.to.Before(began) || kill.from.After(ended) {
			continue
		}
		switch {
		case kill.replica == "":
			return "in the middle of it " + kill.what
		case slices.Contains(asked, kill.replica):
			return "in the middle of it " + k.names[kill.replica] + " " + kill.what
		}
	}
	return ""
}
