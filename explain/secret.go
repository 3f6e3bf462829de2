package explain

import (
	"regexp"
	"strings"
	"unicode"
)

// redact takes out of a value what may be a secret: of a URL the user and
// password, the values of its query and its fragment; elsewhere whatever looks
// like a token. Too much is taken rather than too little: the person has the
// line before them.
func redact(s string) string {
	s, rest := cutAny(s, "?#")
	if rest != "" {
		rest = names(rest)
	}
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		authority, path := cutAny(after, "/")
		user := ""
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			user, authority = "…@", authority[at+1:]
		}
		return scheme + "://" + user + words(authority) + words(path) + rest
	}
	return words(s) + rest
}

// cutAny parts a text before the first of some characters.
func cutAny(s, chars string) (before, rest string) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// names leaves of a query the parameters' names, and of a fragment nothing.
func names(rest string) string {
	query, fragment, _ := strings.Cut(rest, "#")
	var out []string
	for pair := range strings.SplitSeq(strings.TrimPrefix(query, "?"), "&") {
		name, _, given := strings.Cut(pair, "=")
		if !given || secretish(name) {
			name = ""
		}
		out = append(out, words(name)+"=…")
	}
	text := ""
	if strings.HasPrefix(query, "?") {
		text = "?" + strings.Join(out, "&")
	}
	if fragment != "" || strings.HasPrefix(rest, "#") {
		text += "#…"
	}
	return text
}

var (
	word = regexp.MustCompile(`[^\s/:;,'"\[\](){}<>]+`)
	uuid = regexp.MustCompile(`(?i)^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	run  = regexp.MustCompile(`[A-Za-z0-9+=]+`)
)

func words(s string) string {
	return word.ReplaceAllStringFunc(s, func(w string) string {
		if secretish(w) {
			return "…"
		}
		return w
	})
}

// secretish tells whether a word may be a code, a token, a cookie or a key. An
// identifier of a realm or a directory, a UUID, is none.
func secretish(w string) bool {
	if uuid.MatchString(w) {
		return false
	}
	if strings.HasPrefix(w, "eyJ") || strings.Contains(w, "@") && len(w) > 12 {
		return true
	}
	if strings.Contains(w, "=") && len(w) > 2 { // name=value
		return true
	}
	long := 0
	for _, part := range run.FindAllString(w, -1) {
		digits := strings.IndexFunc(part, unicode.IsDigit) >= 0
		letters := strings.IndexFunc(part, unicode.IsLetter) >= 0
		mixed := strings.ToLower(part) != part && strings.ToUpper(part) != part
		if len(part) >= 16 && letters && (digits || mixed) || len(part) >= 32 {
			return true
		}
		if digits && letters {
			long += len(part)
		}
	}
	return long >= 20 || len(w) > 80
}
