package page

import (
	"bytes"
	"html/template"
	"net/http"
	"strings"
)

// Field is one name and value of a form.
type Field struct{ Name, Value string }

// submit needs no handler attribute, which a hash would not cover.
const submit = `document.forms[0].submit()`

var submitHash = hashSource(submit)

var formBody = template.Must(template.New("form").Parse(`<p>{{.What}}</p>
<form method="post" {{.Action}} accept-charset="utf-8">
{{- range .Fields}}
<input type="hidden" name="{{.Name}}" value="{{.Value}}">
{{- end}}
<button class="wide" type="submit">{{.Button}}</button>
</form>
<script>{{.Script}}</script>
`))

// FormPost answers 200 with a form that posts fields to action by itself (OAuth
// 2.0 Form Post Response Mode §2), or by its button where scripts are off.
// The action is used octet for octet; one that is not http or https is refused.
//
// The policy allows the one script by its hash, and forms to action's scheme
// only. Not to its origin: browsers apply form-action to the redirects that
// follow the POST as well (CSP3 §6.4.1), and where a relay or an app goes on
// from action is its own affair.
func FormPost(w http.ResponseWriter, r *http.Request, action string, fields []Field) {
	if !isWeb(action) {
		Refuse(w, r, http.StatusBadRequest, Refusal{Key: InvalidRedirectURI})
		return
	}
	lang := Lang(r.Header.Get("Accept-Language"))
	say := func(key string) string { return refusals.Text(lang, key, nil) }
	// An html/template would percent-encode some octets of the URL; a redirect
	// URI is compared by octets, so it is only escaped as an attribute.
	attr := template.HTMLAttr(`action="` + template.HTMLEscapeString(action) + `"`) //nolint:gosec // escaped
	var inner bytes.Buffer
	err := formBody.Execute(&inner, struct {
		What, Button string
		Action       template.HTMLAttr
		Fields       []Field
		Script       template.JS
	}{say("form.what"), say("form.button"), attr, fields, submit})
	text, err2 := wrap(Page{Lang: lang, Title: say("form.title")}, template.HTML(inner.String())) //nolint:gosec // html/template escaped it
	if err != nil || err2 != nil {
		Refuse(w, r, http.StatusInternalServerError, Refusal{Key: Internal})
		return
	}
	forms := "https:"
	if strings.HasPrefix(action, "http://") {
		forms = "http: https:"
	}
	send(w, r, http.StatusOK, lang, "text/html; charset=utf-8", policy(forms, submitHash), text)
}
