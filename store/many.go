package store

import (
	"iter"
	"math/bits"
	"strconv"
	"strings"
)

// maxRows is how many rows one statement writes or asks for: large enough that
// an import is not all round trips, small enough for SQLite, which looks for
// each parameter's name among all that came before it.
const maxRows = 32

// parts cuts a list into runs of powers of two, up to maxRows: so a statement
// has six texts at most, and a connection keeps them all prepared.
func parts[T any](list []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			n := min(maxRows, 1<<(bits.Len(uint(len(list)))-1))
			if !yield(list[:n:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// inMany widens the `IN ($1)` of a statement to n values.
func inMany(query string, n int) string {
	return strings.Replace(query, "IN ($1)", "IN "+group(1, n), 1)
}

// rowsMany widens the `VALUES (…)` of a statement to n rows.
func rowsMany(query string, n int) string {
	start := strings.Index(query, "VALUES (") + len("VALUES ")
	end := start + strings.IndexByte(query[start:], ')') + 1
	columns := strings.Count(query[start:end], "$")
	var b strings.Builder
	b.WriteString(query[:start])
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(group(i*columns+1, columns))
	}
	b.WriteString(query[end:])
	return b.String()
}

// group is a list of n parameters: ($4, $5, $6).
func group(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(first + i))
	}
	return "(" + b.String() + ")"
}
