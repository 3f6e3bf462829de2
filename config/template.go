package config

import "strings"

// checkTemplate says what is wrong with a redirect URI or a site, with or
// without {tenant}.
func checkTemplate(text string, _ *Config, _ *App) (message, hint string) {
	if !strings.Contains(text, ":") {
		return "is not an absolute URI", ""
	}
	return "", ""
}

// validLabel tells whether a text is one host label: letters, digits, hyphens
// (RFC 1123 §2.1), in lower case.
func validLabel(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" && s[0] != '-' && s[len(s)-1] != '-'
}
