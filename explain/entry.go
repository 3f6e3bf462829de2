package explain

import (
	"slices"
	"sync"
)

// entry is one thing that is known.
//
// In its words {name} stands for the value that the message has in the gap of
// that name, and {name|words} for the words where the message has none.
type entry struct {
	id    string
	title string
	says  []says
	// when tells by the values whether the entry is meant, where several have the
	// same message; nil: always.
	when  func(values) bool
	means string
	// causes are the most likely first. look finds by the values which it is; its
	// causes come before the others, or alone.
	causes       []cause
	look         func(values) []cause
	lookSuffices bool
	wraps        depth
	see          []string
}

// depth is how far a message is from its cause, which another one near it names.
type depth int

const (
	named   depth = iota // it names the cause
	hints                // it says what failed, by an error code or a status
	vague                // it says at which step
	nothing              // it says that something failed
)

// says is a message as a program prints it. {name} is a gap whose value is
// kept, … one whose value is not: it may be a secret, or nobody needs it.
type says struct {
	by, text string
	seen     Seen
	// fixed are values that the message tells without a gap.
	fixed values
	// below finds values in the lines that follow.
	below below
}

// below are expressions for values, the first group being the value.
type below map[string]string

type cause struct {
	what    string
	finding string
	checks  []string
	confirm []string
	do      string
	without string
}

func (s *says) literal() string { return s.pattern().heading }
func (s *says) weight() int     { return s.pattern().weight }

// patterns are compiled when they are needed first: no other command pays for
// them.
var patterns sync.Map

func (s *says) pattern() *pattern {
	p, ok := patterns.Load(s.text)
	if !ok {
		p, _ = patterns.LoadOrStore(s.text, compile(s.text))
	}
	return p.(*pattern)
}

// knowledge is every entry; of two that recognise one line by texts of one
// length, the first is the more likely.
var knowledge = sync.OnceValue(func() []*entry {
	var all []*entry
	for _, part := range [][]entry{
		network, certificates, discovery, issuers, tokens, redirects, logins, browsers, hosts, wrappers,
	} {
		for i := range part {
			all = append(all, &part[i])
		}
	}
	return slices.Clip(all)
})
