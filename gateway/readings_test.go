package gateway

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
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
		{
			"an assertion of which parsers read different members", "POST", "/token", kind,
			// {"sub":"shop","Sub":"stranger"}
			stranger + "&client_assertion=e30.eyJzdWIiOiJzaG9wIiwiU3ViIjoic3RyYW5nZXIifQ.e30",
		},
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

func TestAFormThatDoesNotComeIsNotWaitedFor(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.limits.FormTimeout = 50 * time.Millisecond
	b.build()
	c := b.door.dial("")
	defer c.Close()
	fmt.Fprint(c, "POST /token HTTP/1.1\r\nHost: auth.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 60000\r\n\r\ngrant")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := read(t, resp); a.status != http.StatusBadRequest || !strings.Contains(a.body, "could not be read") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestConnectionsOutliveAFormThatCame: the limit is the form's alone.
func TestConnectionsOutliveAFormThatCame(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	b.limits.FormTimeout = 50 * time.Millisecond
	b.build()
	c := b.door.dial("")
	defer c.Close()
	in := bufio.NewReader(c)
	began := time.Now()
	for i := range 2 {
		if i > 0 {
			until(t, "the form's time to be over", func() bool { return time.Since(began) > 2*b.limits.FormTimeout })
		}
		fmt.Fprint(c, "POST /token HTTP/1.1\r\nHost: auth.example.com\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 18\r\n\r\nclient_id=stranger")
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		read(t, resp)
	}
}

func TestWhatIsNoFormIsNotInTheLog(t *testing.T) {
	b := newAuthorizeBed(t, nil)
	const body = "{client_secret:SECRET=%zz}"
	a := b.door.raw("", "POST", fmt.Appendf(nil, "POST /token HTTP/1.1\r\nHost: auth.example.com\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
	if log := b.door.log.String(); a.status != http.StatusBadRequest || strings.Contains(log, "SECRET") || !strings.Contains(log, "form.syntax") {
		t.Errorf("%d\n%s", a.status, log)
	}
}
