package tenant

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"onedoor/oidc"
)

// Bounds of what is added to a tenant's authorization requests, in number and
// octets: it travels in a URL beside what the app sent, and Keycloak takes 4,000
// characters for a parameter.
const (
	maxParameters     = 16
	maxParameterName  = 64
	maxParameterValue = 1024
	maxParameterSum   = 2048
)

// protocolParameters are the app's, the door's or the provider's word. Added
// for a tenant they would change what the app asked for or proves, or be read
// as part of the answer.
var protocolParameters = map[string]bool{
	"client_id": true, "client_secret": true, "client_assertion": true, "client_assertion_type": true,
	"redirect_uri": true, "response_type": true, "response_mode": true, "state": true, "nonce": true,
	"code_challenge": true, "code_challenge_method": true, "code_verifier": true, "dpop_jkt": true,
	"request": true, "request_uri": true, "registration": true, "grant_type": true,
	"code": true, "iss": true, "error": true, "response": true, "id_token": true, "access_token": true,
	"id_token_hint": true, // says who the person is
}

// CheckParameters says what is wrong with parameters that are to be added to
// authorization requests (RFC 6749 §4.1.1, OIDC Core §3.1.2.1). The paths are
// their names.
func CheckParameters(ps map[string]string) []Problem {
	var all []Problem
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		value := ps[name]
		sum += len(name) + len(value)
		if message, hint := checkParameter(name, value); message != "" {
			all = append(all, Problem{name, message, hint})
		}
	}
	if len(ps) > maxParameters || sum > maxParameterSum {
		all = append(all, Problem{"", fmt.Sprintf("%d parameters of %d octets are too many for a URL that already carries a login", len(ps), sum), fmt.Sprintf("at most %d, and %d octets together", maxParameters, maxParameterSum)})
	}
	return all
}

// mayBeAdded says whether a parameter's name is neither one of the protocol's
// own nor one that somebody would read as such (THREATS T-19).
func mayBeAdded(name string) bool {
	return !protocolParameters[name] && oidc.Params{{Name: name}}.Alias() == ""
}

func checkParameter(name, value string) (message, hint string) {
	alias := oidc.Params{{Name: name, Value: value}}.Alias()
	switch {
	case name == "":
		return "a parameter without a name", "give it one, or remove it"
	case protocolParameters[name]:
		return name + " is the app's or the door's to say", "remove it"
	case alias != "":
		return fmt.Sprintf("%q is read by some servers as another name", name), "write it as the provider documents it, in lower case and without brackets or dots"
	case len(name) > maxParameterName:
		return fmt.Sprintf("a name of %d octets", len(name)), fmt.Sprintf("at most %d", maxParameterName)
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fmt.Sprintf("%q is no parameter's name", name), "ASCII without spaces (RFC 6749 §8.2)"
	case len(value) > maxParameterValue:
		return fmt.Sprintf("a value of %d octets", len(value)), fmt.Sprintf("at most %d", maxParameterValue)
	case value == "":
		return "has no value", "a parameter without a value is as good as none (RFC 6749 §3.1): remove it"
	case !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7F }):
		return "holds a control character, or is not UTF-8", "printable text"
	}
	return "", ""
}
