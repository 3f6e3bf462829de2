package config

import (
	"fmt"
	"reflect"
	"strings"

	"onedoor/tenant"
)

// suggest says what an unknown key may have been meant for: a key beside it that
// is spelt nearly the same (then it is meant), or the same key in another
// section.
func suggest(key, path string, beside []field) (meant, hint string) {
	names := make([]string, len(beside))
	for i, f := range beside {
		names[i] = f.name
	}
	if near := Nearest(key, names); near != "" {
		return near, fmt.Sprintf("did you mean %s?", near)
	}
	if places := placesOf(key, reflect.TypeFor[Config](), ""); len(places) > 0 {
		return "", "that key belongs elsewhere: " + strings.Join(places, ", ")
	}
	if len(names) == 0 {
		return "", "no keys are known here"
	}
	where := "at the top of the file"
	if path != "" {
		where = "here"
	}
	return "", fmt.Sprintf("known %s: %s", where, strings.Join(names, ", "))
}

// placesOf finds every section that knows the key.
func placesOf(key string, t reflect.Type, path string) []string {
	var out []string
	for _, f := range fieldsOf(t) {
		at := strings.TrimPrefix(path+"."+f.name, ".")
		if f.name == key {
			out = append(out, at)
		}
		next, suffix := elementOf(f.typ)
		if next.Kind() == reflect.Struct && strings.HasPrefix(next.PkgPath(), t.PkgPath()) {
			out = append(out, placesOf(key, next, at+suffix)...)
		}
	}
	return out
}

// elementOf walks through pointers, lists and tables to the type inside.
func elementOf(t reflect.Type) (reflect.Type, string) {
	suffix := ""
	for {
		switch t.Kind() {
		case reflect.Pointer:
		case reflect.Slice:
			suffix += "[]"
		case reflect.Map:
			suffix += ".NAME"
		default:
			return t, suffix
		}
		t = t.Elem()
	}
}

// Nearest gives the name at the smallest edit distance, or "" where none is near
// enough to be a slip of the finger: two edits, fewer for short words.
func Nearest(word string, names []string) string {
	best, limit := "", min(2, len(word)/3)+1
	if len(word) > 64 {
		return ""
	}
	for _, name := range names {
		if n := tenant.Distance(strings.ToLower(word), name); n < limit {
			best, limit = name, n
		}
	}
	return best
}
