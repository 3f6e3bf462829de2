package config

import (
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// maxProblems bounds the list: whoever sees a hundred needs no more.
const maxProblems = 100

// decoder fills the types of this package from YAML nodes and remembers where
// each value stood, so that the rules can name its place later.
type decoder struct {
	file     string
	getenv   func(string) (string, bool)
	nodes    map[string]*yaml.Node // by path: the value's node
	files    []File                // those that the file names and that were read
	said     map[string]bool       // paths that have a problem already
	problems Problems
}

// field is what a struct tag says about a key.
type field struct {
	name     string
	index    int
	typ      reflect.Type
	required bool
	fallback string // default
	enum     []string
	min, max string // of durations, numbers and sizes
	restart  bool   // a change needs a restart
	lines    bool   // may hold line breaks
	example  string
}

// fieldsOf reads the tags of a struct of this package. The documentation is made
// from the same answer.
func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		name := f.Tag.Get("yaml")
		if name == "-" || name == "" { // filled in, or not for others
			continue
		}
		x := field{
			name: name, index: i, typ: f.Type,
			required: f.Tag.Get("required") == "true", fallback: f.Tag.Get("default"),
			min: f.Tag.Get("min"), max: f.Tag.Get("max"), example: f.Tag.Get("example"),
			restart: f.Tag.Get("restart") == "true", lines: f.Tag.Get("lines") == "true",
		}
		if enum := f.Tag.Get("enum"); enum != "" {
			x.enum = strings.Split(enum, ",")
		}
		out = append(out, x)
	}
	return out
}

func structOf(ptr any) reflect.Value { return reflect.ValueOf(ptr).Elem() }

// at records a problem at a place. One path has one problem: the rules that run
// later would only say the same in other words.
func (d *decoder) at(line, column int, path, message, hint string) {
	if path != "" {
		if d.said[path] {
			return
		}
		d.said[path] = true
	}
	if len(d.problems) > maxProblems {
		return
	}
	if len(d.problems) == maxProblems {
		path, message, hint = "", "there are more mistakes than are shown", "mend these first"
	}
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Column: column, Path: path, Message: message, Hint: hint})
}

func (d *decoder) problem(n *yaml.Node, path, message, hint string) {
	d.at(max(n.Line, 1), max(n.Column, 1), path, message, hint)
}

// refuseIndirection refuses anchors, aliases, merge keys and tags. A reader sees
// every value where it is used, and no short file can grow into a huge one. What
// they are called is not said: it may be a secret that wants quotes.
func (d *decoder) refuseIndirection(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		d.problem(n, "", "the alias is not supported", noAnchors)
	case n.Anchor != "":
		d.problem(n, "", "the anchor is not supported", noAnchors)
	case n.Tag == "!!merge":
		d.problem(n, "", "the merge key << is not supported", noAnchors)
	case n.Style&yaml.TaggedStyle != 0:
		d.problem(n, "", "the tag is not supported", "remove it: the key decides the type; put quotes around a text that begins with !")
	}
	for _, c := range n.Content {
		d.refuseIndirection(c)
	}
}

const noAnchors = "write the value out where it is used, and put quotes around a text that begins with & or *"

// value decodes n into v, which is at path.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value, f field) {
	d.nodes[path] = n
	if n.Kind == yaml.AliasNode {
		d.said[path] = true // refuseIndirection has said it
		return
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	_, text := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case text || v.Kind() == reflect.String || v.Kind() == reflect.Bool || v.CanInt() || v.CanFloat():
		d.scalar(n, path, v, f)
	case v.Kind() == reflect.Struct:
		d.mapping(n, path, v)
	case v.Kind() == reflect.Map:
		d.table(n, path, v)
	case v.Kind() == reflect.Slice:
		d.list(n, path, v, f)
	}
}

// pairs gives the keys of a mapping and their values, each key once. A key that
// is written without anything behind it (all below it commented out) is an
// empty mapping.
func (d *decoder) pairs(n *yaml.Node, path string, each func(key, value *yaml.Node)) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.problem(n, path, "is "+kindOf(n)+", and keys with values are needed", "")
		return
	}
	first := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Tag == "!!merge" {
			continue
		}
		if key.Kind != yaml.ScalarNode {
			d.problem(key, "", "a key must be a plain text", "")
			continue
		}
		if before, again := first[key.Value]; again {
			// Two equal keys: which one would count depends on the reader.
			d.problem(key, "", fmt.Sprintf("%s: the key is given twice, first at line %d, column %d", join(path, key.Value), before.Line, before.Column), "keep one of the two")
			continue
		}
		first[key.Value] = key
		each(key, value)
	}
}

func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value) {
	fields := fieldsOf(v.Type())
	setDefaults(v, fields)
	given := map[string]bool{}
	d.pairs(n, path, func(key, value *yaml.Node) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == key.Value })
		if i < 0 {
			if len(d.problems) > maxProblems {
				return // nobody would read the suggestion
			}
			meant, hint := suggest(key.Value, path, fields)
			d.problem(key, join(path, key.Value), "is not a known key", hint)
			if meant != "" { // no second problem because that key is missing
				given[meant], d.said[join(path, meant)] = true, true
			}
			return
		}
		given[key.Value] = true
		d.value(value, join(path, key.Value), v.Field(fields[i].index), fields[i])
	})
	if d.said[path] && path != "" {
		return
	}
	for _, f := range fields {
		if f.required && !given[f.name] {
			hint := ""
			if f.example != "" {
				hint = "for example " + f.name + ": " + f.example
			}
			d.problem(n, join(path, f.name), "is missing", hint)
		}
	}
}

// table decodes a mapping whose keys are names that the operator chose.
func (d *decoder) table(n *yaml.Node, path string, v reflect.Value) {
	v.Set(reflect.MakeMap(v.Type()))
	d.pairs(n, path, func(key, value *yaml.Node) {
		at := join(path, key.Value)
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, at, element, field{})
		v.SetMapIndex(reflect.ValueOf(key.Value), element)
	})
}

func (d *decoder) list(n *yaml.Node, path string, v reflect.Value, f field) {
	if n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return
	}
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode {
			hint = "put brackets around it: [" + n.Value + "]"
		}
		d.problem(n, path, "is "+kindOf(n)+", and a list is needed", hint)
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, c := range n.Content {
		d.value(c, path+"["+strconv.Itoa(i)+"]", v.Index(i), f)
	}
}

func setDefaults(v reflect.Value, fields []field) {
	for _, f := range fields {
		x := v.Field(f.index)
		switch {
		case x.Kind() == reflect.Struct:
			setDefaults(x, fieldsOf(x.Type()))
		case f.fallback == "":
		case x.Type() == reflect.TypeFor[time.Duration]():
			x.SetInt(int64(mustDuration(f.fallback)))
		case x.CanInt():
			x.SetInt(int64(mustSize(f.fallback)))
		case x.CanFloat():
			x.SetFloat(mustFloat(f.fallback))
		case x.Kind() == reflect.Bool:
			x.SetBool(f.fallback == "true")
		default:
			x.SetString(f.fallback)
		}
	}
}

// kindOf names a node's type in words for people.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!bool":
		return "true or false"
	case "!!int", "!!float":
		return "a number"
	case "!!timestamp":
		return "a date"
	}
	return "a text"
}

// join appends a key to a path; keys that would be misread are quoted.
func join(path, key string) string {
	if key == "" || strings.ContainsFunc(key, func(r rune) bool {
		return r != '_' && r != '-' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
	}) {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}
