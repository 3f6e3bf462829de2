package explain

import (
	neturl "net/url"
	"regexp"
	"strings"
	"sync"
)

// line is a line of a log without what its way to here has put into it.
type line struct {
	raw   string // as it came, but for what terminals obey
	text  string
	lower string   // for finding literals without regard to case
	after []string // the lines that follow, as they came
}

// escapes are what terminals obey: colours, mostly.
var escapes = regexp.MustCompile(`\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])`)

// described is a provider's message in an address (RFC 6749 §4.1.2.1).
var described = regexp.MustCompile(`\berror_description=([^&\s"'<>]+)`)

// written undoes how JSON, logs and web pages write the characters that
// messages have. Line breaks and invisible characters stay as they are written:
// a value may have them by mistake, and hidden finds them.
var written = strings.NewReplacer(
	`\\\"`, `"`, `\"`, `"`, `\'`, `'`, `\u003c`, `<`, `\u003e`, `>`, `\u0026`, `&`, `\/`, `/`,
	"&#34;", `"`, "&quot;", `"`, "&#39;", `'`, "&#x27;", `'`, "&#43;", `+`, "&amp;", `&`, "&lt;", `<`, "&gt;", `>`, "&#x2F;", `/`,
	"‘", `'`, "’", `'`, "“", `"`, "”", `"`,
)

func newLine(s string) line {
	raw := strings.ToValidUTF8(s[:min(len(s), MaxLine)], "\uFFFD")
	if strings.Contains(raw, "\x1b") {
		raw = escapes.ReplaceAllString(raw, "")
	}
	text := written.Replace(raw)
	for _, m := range described.FindAllStringSubmatch(text, 3) {
		// An address has the provider's words in another spelling.
		if words, err := neturl.QueryUnescape(m[1]); err == nil && words != m[1] {
			text += " " + words
		}
	}
	return line{raw: raw, text: text, lower: strings.ToLower(text)}
}

// near is how many lines below one may say more of it: an error's cause is
// printed under it.
const near = 40

// belows are the expressions of values below, compiled.
var belows sync.Map

// findBelow finds a value behind the message or in the lines that follow.
func (l line) findBelow(expression string) string {
	re, ok := belows.Load(expression)
	if !ok {
		re, _ = belows.LoadOrStore(expression, regexp.MustCompile(expression))
	}
	for i, text := range append([]string{l.text}, l.after...) {
		if i > near {
			break
		}
		if i > 0 {
			text = newLine(text).text
		}
		if m := re.(*regexp.Regexp).FindStringSubmatch(text); m != nil {
			return m[1]
		}
	}
	return ""
}
