// Package page is what people see: one layout, one style sheet, the languages,
// and the headers that every HTML answer carries.
//
// A page needs no script, no cookie and no other request: its style is inside
// it, allowed by hash. It knows no protocol; what is refused and why is its
// callers' to decide. Reading starts at Write; Refuse and FormPost are two
// pages that several callers share.
package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the style sheet and the layout
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
)

//go:embed style.css
var style string

//go:embed layout.html
var layoutText string

var (
	layout    = template.Must(template.New("layout").Parse(layoutText))
	styleHash = hashSource(style)
)

// AnyTarget as Page.Forms leaves forms unbounded. A login form needs it:
// browsers apply form-action to every redirect that follows the POST, and the
// login ends at a site that the page cannot know.
const AnyTarget = "any"

// Page is one answer for a person.
type Page struct {
	// Lang is the language of the page, one of Languages. Default: what the
	// request's Accept-Language asks for.
	Lang string
	// Title is the heading and the window's title.
	Title string
	// Site is a line above the heading that says where the person is. Default:
	// none.
	Site string
	// Wide is for tables; other pages are as narrow as a card.
	Wide bool
	// Body is executed with Data below the heading. It must be an html/template,
	// so that values are escaped where they stand.
	Body *template.Template
	Data any
	// Forms is the value of form-action: 'self' or origins. Default 'none';
	// AnyTarget leaves it out.
	Forms string
}

// Write answers with p. An error says that Body could not be executed: the
// person got the page of an internal error instead, and it is the caller's to
// log.
func Write(w http.ResponseWriter, r *http.Request, status int, p Page) error {
	if p.Lang == "" {
		p.Lang = Lang(r.Header.Get("Accept-Language"))
	}
	var body bytes.Buffer
	if p.Body != nil {
		if err := p.Body.Execute(&body, p.Data); err != nil {
			Refuse(w, r, http.StatusInternalServerError, Refusal{Key: Internal})
			return fmt.Errorf("page %q: %w", p.Title, err)
		}
	}
	text, err := wrap(p, template.HTML(body.String())) //nolint:gosec // html/template escaped it
	if err != nil {
		Refuse(w, r, http.StatusInternalServerError, Refusal{Key: Internal})
		return fmt.Errorf("page %q: %w", p.Title, err)
	}
	send(w, r, status, p.Lang, "text/html; charset=utf-8", policy(p.Forms, ""), text)
	return nil
}

// wrap puts the layout around body.
func wrap(p Page, body template.HTML) ([]byte, error) {
	var out bytes.Buffer
	err := layout.Execute(&out, struct {
		Page
		Style template.CSS
		Inner template.HTML
	}{p, template.CSS(style), body}) //nolint:gosec // our own file
	return out.Bytes(), err
}

// policy is the Content-Security-Policy of a page: nothing is loaded from
// anywhere, and nobody may frame it (RFC 9700 §4.16).
func policy(forms, script string) string {
	parts := []string{"default-src 'none'", "style-src " + styleHash}
	if script != "" {
		parts = append(parts, "script-src "+script)
	}
	switch forms {
	case "":
		parts = append(parts, "form-action 'none'")
	case AnyTarget:
	default:
		parts = append(parts, "form-action "+forms)
	}
	return strings.Join(append(parts, "frame-ancestors 'none'", "base-uri 'none'"), "; ")
}

// send writes status, headers and, unless the method is HEAD, text.
func send(w http.ResponseWriter, r *http.Request, status int, lang, kind, csp string, text []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Language", lang)
	h.Set("Content-Length", strconv.Itoa(len(text)))
	h.Set("Content-Security-Policy", csp)
	h.Set("X-Frame-Options", "DENY") // for browsers without frame-ancestors
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the URL may hold a code or a state
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept, Accept-Language")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(text) // the person has gone: nobody is left to tell
	}
}

// hashSource is the CSP source that allows exactly text (CSP3 §2.3.1).
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
