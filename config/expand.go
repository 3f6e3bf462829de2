package config

import (
	"fmt"
	"strings"
)

// expand replaces ${VAR} and ${VAR:-default} in one value; $${ is a literal ${.
// It runs on values that are parsed already, so what a variable holds can not
// become YAML: no key, no list, no second value.
//
// As in a shell, :- also covers a variable that is set and empty.
func expand(text string, getenv func(string) (string, bool)) (out, problem, hint string) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			b.WriteString(text)
			return b.String(), "", ""
		}
		if i > 0 && text[i-1] == '$' {
			b.WriteString(text[:i-1] + "${")
			text = text[i+2:]
			continue
		}
		b.WriteString(text[:i])
		text = text[i+2:]
		end := strings.IndexByte(text, '}')
		if end < 0 {
			return "", "${ without its }", "close it, or write $${ for a literal ${"
		}
		name, fallback, hasFallback := strings.Cut(text[:end], ":-")
		text = text[end+1:]
		if !isVariable(name) {
			return "", fmt.Sprintf("${%s} is not the name of an environment variable", name), "write ${VAR} or ${VAR:-default}; $${ is a literal ${"
		}
		if strings.Contains(fallback, "${") {
			return "", fmt.Sprintf("the default of ${%s} holds another variable", name), "a default is a plain text"
		}
		value, set := getenv(name)
		switch {
		case hasFallback && value == "":
			value = fallback
		case !set:
			return "", fmt.Sprintf("the environment variable %s is not set", name), fmt.Sprintf("set it, or give a default: ${%s:-…}", name)
		}
		b.WriteString(value)
	}
}

func isVariable(name string) bool {
	for i, r := range name {
		letter := r == '_' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}
