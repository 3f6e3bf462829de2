package cluster

import (
	"testing"
	"time"
)

func TestTheTimelineOwesWhatWasAcknowledged(t *testing.T) {
	zero := time.Unix(1_000_000, 0)
	at := func(seconds float64) time.Time { return zero.Add(time.Duration(seconds * float64(time.Second))) }
	line := newTimeline(time.Second, 5*time.Second)
	note := func(active bool, sent, acked float64) {
		c := line.begin("acme", active, at(sent))
		if acked != 0 {
			line.ack(c, at(acked))
		}
	}
	note(true, 10, 10.5)
	note(false, 20, 20.5)
	o := line.lose("b", at(25))
	note(true, 26, 26.5)
	line.regain(o, at(40))
	note(false, 50, 0) // nobody knows whether it has happened
	for _, tt := range []struct {
		name, tenant, replica string
		began, ended          float64
		want                  duty
	}{
		{"a tenant that never was", "globex", "a", 100, 101, refuse},
		{"before it is added", "acme", "a", 1, 9.9, refuse},
		{"while it is being added", "acme", "a", 9, 10.1, either},
		{"within a second of its being added", "acme", "a", 11, 11.1, either},
		{"a second after it was added", "acme", "a", 11.5, 12, serve},
		{"a request that is answered after the suspension was asked for", "acme", "a", 19, 20.1, either},
		{"a second after it was suspended", "acme", "a", 21.5, 22, refuse},
		{"a request that began before that second was over", "acme", "a", 21.4, 24, either},
		{"a second after it was resumed", "acme", "a", 27.5, 28, serve},
		{"the same at the replica that had lost the database", "acme", "b", 27.5, 28, either},
		{"there, after what it knew has become stale", "acme", "b", 30, 31, serve},
		{"a change that was never acknowledged", "acme", "a", 90, 91, either},
	} {
		if got := line.duty(tt.tenant, tt.replica, at(tt.began), at(tt.ended)); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestAChangeThatIsLostForASecondChangesNothingThatIsOwed(t *testing.T) {
	zero := time.Unix(1_000_000, 0)
	line := newTimeline(time.Second, 5*time.Second)
	line.ack(line.begin("acme", true, zero), zero)
	line.begin("acme", true, zero.Add(time.Minute)) // the same once more, cut off
	if got := line.duty("acme", "a", zero.Add(2*time.Minute), zero.Add(2*time.Minute)); got != serve {
		t.Errorf("%d, want serve", got)
	}
}
