package cluster

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// kills knows when what was ended without a warning, and with that which answers
// can have been cut off.
type kills struct {
	names map[string]string // of replicas, by address

	mu  sync.Mutex
	all []kill
}

type kill struct {
	replica  string // its address; "" is the database
	from, to time.Time
}

func (k *kills) add(replica string, from, to time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all = append(k.all, kill{replica, from, to})
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
			return "the database was stopped in the middle of it"
		case slices.Contains(asked, kill.replica):
			return fmt.Sprintf("%s was killed in the middle of it", k.names[kill.replica])
		}
	}
	return ""
}
