package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// page opens the doctor's page and posts what see makes of its tasks, as the
// page's script would.
func page(t *testing.T, at string, see func(task) asked) {
	t.Helper()
	resp, err := http.Get(at)
	if err != nil {
		t.Error(err)
		return
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		t.Error(err)
		return
	}
	_, rest, _ := strings.Cut(string(text), "const tasks = ")
	list, _, _ := strings.Cut(rest, ";\n")
	var tasks []task
	if err := json.Unmarshal([]byte(list), &tasks); err != nil {
		t.Errorf("the page has no tasks: %v\n%s", err, text)
		return
	}
	told := browserReport{Cookies: true}
	for _, k := range tasks {
		told.Visits = append(told.Visits, see(k))
	}
	body, err := json.Marshal(told)
	if err != nil {
		t.Error(err)
		return
	}
	r, err := http.NewRequest(http.MethodPost, at+"report", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Origin", originOf(at))
	resp, err = http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("the report is answered %s", resp.Status)
	}
}

func browser(t *testing.T, see func(task) asked) Vantage {
	t.Helper()
	return BrowserVantage("127.0.0.1:0", func(at string) { go page(t, at, see) })
}

func TestWhatTheBrowserCannotLoadIsNamed(t *testing.T) {
	f := newFake(t)
	r := examine(t, Subject{Issuer: f.URL}, browser(t, func(k task) asked {
		return asked{For: k.For, URL: k.URL, Error: "TypeError"}
	}))
	found := wantFirst(t, r, ReachBrowser)
	if !strings.Contains(found.Check.Said, "this machine can") {
		t.Errorf("it says %q", found.Check.Said)
	}
}

func TestTheBrowserIsAskedForTheLoginPageThatTheDocumentNames(t *testing.T) {
	f := newFake(t)
	f.endpoints = map[string]string{"authorization_endpoint": f.URL + "/authorize"}
	var pages []string
	r := examine(t, Subject{Issuer: f.URL}, browser(t, func(k task) asked {
		pages = append(pages, k.URL)
		return asked{For: k.For, URL: k.URL, Opaque: true}
	}))
	if !r.OK {
		t.Errorf("found %+v", r.Findings)
	}
	if want := fmt.Sprint([]string{f.URL + wellKnown, f.URL + "/authorize"}); fmt.Sprint(pages) != want {
		t.Errorf("the browser is asked for %v, want %v", pages, want)
	}
}

// Any site that the person has open could ask 127.0.0.1; nobody without the
// address, and no page of another origin, is heard.
func TestThePageIsForWhoeverHasItsAddress(t *testing.T) {
	s := &browserServer{token: "secret", host: "127.0.0.1:7", plan: Plan{Allowed: []string{"https://auth.example.com"}}, got: make(chan browserReport, 1)}
	for _, tt := range []struct {
		name, method, path, host, origin string
		want                             int
	}{
		{"the page", "GET", "/secret/", "127.0.0.1:7", "", 200},
		{"without the token", "GET", "/", "127.0.0.1:7", "", 404},
		{"a name that leads here", "GET", "/secret/", "evil.example:7", "", 421},
		{"a report", "POST", "/secret/report", "127.0.0.1:7", "http://127.0.0.1:7", 204},
		{"a report of another site's page", "POST", "/secret/report", "127.0.0.1:7", "https://evil.example", 404},
		{"a report without the token", "POST", "/x/report", "127.0.0.1:7", "http://127.0.0.1:7", 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(context.Background(), tt.method, "http://"+tt.host+tt.path, strings.NewReader(`{"visits":[]}`))
			if err != nil {
				t.Fatal(err)
			}
			if tt.origin != "" {
				r.Header.Set("Origin", tt.origin)
			}
			w := newRecorder()
			s.ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("answered %d, want %d", w.Code, tt.want)
			}
			if policy := w.Header().Get("Content-Security-Policy"); tt.want == 200 && (!strings.Contains(policy, "default-src 'none'") || !strings.HasSuffix(policy, "connect-src 'self' https://auth.example.com")) {
				t.Errorf("the policy is %q", policy)
			}
		})
	}
}

func TestWithoutABrowserTheOthersAreJudgedAllTheSame(t *testing.T) {
	f := newFake(t)
	r, err := Examine(context.Background(), Subject{Issuer: f.URL}, Options{Timeout: 1e9, Vantages: []Vantage{BrowserVantage("127.0.0.1:0", func(string) {})}})
	if err != nil {
		t.Fatal(err)
	}
	if v := r.Vantages[len(r.Vantages)-1]; v.Name != Browser || !strings.Contains(v.Blind, "no browser") {
		t.Errorf("the vantages are %+v", r.Vantages)
	}
	if r.check("document/here/public").Status == "" {
		t.Error("what this machine saw is not in the report")
	}
}
