package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"onedoor/admin"
)

// tell runs a command and returns what it said.
func tell(ctx context.Context, t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr output
	code = run(ctx, args, strings.NewReader(""), &stdout, &stderr)
	return code, stdout.String(), stderr.String()
}

func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Through a running door a command does what it does on the database, with the
// rights of its token.
func TestACommandSpeaksToARunningDoor(t *testing.T) {
	_, api, _ := adminDoor(t, "")
	token := writeFile(t, "token", adminToken+"\n")
	on := func(args ...string) []string {
		return append(append([]string{}, args[:2]...), append([]string{"--server", api, "--token-file", token}, args[2:]...)...)
	}
	if code, out, errs := tell(t.Context(), t, on("tenant", "add", "acme")...); code != 0 || !strings.Contains(out, "active") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	code, out, errs := tell(t.Context(), t, on("token", "add", "--scope", "tenants:read", "--json", "reader")...)
	if code != 0 {
		t.Fatalf("%d %s", code, errs)
	}
	_, rest, _ := strings.Cut(out, `"secret": "`)
	secret, _, _ := strings.Cut(rest, `"`)
	token = writeFile(t, "token", secret)
	if code, out, errs = tell(t.Context(), t, on("tenant", "show", "acme")...); code != 0 || !strings.Contains(out, "acme") {
		t.Errorf("%d %s", code, errs)
	}
	code, _, errs = tell(t.Context(), t, on("tenant", "add", "globex")...)
	if code != 2 || !strings.Contains(errs, "has no scope tenants:write") {
		t.Errorf("%d %s", code, errs)
	}
	token = writeFile(t, "token", "another")
	code, _, errs = tell(t.Context(), t, on("tenant", "list", "--json")...)
	if code != 2 || !strings.Contains(errs, "token is none") || strings.Contains(errs, "another") {
		t.Errorf("%d %s", code, errs)
	}
	rows := writeFile(t, "rows.jsonl", `{"label":"initech"}`)
	token = writeFile(t, "token", adminToken)
	if code, out, errs = tell(t.Context(), t, on("tenant", "import", rows)...); code != 0 || !strings.Contains(out, "1 added") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	if code, out, _ = tell(t.Context(), t, on("tenant", "export", "--prefix", "i")...); code != 0 || !strings.HasPrefix(out, `{"label":"initech"`) {
		t.Errorf("%d %s", code, out)
	}
}

// fickle is an API that imports, and whose answers are sometimes lost.
func fickle(t *testing.T, answer func(n int64, w http.ResponseWriter, r *http.Request)) []string {
	t.Helper()
	var n atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		answer(n.Add(1), w, r)
	}))
	t.Cleanup(s.Close)
	return []string{"--server", s.URL, "--token-file", writeFile(t, "token", "x")}
}

