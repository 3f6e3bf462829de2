package config

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Problem is one mistake: where, what, and what to do about it.
type Problem struct {
	// File is the file's name as it was given to Load.
	File string `json:"file"`
	// Line and Column count from 1; both are 0 where the file could not be
	// read at all. Column counts characters, as editors do.
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
	// Path is the key, as apps.atlas.callbacks[0]; empty for the file itself.
	Path string `json:"path,omitempty"`
	// Message says what is wrong. It never holds a secret's value.
	Message string `json:"message"`
	// Hint says what to do; it may be empty.
	Hint string `json:"hint,omitempty"`

	cause error
}

// Error is the problem on one line, without the hint.
func (p Problem) Error() string {
	place := p.File
	if p.Line > 0 {
		place = fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
	}
	if p.Path == "" {
		return place + ": " + p.Message
	}
	return place + ": " + p.Path + ": " + p.Message
}

// Unwrap gives the cause, as fs.ErrNotExist of a missing file.
func (p Problem) Unwrap() error { return p.cause }

// Problems are all mistakes of a file in the order of the file. It is the error
// that Load returns.
type Problems []Problem

// Error prints every problem as the command line does, the first one without
// the leading "onedoor: error: ", which its caller puts before any error.
func (ps Problems) Error() string {
	var b strings.Builder
	for i, p := range ps {
		if i > 0 {
			b.WriteString("\nonedoor: error: ")
		}
		b.WriteString(p.Error())
		if p.Hint != "" {
			b.WriteString("\nonedoor: hint: " + p.Hint)
		}
	}
	return b.String()
}

// Unwrap lets errors.Is and errors.As look into every problem.
func (ps Problems) Unwrap() []error {
	out := make([]error, len(ps))
	for i, p := range ps {
		out[i] = p
	}
	return out
}

// Unreadable tells that the file could not be looked at, as opposed to a file
// that was read and has mistakes.
func (ps Problems) Unreadable() bool {
	return len(ps) == 1 && ps[0].Line == 0
}

func (ps Problems) sort() {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// reason is an error without the path that os puts before it: the place already
// names the file.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
