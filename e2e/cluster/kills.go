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
	all []kill
}

type kill struct {
	replica  string // its address; "" for all
	what     string // happened to it
	from, to time.Time
}

func (k *kills) add(replica, what string, from, to time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, kill{replica, what, from, to})
}

// explain says which kill may have cut off the answer to a request that was
// asked of those replicas in that time; "" for none.
func (k *kills) explain(began, ended time.Time, asked []string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, kill := range k.all {
		if kill.to.Before(began) || kill.from.After(ended) {
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