func TestAnImportOutlivesARegistryThatIsAway(t *testing.T) {
	flags := fickle(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 2: // the answer is lost
			panic(http.ErrAbortHandler)
		case 3:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"type":"about:blank","title":"x","status":503,"code":"database_unavailable","detail":"Away."}`)
		default:
			fmt.Fprint(w, `{"added":1}`)
		}
	})
	rows := writeFile(t, "rows.jsonl", "{\"label\":\"a\"}\n{\"label\":\"b\"}\n{\"label\":\"c\"}\n")
	code, out, errs := tell(t.Context(), t, append(append([]string{"tenant", "import", "--batch", "1"}, flags...), rows)...)
	if code != 0 || !strings.Contains(out, "3 added") || strings.Count(errs, "trying again") != 2 {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestAnImportThatStopsSaysWhereToGoOn(t *testing.T) {
	flags := fickle(t, func(n int64, w http.ResponseWriter, _ *http.Request) {
		if n == 3 {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"type":"about:blank","title":"x","status":403,"code":"scope_missing","detail":"No."}`)
			return
		}
		fmt.Fprint(w, `{"added":2}`)
	})
	rows := writeFile(t, "rows.jsonl", strings.Repeat("{\"label\":\"a\"}\n", 7))
	code, out, errs := tell(t.Context(), t, append(append([]string{"tenant", "import", "--batch", "2"}, flags...), rows)...)
	if code != 2 || !strings.Contains(out, "4 rows: 4 added") || !strings.Contains(errs, "go on with: onedoor tenant import --from-line 5 "+rows) {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestAnImportThatIsInterruptedFinishesItsBatch(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	flags := fickle(t, func(n int64, w http.ResponseWriter, r *http.Request) {
		if n == 2 {
			interrupt()
		}
		if r.Context().Err() != nil {
			t.Error("a batch on its way was given up")
		}
		fmt.Fprint(w, `{"added":1}`)
	})
	rows := writeFile(t, "rows.jsonl", strings.Repeat("{\"label\":\"a\"}\n", 7))
	code, out, errs := tell(ctx, t, append(append([]string{"tenant", "import", "--json", "--batch", "1"}, flags...), rows)...)
	if code != 2 || !strings.Contains(out, `"next_line": 3`) || !strings.Contains(out, `"added": 2`) || !strings.Contains(errs, "--from-line 3") {
		t.Errorf("%d %s %s", code, out, errs)
	}
}

func TestAnExportThatIsCutOffLeavesNoFile(t *testing.T) {
	flags := fickle(t, func(_ int64, w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"label":"acme"}`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	dir := t.TempDir()
	file := filepath.Join(dir, "all.jsonl")
	if err := os.WriteFile(file, []byte("the last one\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, errs := tell(t.Context(), t, append(append([]string{"tenant", "export"}, flags...), file)...)
	if code != 2 || !strings.Contains(errs, "after 1 tenants the answer was cut off") {
		t.Errorf("%d %s", code, errs)
	}
	left, err := os.ReadDir(dir)
	if text, _ := os.ReadFile(file); err != nil || len(left) != 1 || string(text) != "the last one\n" {
		t.Errorf("%v %s %v", left, text, err)
	}
}

func TestATokenIsNotLedElsewhere(t *testing.T) {
	asked := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.Header.Get("Authorization") }))
	t.Cleanup(other.Close)
	flags := fickle(t, func(_ int64, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	code, _, errs := tell(t.Context(), t, append(append([]string{"tenant", "show"}, flags...), "acme")...)
	if code != 2 || !strings.Contains(errs, "307") || len(asked) != 0 {
		t.Errorf("%d %s", code, errs)
	}
}

// A handler in this process answers as one behind a socket does.
func TestAnAnswerInProcessIsWholeOrBroken(t *testing.T) {
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		status  int
		body    string
		broken  bool
	}{
		"nothing":     {func(http.ResponseWriter, *http.Request) {}, 200, "", false},
		"a status":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, 204, "", false},
		"a body":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "yes") }, 200, "yes", false},
		"cut off":     {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "yes"); panic(http.ErrAbortHandler) }, 200, "yes", true},
		"an echo":     {func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }, 200, "hello", false},
		"two headers": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); w.WriteHeader(500) }, 201, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			client := &http.Client{Transport: inProcess{handler: tt.handler, caller: admin.Caller{Name: "anna"}}, Timeout: time.Minute}
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://localhost/x", strings.NewReader("hello"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if resp.StatusCode != tt.status || string(text) != tt.body || errors.Is(err, io.ErrUnexpectedEOF) != tt.broken {
				t.Errorf("%d %q %v", resp.StatusCode, text, err)
			}
		})
	}
}

func TestProgressIsALineNowAndThen(t *testing.T) {
	var errs output
	p := newPacing(newTerminal(t.Context(), nil, nil, &errs), "importing", 1000)
	at := p.began
	p.now = func() time.Time { return at }
	for i := range 100 {
		at = at.Add(time.Second)
		p.at((i+1)*1234, int64((i+1)*10))
	}
	lines := strings.Split(strings.TrimSpace(errs.String()), "\n")
	if len(lines) != 20 || lines[0] != "onedoor: importing 5 %, 6,170 rows, 1,234/s, 1m35s left" {
		t.Errorf("%d lines: %q", len(lines), lines[0])
	}
	bar := newPacing(&terminal{err: &errs, colour: true}, "importing", 1000)
	bar.now = func() time.Time { return bar.began.Add(10 * time.Second) }
	bar.at(10_000, 500)
	bar.clear()
	if got := errs.String(); !strings.HasSuffix(got, "\r\x1b[Kimporting  50 % [############............] 10,000 rows, 1,000/s, 10s left\r\x1b[K") {
		t.Errorf("%q", got)
	}
}
