package explain

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"onedoor/docs"
)

const (
	ownPage    = "docs/troubleshooting.md"
	ownProgram = "onedoor"
	// foreignPart is the heading of the page's part about other programs, which
	// the entries know.
	foreignPart = "What apps and providers say"
	rulesPart   = "Rules in the log"
)

// own is what docs/troubleshooting.md says of the door's own messages.
type own struct {
	rules    map[string]*entry // by the rule's name
	families []*entry          // rules of the table whose name ends in …
	messages []*entry          // headings
}

var theDoors = sync.OnceValue(func() own { return readOwn(docs.Troubleshooting) })

// readOwn reads the page: a heading of the third level is a message or a rule,
// and what stands below it is its meaning.
func readOwn(page string) own {
	o := own{rules: map[string]*entry{}}
	part := ""
	for section := range strings.SplitSeq("\n"+page, "\n## ") {
		part, section, _ = strings.Cut(section, "\n")
		if part == foreignPart {
			continue
		}
		_, rest, _ := strings.Cut(section, "\n### ")
		for rest != "" {
			var one string
			one, rest, _ = strings.Cut(rest, "\n### ")
			title, body, _ := strings.Cut(one, "\n")
			o.add(part, title, body)
		}
	}
	return o
}

// ownText is a heading that is enough to know a line by: the shortest, such as
// "not ready: …", would know other programs' lines too.
const ownText = 12

func (o *own) add(part, title, body string) {
	body, table, _ := strings.Cut(body, "\nThe rest, in a sentence each:\n")
	e := &entry{
		id: "onedoor/" + anchor(title), title: title, means: plain(body),
		see: []string{ownPage + "#" + anchor(title)},
	}
	e.says = []says{{by: ownProgram, text: title, seen: Source}}
	if part == rulesPart {
		e.id, e.title = "onedoor/"+title, "the rule "+title
		o.rules[title] = e
		o.addTable(table)
		return
	}
	if len(strings.Trim(e.says[0].pattern().anchor, " ")) >= ownText {
		o.messages = append(o.messages, e)
	}
}

var tableRow = regexp.MustCompile("(?m)^\\| (`[^|]*) \\| ([^|]*) \\|$")

// addTable reads the rules that are explained in a sentence each.
func (o *own) addTable(table string) {
	for _, row := range tableRow.FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(row[1], ",") {
			name = strings.Trim(name, " `")
			e := &entry{
				id: "onedoor/" + name, title: "the rule " + name, means: "It met " + plain(row[2]) + ".",
				says: []says{{by: ownProgram, text: name, seen: Source}},
				see:  []string{ownPage + "#" + anchor(rulesPart)},
			}
			if prefix, ok := strings.CutSuffix(name, "…"); ok {
				e.says[0].text = prefix
				o.families = append(o.families, e)
				continue
			}
			o.rules[name] = e
		}
	}
}

// maxRuleName bounds what is taken for a rule's name.
const maxRuleName = 64

var (
	// ruleName is a rule alone, as people copy it.
	ruleName = regexp.MustCompile(`^\s*([a-z_]+(?:\.[a-z_]+)*)\s*$`)
	// attribute is one of a line in the format text.
	attribute = regexp.MustCompile(`\b(rule|got|want)=("(?:[^"\\]|\\.)*"|[^\s"]+)`)
)

// ruleOf reads which rule refused, what it got and what it would want, of a line
// of the door's log in either format.
func ruleOf(l line) values {
	if len(l.raw) < maxRuleName {
		if m := ruleName.FindStringSubmatch(l.raw); m != nil {
			return values{"rule": m[1]}
		}
	}
	if !strings.Contains(l.raw, "rule") {
		return nil
	}
	v := values{}
	var fields map[string]any
	if start := strings.IndexByte(l.raw, '{'); start >= 0 && json.Unmarshal([]byte(l.raw[start:]), &fields) == nil {
		for _, name := range []string{"rule", "got", "want"} {
			if text, ok := fields[name].(string); ok {
				v[name] = text
			}
		}
	} else {
		for _, a := range attribute.FindAllStringSubmatch(l.raw, -1) {
			v[a[1]] = a[2]
			if text, err := strconv.Unquote(a[2]); err == nil {
				v[a[1]] = text
			}
		}
	}
	if v["rule"] == "" {
		return nil
	}
	return v
}

// ruleMatches finds the rule that a line of the door's log names.
func ruleMatches(l line) []match {
	v := ruleOf(l)
	if v == nil {
		return nil
	}
	e := theDoors().rule(v["rule"])
	if e == nil {
		return nil
	}
	named := *e
	named.id, named.title = "onedoor/"+v["rule"], "the rule "+v["rule"]
	return []match{{entry: &named, says: &says{by: ownProgram, text: v["rule"], seen: Source}, values: v}}
}

func (o own) rule(name string) *entry {
	if e := o.rules[name]; e != nil {
		return e
	}
	for _, e := range o.families {
		if strings.HasPrefix(name, e.says[0].text) {
			return e
		}
	}
	return nil
}

var (
	mdLink  = regexp.MustCompile(`\[([^\]]+)\]\([^)]*\)`)
	mdEmph  = regexp.MustCompile(`\*{1,2}([^*]+)\*{1,2}`)
	mdBreak = regexp.MustCompile(`\s*\n\s*`)
	mdBlock = regexp.MustCompile(`\n\n+`)
	mdItem  = regexp.MustCompile(`(?m)^- `)
)

// plain is Markdown as text; paragraphs and items keep a line each.
func plain(md string) string {
	md = mdEmph.ReplaceAllString(mdLink.ReplaceAllString(md, "$1"), "$1")
	md = mdItem.ReplaceAllString(strings.ReplaceAll(md, "`", ""), "\n\n- ")
	var out []string
	for _, block := range mdBlock.Split(strings.TrimSpace(md), -1) {
		out = append(out, mdBreak.ReplaceAllString(strings.TrimSpace(block), " "))
	}
	return strings.Join(out, "\n")
}

// anchor is the fragment of a heading, as GitHub makes it.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return -1
	}, heading)
}
