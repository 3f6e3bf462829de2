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

func (d *decoder) scalar(n *yaml.Node, path string, v reflect.Value, f field) {
	if n.Kind != yaml.ScalarNode {
		d.problem(n, path, "is "+kindOf(n)+", and one value is needed", "")
		return
	}
	if n.Tag == "!!null" {
		d.problem(n, path, "has no value", "write one, or remove the key")
		return
	}
	text, problem, hint := expand(n.Value, d.getenv)
	if problem != "" {
		d.problem(n, path, problem, hint)
		return
	}
	control := func(r rune) bool { return unicode.IsControl(r) && (!f.lines || r != '\n') }
	if i := strings.IndexFunc(text, control); i >= 0 {
		d.problem(n, path, fmt.Sprintf("holds the control character %U", []rune(text[i:])[0]), "")
		return
	}
	if message, hint := setScalar(n, text, text != n.Value, v, f); message != "" {
		d.problem(n, path, message, hint)
	}
}

// setScalar parses text into v by v's type. expanded tells that a variable was
// in it: then its YAML type says nothing.
func setScalar(n *yaml.Node, text string, expanded bool, v reflect.Value, f field) (message, hint string) {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		return setDuration(text, v, f)
	}
	if v.CanInt() {
		return setInt(text, v, f)
	}
	if v.CanFloat() {
		return setFloat(text, v, f)
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return fmt.Sprintf("%q is not a network", text), "write it as address/bits: 10.0.0.0/8, 2001:db8::/32, or one address as 192.0.2.7/32"
		}
		return "", ""
	}
	if v.Kind() == reflect.Bool {
		if text != "true" && text != "false" || n.Tag != "!!bool" && !expanded {
			return fmt.Sprintf("%q is neither true nor false", text), "write true or false, without quotes"
		}
		v.SetBool(text == "true")
		return "", ""
	}
	if n.Tag == "!!int" && !expanded && strings.HasPrefix(f.example, ":") {
		return "is a number, and an address is needed", fmt.Sprintf("write %q", ":"+n.Value)
	}
	if n.Tag != "!!str" && !expanded {
		hint = "put quotes around it"
		if v.Type() != reflect.TypeFor[Secret]() {
			hint += fmt.Sprintf(": %q", n.Value)
		}
		return "is " + kindOf(n) + ", and a text is needed", hint
	}
	if len(f.enum) > 0 && !slices.Contains(f.enum, text) {
		hint = "one of " + strings.Join(f.enum, ", ")
		if near := Nearest(text, f.enum); near != "" {
			hint = fmt.Sprintf("did you mean %s? (%s)", near, hint)
		}
		return fmt.Sprintf("%q is not known", text), hint
	}
	v.SetString(text)
	return "", ""
}

func setDuration(text string, v reflect.Value, f field) (message, hint string) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Sprintf("%q is not a duration", text), "a number with its unit: 30s, 2m, 1h"
	}
	if d < mustDuration(f.min) || d > mustDuration(f.max) {
		return fmt.Sprintf("%s is out of bounds", text), fmt.Sprintf("from %s to %s", f.min, f.max)
	}
	v.SetInt(int64(d))
	return "", ""
}

// mustDuration reads a bound from a struct tag of this package.
func mustDuration(tag string) time.Duration {
	d, err := time.ParseDuration(tag)
	if err != nil {
		panic(fmt.Sprintf("config: struct tag %q: %v", tag, err)) // a tag of ours, never input
	}
	return d
}

func setInt(text string, v reflect.Value, f field) (message, hint string) {
	size := v.Type() == reflect.TypeFor[Size]()
	n, ok := parseSize(text)
	if !ok || !size && strings.HasSuffix(text, "iB") {
		if size {
			return fmt.Sprintf("%q is not a size", text), "a number of octets, or one with its unit: 64KiB, 2MiB"
		}
		return fmt.Sprintf("%q is not a number", text), fmt.Sprintf("a whole number, from %s to %s", f.min, f.max)
	}
	if n < mustSize(f.min) || n > mustSize(f.max) {
		return text + " is out of bounds", fmt.Sprintf("from %s to %s", f.min, f.max)
	}
	v.SetInt(int64(n))
	return "", ""
}

// mustSize reads a bound from a struct tag of this package.
func mustSize(tag string) Size {
	n, ok := parseSize(tag)
	if !ok {
		panic(fmt.Sprintf("config: struct tag %q is no size", tag)) // a tag of ours, never input
	}
	return n
}

var units = []struct {
	name   string
	octets int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads a number of octets, with or without a unit.
func parseSize(text string) (Size, bool) {
	factor := int64(1)
	for _, u := range units {
		if before, ok := strings.CutSuffix(text, u.name); ok {
			text, factor = before, u.octets
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor || text[0] == '+' {
		return 0, false
	}
	return Size(n * factor), true
}
