package explain

import (
	"cmp"
	"slices"
	"strings"
	"sync"
)

// index finds in one walk over a line which messages may stand in it.
type index map[[keySize]byte][]candidate

// keySize is how many octets of a message's anchor the index knows it by.
const keySize = 4

// candidate is a message whose longest literal part stands in a line.
type candidate struct {
	*entry
	says   *says
	number int // its place among all
	anchor string
}

// literals is the index of every message, the entries' first, then the door's.
var literals = sync.OnceValue(func() index {
	all := index{}
	n := 0
	for _, e := range slices.Concat(knowledge(), theDoors().messages) {
		for i := range e.says {
			s := &e.says[i]
			anchor := s.pattern().anchor
			key := [keySize]byte([]byte(anchor))
			all[key] = append(all[key], candidate{e, s, n, anchor})
			n++
		}
	}
	return all
})

// in returns the messages that may stand in a text of lower case, in the order
// of the entries.
func (x index) in(text string) []candidate {
	var found []candidate
	for i := 0; i+keySize <= len(text); i++ {
		for _, c := range x[[keySize]byte([]byte(text[i:i+keySize]))] {
			if strings.HasPrefix(text[i:], c.anchor) && !slices.ContainsFunc(found, func(f candidate) bool { return f.number == c.number }) {
				found = append(found, c)
			}
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return cmp.Compare(a.number, b.number) })
	return found
}
