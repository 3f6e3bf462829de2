package page

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
)

// browser is a request as a browser sends it when it navigates.
func browser(method, lang string) *http.Request {
	r := httptest.NewRequest(method, "/", nil)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Accept-Language", lang)
	return r
}

func answer(t *testing.T, serve func(w http.ResponseWriter)) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	serve(w)
	body, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Result(), string(body)
}

func TestEveryRefusalHasItsTextsInEveryLanguage(t *testing.T) {
	if missing := refusals.Missing(); missing != nil {
		t.Errorf("missing: %q", missing)
	}
	source, err := os.ReadFile("refuse.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`(?m)^\t[A-Z]\w+ += "([a-z_]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(keys) < 15 {
		t.Fatalf("found %d keys in refuse.go", len(keys))
	}
	for _, key := range keys {
		for _, part := range []string{".title", ".what", ".do"} {
			if refusals["en"][key[1]+part] == "" {
				t.Errorf("%s%s has no text", key[1], part)
			}
		}
	}
}

func TestARefusalSpeaksThePersonsLanguage(t *testing.T) {
	for _, tt := range []struct{ accept, lang, title string }{
		{"", "en", "Page not found"},
		{"ja-JP,ja;q=0.9,en;q=0.8", "ja", "ページが見つかりません"},
		{"ko", "ko", "페이지를 찾을 수 없습니다"},
		{"fr-FR, ko;q=0.4, en;q=0.3", "ko", "페이지를 찾을 수 없습니다"},
		{"fr", "en", "Page not found"},
		{"not a ,,; language", "en", "Page not found"},
		{strings.Repeat("ja,", 10000), "en", "Page not found"},
	} {
		resp, body := answer(t, func(w http.ResponseWriter) {
			Refuse(w, browser("GET", tt.accept), 404, Refusal{Key: NotFound})
		})
		if got := resp.Header.Get("Content-Language"); got != tt.lang || !strings.Contains(body, tt.title) {
			t.Errorf("%.30q: %s %s, want %s %q", tt.accept, got, body, tt.lang, tt.title)
		}
	}
	if got := Lang("fr ko", "ja"); got != "ko" {
		t.Errorf("ui_locales \"fr ko\": %s, want ko", got)
	}
}

func TestEveryAnswerCarriesTheHeadersThatKeepItSafe(t *testing.T) {
	body := template.Must(template.New("").Parse("<p>hello</p>"))
	for name, serve := range map[string]func(http.ResponseWriter, *http.Request){
		"Write":    func(w http.ResponseWriter, r *http.Request) { _ = Write(w, r, 200, Page{Title: "x", Body: body}) },
		"Refuse":   func(w http.ResponseWriter, r *http.Request) { Refuse(w, r, 400, Refusal{Key: BadRequest}) },
		"FormPost": func(w http.ResponseWriter, r *http.Request) { FormPost(w, r, "https://acme.example.com/cb", nil) },
	} {
		t.Run(name, func(t *testing.T) {
			resp, text := answer(t, func(w http.ResponseWriter) { serve(w, browser("GET", "en")) })
			csp := resp.Header.Get("Content-Security-Policy")
			for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action "} {
				if !strings.Contains(csp, want) {
					t.Errorf("policy %q lacks %q", csp, want)
				}
			}
			for header, want := range map[string]string{
				"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
			} {
				if got := resp.Header.Get(header); got != want {
					t.Errorf("%s: %q, want %q", header, got, want)
				}
			}
			blocks := regexp.MustCompile(`(?s)<(?:style|script)>(.*?)</`).FindAllStringSubmatch(text, -1)
			if len(blocks) == 0 {
				t.Error("no style in the page")
			}
			for _, block := range blocks {
				sum := sha256.Sum256([]byte(block[1]))
				if hash := base64.StdEncoding.EncodeToString(sum[:]); !strings.Contains(csp, hash) {
					t.Errorf("policy %q does not allow %.60q", csp, block[1])
				}
			}
			for _, bad := range []string{"src=", "url(", "@import", "<link", " style=", " onclick"} {
				if strings.Contains(text, bad) {
					t.Errorf("the page holds %q", bad)
				}
			}
		})
	}
}

func TestNothingIsReflectedUnescaped(t *testing.T) {
	const evil = `"><script>alert(1)</script>`
	_, body := answer(t, func(w http.ResponseWriter) {
		Refuse(w, browser("GET", "en"), 400, Refusal{
			Key: evil, Reference: evil, BackURL: "https://acme.example.com/" + evil, BackLabel: evil,
			Args: map[string]string{"error": evil},
		})
	})
	if strings.Contains(body, "<script") || !strings.Contains(body, "Something went wrong here") {
		t.Errorf("refusal: %s", body)
	}
	_, body = answer(t, func(w http.ResponseWriter) {
		FormPost(w, browser("GET", "en"), "https://acme.example.com/"+evil, []Field{{evil, evil}})
	})
	if strings.Count(body, "<script") != 1 {
		t.Errorf("form: %s", body)
	}
	_, body = answer(t, func(w http.ResponseWriter) {
		Refuse(w, browser("GET", "en"), 400, Refusal{Key: LoginExpired, BackURL: "javascript:alert(1)"})
	})
	if strings.Contains(body, "javascript") || strings.Contains(body, "<a ") {
		t.Errorf("a link to a script: %s", body)
	}
}

func TestARefusalLeadsBackAndNamesAReference(t *testing.T) {
	_, body := answer(t, func(w http.ResponseWriter) {
		Refuse(w, browser("GET", "en"), 400, Refusal{Key: LoginExpired, Reference: "k7f2", BackURL: "https://acme.example.com/", BackLabel: "Back to acme"})
	})
	if !strings.Contains(body, `href="https://acme.example.com/"`) || !strings.Contains(body, "Back to acme") || !strings.Contains(body, "k7f2") {
		t.Errorf("%s", body)
	}
}

func TestAProgramGetsTheRefusalAsText(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Accept", "application/json, */*")
	resp, body := answer(t, func(w http.ResponseWriter) { Refuse(w, r, 421, Refusal{Key: Misdirected, Reference: "k7f2"}) })
	if resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" || !strings.HasPrefix(body, "Wrong address\n") || !strings.Contains(body, "k7f2") {
		t.Errorf("%v %q", resp.Header, body)
	}
}

func TestHeadGetsNoBody(t *testing.T) {
	resp, body := answer(t, func(w http.ResponseWriter) { Refuse(w, browser("HEAD", "en"), 404, Refusal{Key: NotFound}) })
	if body != "" || resp.StatusCode != 404 || resp.Header.Get("Content-Length") == "0" {
		t.Errorf("%d %v %q", resp.StatusCode, resp.Header, body)
	}
}

func TestAFormPostCarriesActionAndFieldsOctetForOctet(t *testing.T) {
	const action = "https://acme.example.com/cb?a=1&b='(2)'&c=%2f"
	resp, body := answer(t, func(w http.ResponseWriter) {
		FormPost(w, browser("GET", "en"), action, []Field{{"code", `k"<&`}, {"state", "日本"}, {"state", "2"}})
	})
	for _, want := range []string{
		`action="` + template.HTMLEscapeString(action) + `"`,
		`name="code" value="k&#34;&lt;&amp;"`, `name="state" value="日本"`, `name="state" value="2"`, `<button`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
	if csp := resp.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action https:;") {
		t.Errorf("policy %q", csp)
	}
	resp, _ = answer(t, func(w http.ResponseWriter) { FormPost(w, browser("GET", "en"), "javascript:alert(1)", nil) })
	if resp.StatusCode != 400 {
		t.Errorf("a script as action: %s", resp.Status)
	}
}

func TestABodyThatFailsGivesAnErrorAndAPage(t *testing.T) {
	bad := template.Must(template.New("").Parse("{{.Nothing.Here}}"))
	var err error
	resp, body := answer(t, func(w http.ResponseWriter) {
		err = Write(w, browser("GET", "en"), 200, Page{Title: "x", Body: bad, Data: struct{}{}})
	})
	if err == nil || resp.StatusCode != 500 || !strings.Contains(body, "Something went wrong here") {
		t.Errorf("%v %s %s", err, resp.Status, body)
	}
}
