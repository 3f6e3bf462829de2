package verify

// looking is a tenant that is being looked at, or was before all before it were.
type looking struct {
	label string
	done  bool
}

// come notes that a tenant is being looked at, gone that it was. What is written
// down is the last label before which all were: who goes on from there misses
// none.
func (r *Runner) come(label string) *looking {
	l := &looking{label: label}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looking = append(r.looking, l)
	return l
}

func (r *Runner) gone(l *looking) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l.done = true
	for len(r.looking) > 0 && r.looking[0].done {
		r.state.After, r.looking = r.looking[0].label, r.looking[1:]
	}
}
