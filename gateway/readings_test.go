package gateway

import (
	"fmt"
	"net/http"
	"testing"
)

// TestARequestThatServersReadDifferentlyGoesNowhere: the door would act for one
// client, or for none of its own, and the provider for another (THREATS T-18,
// T-19, T-45).
func TestARequestThatServersReadDifferentlyGoesNowhere(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	const kind = "Content-Type: application/x-www-form-urlencoded\r\n"
	const stranger = "grant_type=authorization_code&code=K&client_id=stranger"
	for _, tt := range []struct{ name, method, path, header, body string }{
		{"a second media type", "POST", "/token", kind + "Content-Type: multipart/form-data; boundary=b\r\n", stranger},
		{"a charset that moves letters", "POST", "/token", "Content-Type: application/x-www-form-urlencoded; charset=utf-7\r\n", stranger},
		{"a charset that moves letters, in front", "POST", "/authorize", "Content-Type: application/x-www-form-urlencoded; charset=IBM037\r\n", "client_id=stranger"},
		{"a coding behind an empty one", "POST", "/token", kind + "Content-Encoding:\r\nContent-Encoding: gzip\r\n", stranger},
		{"two credentials, the first of another scheme", "POST", "/token", kind + "Authorization: DPoP x\r\nAuthorization: Basic c2hvcDpzaG9wLXNlY3JldA==\r\n", stranger},
		{"two credentials, the first empty", "POST", "/token", kind + "Authorization:\r\nAuthorization: Basic c2hvcDpzaG9wLXNlY3JldA==\r\n", stranger},
		{"credentials behind a tab", "POST", "/token", kind + "Authorization: Basic\tc2hvcDpzaG9wLXNlY3JldA==\r\n", stranger},
		{"an assertion of which parsers read different members", "POST", "/token", kind,
			// {"sub":"shop","Sub":"stranger"}
			stranger + "&client_assertion=e30.eyJzdWIiOiJzaG9wIiwiU3ViIjoic3RyYW5nZXIifQ.e30"},
		{"an alias beside an unknown client_id", "GET", "/authorize?response_type=code&client_id=stranger&client.id=shop", "", ""},
		{"an alias and no client_id", "GET", "/authorize?response_type=code&client_id[]=shop", "", ""},
		{"an alias in a POST", "POST", "/authorize", kind, "client_id=stranger&Client_Id=shop"},
		{"a body beside the query", "GET", "/authorize?client_id=stranger", kind, "client_id=shop"},
		{"a body beside the query of a logout", "GET", "/logout?client_id=stranger", kind, "client_id=shop"},
	} {
		b.seen = nil
		a := b.door.raw("", tt.method, fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: auth.example.com\r\nConnection: close\r\n%sContent-Length: %d\r\n\r\n%s", tt.method, tt.path, tt.header, len(tt.body), tt.body))
		if a.status < 400 || a.status > 499 || len(b.seen) != 0 {
			t.Errorf("%s: %d, the provider got %v", tt.name, a.status, b.seen)
		}
	}
}

func TestFormsAreReadInEveryCharsetThatKeepsASCII(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	for _, charset := range []string{"utf-8", "UTF-8", `"utf-8"`, "ISO-8859-1", "us-ascii", "windows-1252"} {
		b.seen = nil
		body := "grant_type=refresh_token&refresh_token=r&client_id=stranger"
		a := b.door.raw("", "POST", fmt.Appendf(nil, "POST /token HTTP/1.1\r\nHost: auth.example.com\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded; charset=%s\r\nContent-Length: %d\r\n\r\n%s", charset, len(body), body))
		if a.status == http.StatusUnsupportedMediaType || len(b.seen) != 1 {
			t.Errorf("%s: %d %s", charset, a.status, a.body)
		}
	}
}
