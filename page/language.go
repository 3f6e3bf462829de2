package page

import (
	"strings"

	"golang.org/x/text/language"
)

// languages are those that every text of ours exists in; the first is spoken to
// people who asked for none of them.
var languages = []string{"en", "ja", "ko"}

var matcher = language.NewMatcher([]language.Tag{language.English, language.Japanese, language.Korean})

// maxPreference bounds what is parsed of a header that anybody may send.
// Browsers send less than 200 octets.
const maxPreference = 1024

// Languages returns the languages that pages are written in, default first.
func Languages() []string {
	return append([]string(nil), languages...)
}

// Lang returns the language, one of Languages, that suits preferences best: each
// in the form of Accept-Language (RFC 9110 §12.5.4) or, as in ui_locales, tags
// separated by spaces; earlier ones count more.
func Lang(preferences ...string) string {
	for _, p := range preferences {
		if p == "" || len(p) > maxPreference {
			continue
		}
		if !strings.ContainsAny(p, ",;") { // ui_locales
			p = strings.Join(strings.Fields(p), ",")
		}
		tags, _, err := language.ParseAcceptLanguage(p)
		if err != nil || len(tags) == 0 {
			continue
		}
		if _, i, confidence := matcher.Match(tags...); confidence > language.No {
			return languages[i]
		}
	}
	return languages[0]
}

// Catalogue holds texts by language and key. Every key stands in every
// language; a test of whoever owns the catalogue says so with Missing.
type Catalogue map[string]map[string]string

// Text returns the text of key in lang, with each "{name}" replaced by
// args[name]. It is text, not HTML: a template must escape it. A key that is
// missing in lang is given in the default language, and one that is missing
// there as itself.
func (c Catalogue) Text(lang, key string, args map[string]string) string {
	text, ok := c[lang][key]
	if !ok {
		if text, ok = c[languages[0]][key]; !ok {
			return key
		}
	}
	if len(args) == 0 {
		return text
	}
	pairs := make([]string, 0, 2*len(args))
	for name, value := range args {
		pairs = append(pairs, "{"+name+"}", value)
	}
	return strings.NewReplacer(pairs...).Replace(text) // one pass: a value that holds "{name}" stays as it is
}

// Missing lists "language: key" for each key that some language has and another
// lacks.
func (c Catalogue) Missing() []string {
	var missing []string
	for _, have := range c {
		for key := range have {
			for _, lang := range languages {
				if c[lang][key] == "" {
					missing = append(missing, lang+": "+key)
				}
			}
		}
	}
	return missing
}
