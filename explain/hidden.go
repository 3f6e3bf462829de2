package explain

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// visible shows what eyes miss: control and format characters, line breaks, the
// other kinds of white space, and space at an end.
func visible(s string) string {
	inner := strings.Trim(s, " ")
	if inner == "" {
		return strings.ReplaceAll(s, " ", `\x20`)
	}
	before, after, _ := strings.Cut(s, inner)
	var b strings.Builder
	b.WriteString(strings.Repeat(`\x20`, len(before)))
	for _, r := range inner {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r != ' ' && invisible(r):
			fmt.Fprintf(&b, `\u{%04X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteString(strings.Repeat(`\x20`, len(after)))
	return b.String()
}

func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs, unicode.Variation_Selector) || r == '\u3164' || r == unicode.ReplacementChar
}

// escaped are the same characters where a program wrote them out.
var escaped = regexp.MustCompile(`(?i)\\+[nrt]|\\+u(?:200[b-f]|202[8-9a-e]|206[0-4]|feff|00a0|00ad|000[0-9a-f])|%0[0-9a-d]|%c2%a[0d]|%e2%80%(?:8[b-f]|a[89a-e])|%e2%81%a[0-4]|%ef%bb%bf|^%20|%20$`)

// hidden names the invisible characters of a value, as a person would look for
// them; "" if there are none.
func hidden(s string) string {
	var found []string
	for i, r := range s {
		if r != ' ' && invisible(r) {
			found = append(found, nameOf(r)+" "+position(s, i, len(string(r))))
		}
	}
	for _, at := range escaped.FindAllStringIndex(s, 5) {
		found = append(found, s[at[0]:at[1]]+" "+position(s, at[0], at[1]-at[0]))
	}
	if strings.HasPrefix(s, " ") {
		found = append(found, "a space at the beginning")
	}
	if strings.HasSuffix(s, " ") {
		found = append(found, "a space at the end")
	}
	return strings.Join(found[:min(len(found), 5)], ", ")
}

func position(s string, at, length int) string {
	switch {
	case at == 0:
		return "at the beginning"
	case at+length >= len(s):
		return "at the end"
	}
	return fmt.Sprintf("after %d characters", len([]rune(s[:at])))
}

func nameOf(r rune) string {
	switch r {
	case '\n':
		return "a line break (U+000A)"
	case '\r':
		return "a carriage return (U+000D)"
	case '\t':
		return "a tab (U+0009)"
	case '\u00a0':
		return "a no-break space (U+00A0)"
	case '\u200b':
		return "a zero-width space (U+200B)"
	case '\ufeff':
		return "a byte order mark (U+FEFF)"
	}
	return fmt.Sprintf("an invisible character (U+%04X)", r)
}

// foreign names the first letter of a host that is not of ASCII: one of another
// script may look the same.
func foreign(host string) string {
	for _, r := range host {
		if r > unicode.MaxASCII && !invisible(r) {
			return fmt.Sprintf("%c (U+%04X)", r, r)
		}
	}
	return ""
}

// hiddenCauses are those that nobody sees in the values.
func (v values) hiddenCauses() (all []cause) {
	for _, name := range slices.Sorted(maps.Keys(v)) {
		switch name {
		case "host", "port", "name":
			continue // parts of others
		}
		if slices.Contains(derived, name) {
			continue
		}
		what := ""
		if found := hidden(v[name]); found != "" {
			what = "The value " + v.show(name) + " has characters that nobody sees: " + found + "."
		} else if letter := foreign(parse(v[name]).host); letter != "" {
			what = "The host of " + v.show(name) + " has the letter " + letter + ", which is none of ASCII and may look like one."
		}
		if what != "" {
			all = append(all, cause{
				what:    what,
				confirm: []string{"printf %s \"$VALUE\" | od -c    # the value as the app has it"},
				without: "Type the value anew where it is set: an environment file, a secret, a copied line. A secret made with echo has a line break at its end; printf %s makes none.",
			})
		}
	}
	return all
}
