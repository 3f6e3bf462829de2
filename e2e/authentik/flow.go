package main

import (
	"crypto/rand"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
)

// page is the flow's interface: it posts the answer to a challenge and does what
// the next challenge says. The browser's address is changed by script alone.
const page = `<!doctype html><title>authentik (stand-in)</title>
<form><input name="uidField" autocomplete="username"><input name="password" type="password"><button>Log in</button></form>
<p id="message"></p>
<script>
document.querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const answer = Object.fromEntries(new FormData(event.target));
  const executor = "/api/v3/flows/executor/default-authentication-flow/?query=" + encodeURIComponent(location.search.slice(1));
  const response = await fetch(executor, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(answer) });
  const challenge = await response.json();
  if (challenge.component === "xak-flow-redirect") { window.location.assign(challenge.to); return; }
  if (challenge.component === "ak-stage-autosubmit") {
    const form = document.body.appendChild(document.createElement("form"));
    form.method = "post"; form.action = challenge.url;
    for (const [name, value] of Object.entries(challenge.attrs)) {
      const input = form.appendChild(document.createElement("input"));
      input.type = "hidden"; input.name = name; input.value = value;
    }
    form.submit(); return;
  }
  document.getElementById("message").textContent = challenge.component;
});
</script>`

func (p *provider) flow(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, page)
}

// executor takes the answer to the only challenge, and gives the last one.
func (p *provider) executor(w http.ResponseWriter, r *http.Request) {
	var given struct {
		Username string `json:"uidField"`
		Password string `json:"password"`
	}
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&given)
	if err != nil || given.Username != p.username || given.Password != p.password {
		writeJSON(w, http.StatusOK, map[string]any{"component": "ak-stage-access-denied"})
		return
	}
	request, err := url.ParseQuery(r.URL.Query().Get("query"))
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]any{"component": "ak-stage-access-denied"})
		return
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = grant{redirectURI: request.Get("redirect_uri"), nonce: request.Get("nonce"), challenge: request.Get("code_challenge")}
	p.mu.Unlock()
	if request.Get("response_mode") == "form_post" {
		attrs := map[string]string{"code": code, "state": request.Get("state")}
		writeJSON(w, http.StatusOK, map[string]any{"component": "ak-stage-autosubmit", "url": request.Get("redirect_uri"), "attrs": attrs})
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"component": "xak-flow-redirect", "to": answer(request, url.Values{"code": {code}})})
}
