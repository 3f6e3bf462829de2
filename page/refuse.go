package page

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
)

// Keys of the refusals: what happened, for Refusal.Key. Which status goes with
// one is the caller's to say.
const (
	UnknownTenant       = "unknown_tenant"       // also one that is suspended: they look alike from outside
	BadRequest          = "bad_request"          // not understood
	Misdirected         = "misdirected"          // a Host that is none of ours (421)
	NotFound            = "not_found"            // no such page
	ClosedPath          = "closed_path"          // a private path of the provider
	MethodNotAllowed    = "method_not_allowed"   // 405
	ProviderUnavailable = "provider_unavailable" // the provider does not answer, or not yet
	InvalidClient       = "invalid_client"       // client_id unknown
	InvalidRedirectURI  = "invalid_redirect_uri" // redirect_uri is not one of the client's
	InvalidState        = "invalid_state"        // a sealed value that does not open, for whatever reason
	LoginExpired        = "login_expired"        // the login took too long, or was finished already
	ProviderRefused     = "provider_refused"     // the provider answered with an error; Args may hold "error"
	TooLarge            = "too_large"            // 413, 414, 431
	TooManyRequests     = "too_many_requests"    // 429
	LogoutRefused       = "logout_refused"       // a logout whose target or hint is not good
	Internal            = "internal"             // ours
	UnsupportedRequest  = "unsupported_request"  // a request that cannot be carried safely
	Forbidden           = "forbidden"            // a cross-site form
	WrongBrowser        = "wrong_browser"        // the login was begun in another browser
)

// Refusal says why a person does not get what they asked for.
type Refusal struct {
	// Key is one of the constants above.
	Key string
	// Args fill the "{name}" of the texts. They are shown escaped, yet choose
	// them: what an attacker put into a link does not belong on our page.
	Args map[string]string
	// Reference is a short id that the log line carries too.
	Reference string
	// BackURL is where the person can begin again, an http or https URL.
	// Default: no link.
	BackURL string
	// BackLabel is the link's text. Default: "Start again".
	BackLabel string
}

//go:embed refusals.*.json
var refusalFiles embed.FS

var refusals = mustCatalogue(refusalFiles, "refusals")

var refusalBody = template.Must(template.New("refusal").Parse(`<p>{{.What}}</p>
<p>{{.Do}}</p>
{{- with .BackURL}}
<p class="row"><a class="button" href="{{.}}">{{$.BackLabel}}</a></p>
{{- end}}
{{- with .Reference}}
<p class="reference">{{.}}</p>
{{- end}}
`))

// Refuse answers with a page that says what happened and what to do, in the
// person's language. A caller that does not ask for HTML, so a program and not
// a browser, gets the same words as text.
func Refuse(w http.ResponseWriter, r *http.Request, status int, ref Refusal) {
	lang := Lang(r.Header.Get("Accept-Language"))
	if _, ok := refusals["en"][ref.Key+".title"]; !ok {
		ref.Key = Internal
	}
	say := func(part string) string { return refusals.Text(lang, ref.Key+part, ref.Args) }
	view := struct{ What, Do, BackURL, BackLabel, Reference string }{
		What: say(".what"), Do: say(".do"), BackURL: ref.BackURL, BackLabel: ref.BackLabel,
	}
	if !isWeb(ref.BackURL) {
		view.BackURL = ""
	}
	if view.BackLabel == "" {
		view.BackLabel = refusals.Text(lang, "back", nil)
	}
	if ref.Reference != "" {
		view.Reference = refusals.Text(lang, "reference", map[string]string{"reference": ref.Reference})
	}
	if !wantsHTML(r) {
		text := fmt.Sprintf("%s\n%s\n%s\n", say(".title"), view.What, view.Do)
		if view.Reference != "" {
			text += view.Reference + "\n"
		}
		send(w, r, status, lang, "text/plain; charset=utf-8", policy("", ""), []byte(text))
		return
	}
	var inner strings.Builder
	err := refusalBody.Execute(&inner, view)
	text, err2 := wrap(Page{Lang: lang, Title: say(".title")}, template.HTML(inner.String())) //nolint:gosec // html/template escaped it
	if err != nil || err2 != nil {
		text = []byte("<!DOCTYPE html><title>error</title>") // not reached: a strings.Builder takes all
	}
	send(w, r, status, lang, "text/html; charset=utf-8", policy("", ""), text)
}

// wantsHTML tells browsers, which name text/html when they navigate, from
// programs, which send "*/*", another type or nothing.
func wantsHTML(r *http.Request) bool {
	for _, accept := range r.Header.Values("Accept") {
		if strings.Contains(strings.ToLower(accept), "text/html") {
			return true
		}
	}
	return false
}

func isWeb(url string) bool {
	return strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://")
}

// mustCatalogue reads name.en.json and so on: {"key": "text"}.
func mustCatalogue(files embed.FS, name string) Catalogue {
	c, err := ReadCatalogue(files, name)
	if err != nil {
		panic(err) // an embedded file: the first test of any package shows it
	}
	return c
}

// ReadCatalogue reads the texts of every language from "name.en.json" and so on
// in files, each an object of texts by key.
func ReadCatalogue(files embed.FS, name string) (Catalogue, error) {
	c := Catalogue{}
	for _, lang := range languages {
		file := name + "." + lang + ".json"
		text, err := files.ReadFile(file)
		if err != nil {
			return nil, err
		}
		texts := map[string]string{}
		if err := json.Unmarshal(text, &texts); err != nil {
			return nil, fmt.Errorf("catalogue %s: %w", file, err)
		}
		c[lang] = texts
	}
	return c, nil
}
