package explain

import (
	"cmp"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Guess is a message that a line may have been meant as.
type Guess struct {
	ID      string `json:"id"`
	Message string `json:"message"`
	Title   string `json:"title"`
}

// Bounds of guessing: one word in common is none.
const (
	maxGuesses = 3
	minCommon  = 3
	goodEnough = 0.5
)

var token = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]+`)

// Nearest gives the known messages that have most words in common with a line
// that is not known, the nearest first. The rarer a word, the more it counts; a
// word that stands in no message does not.
func Nearest(s string) []Guess {
	known, in := vocabulary().says, vocabulary().in
	words := wordsOf(newLine(s).text)
	maps.DeleteFunc(words, func(w string, _ bool) bool { return in[w] == 0 })
	type scored struct {
		Guess
		score float64
	}
	var all []scored
	for _, e := range knowledge() {
		best := scored{}
		for i := range e.says {
			s := &e.says[i]
			if score := likeness(words, known[s], in); score > best.score {
				best = scored{Guess{e.id, s.literal(), values{}.fill(e.title)}, score}
			}
		}
		if best.score >= goodEnough {
			all = append(all, best)
		}
	}
	slices.SortStableFunc(all, func(a, b scored) int { return cmp.Compare(b.score, a.score) })
	guesses := []Guess{}
	for _, c := range all[:min(len(all), maxGuesses)] {
		guesses = append(guesses, c.Guess)
	}
	return guesses
}

// likeness is how much two sets of words have in common: 0 nothing, 1 all.
func likeness(a, b map[string]bool, in map[string]int) float64 {
	var common, whole float64
	n := 0
	for _, words := range []map[string]bool{a, b} {
		for w := range words {
			weight := 1 / math.Sqrt(float64(in[w]))
			whole += weight
			if a[w] && b[w] {
				common += weight
				n++
			}
		}
	}
	if n < 2*minCommon {
		return 0
	}
	return common / whole
}

// wordsKnown are the words of every message, and in how many messages each stands.
type wordsKnown struct {
	says map[*says]map[string]bool
	in   map[string]int
}

var vocabulary = sync.OnceValue(func() wordsKnown {
	v := wordsKnown{map[*says]map[string]bool{}, map[string]int{}}
	for _, e := range knowledge() {
		for i := range e.says {
			s := &e.says[i]
			v.says[s] = wordsOf(s.literal())
			for w := range v.says[s] {
				v.in[w]++
			}
		}
	}
	return v
})

func wordsOf(s string) map[string]bool {
	words := map[string]bool{}
	for _, w := range token.FindAllString(strings.ToLower(s), 200) {
		words[w] = true
	}
	return words
}
