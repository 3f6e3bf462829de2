package explain

import (
	"maps"
	"regexp"
	"strings"
)

// pattern finds one message in a line.
type pattern struct {
	re      *regexp.Regexp // linear in the line's length, as all of Go's are
	names   []string       // of the gaps that are kept
	heading string         // the message with … for every gap
	anchor  string         // its longest literal part in lower case: no line without it can match
	weight  int            // how many octets are literal
}

// gap is what stands between the literal parts of a message.
var gap = regexp.MustCompile(`…|\{[a-z_]+\}`)

// What may stand in a gap of a name. The others hold anything but white space,
// quotation marks and angle brackets, as a URL does.
var classes = map[string]string{
	"address": `[0-9A-Za-z.:%_\-\[\]]+`,
	"host":    "[^\\s\"'`()<>{},;:/]+",
	"code":    `[A-Za-z_]+`,
	"n":       `[0-9]+`,
	"status":  `[0-9]{3}`,
	"port":    `[0-9]+`,
	"names":   "[^\"'`<>]+",
}

const otherClass = "[^\\s\"'`<>]+"

// compile makes a pattern of a message. Letters of either case match: people
// retype what they read.
func compile(text string) *pattern {
	p := &pattern{heading: gap.ReplaceAllString(text, "…")}
	var re strings.Builder
	re.WriteString(`(?i)`)
	rest := text
	for {
		at := gap.FindStringIndex(rest)
		literal := rest
		if at != nil {
			literal = rest[:at[0]]
		}
		re.WriteString(regexp.QuoteMeta(literal))
		p.weight += len(literal)
		if len(literal) > len(p.anchor) {
			p.anchor = strings.ToLower(literal)
		}
		if at == nil {
			break
		}
		name, after := rest[at[0]:at[1]], rest[at[1]:]
		re.WriteString(p.gap(name, literal, after))
		rest = after
	}
	p.re = regexp.MustCompile(re.String())
	return p
}

// gap is the expression for one gap between its literal neighbours.
func (p *pattern) gap(name, before, after string) string {
	if name == "…" {
		if after == "" {
			return ""
		}
		return `.*?`
	}
	name = strings.Trim(name, "{}")
	p.names = append(p.names, name)
	class, known := classes[name]
	if !known {
		class = otherClass
	}
	if before != "" && after != "" && before[len(before)-1] == after[0] && strings.ContainsRune("\"'`", rune(after[0])) {
		return `([^` + after[:1] + `]*)` // in quotation marks anything, line breaks too
	}
	if after != "" {
		class += "?"
	}
	return `(` + class + `)`
}

// find returns the values of the message if it stands in the line: those of its
// gaps, its own, and those of the lines below.
func (s *says) find(l line) (values, bool) {
	p := s.pattern()
	found := p.re.FindStringSubmatch(l.text)
	if found == nil {
		return nil, false
	}
	v := values{}
	maps.Copy(v, s.fixed)
	for i, name := range p.names {
		v[name] = unwrap(found[i+1])
	}
	for name, expression := range s.below {
		if v[name] == "" {
			v[name] = l.findBelow(expression)
		}
	}
	v.derive()
	return v, true
}

// unwrap takes off a value what stands behind it in a sentence or a program's
// notation: `[Error: … got: http://x]`.
func unwrap(s string) string {
	for s != "" {
		last := s[len(s)-1]
		open := map[byte]byte{']': '[', ')': '(', '}': '{'}[last]
		switch {
		case last == ',' || last == ';':
		case open != 0 && strings.IndexByte(s, open) < 0:
		default:
			return s
		}
		s = s[:len(s)-1]
	}
	return s
}
