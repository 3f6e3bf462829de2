package provider

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"onedoor/oidc"
)

// backChannel stands before the endpoints at which a client authenticates: it
// reads the credentials in each of the forms that clients send, and answers as
// RFC 6749 §5.2 has it. mend, if any, looks at the parameters first.
//
// A failed authentication touches nothing: the engine looks at the code only
// afterwards, and Go's x/oauth2 sends one code twice, with Basic and then in
// the body.
func (p *Provider) backChannel(mend func(*exchange, oidc.Params) (oidc.Params, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ps, err := readParams(w, r)
		if err != nil {
			writeError(w, &oidc.Error{Status: http.StatusBadRequest, Code: oidc.InvalidRequest, Description: "the form is not well formed, or a parameter stands twice"})
			return
		}
		x := &exchange{}
		if ps, err = basicToPost(r.Header.Get("Authorization"), ps); err == nil && mend != nil {
			ps, err = mend(x, ps)
		}
		if err != nil {
			writeError(w, err)
			return
		}
		form := url.Values{}
		for _, param := range ps {
			form.Add(param.Name, param.Value)
		}
		r2 := r.Clone(context.WithValue(r.Context(), exchangeKey{}, x))
		r2.Header.Del("Authorization")
		r2.Form, r2.PostForm, r2.Body = form, form, http.NoBody
		answer := &buffered{header: http.Header{}}
		p.engine.ServeHTTP(answer, r2)
		if x.away {
			writeAway(w)
			return
		}
		mendError(answer)
		answer.header.Set("Cache-Control", "no-store") // RFC 6749 §5.1
		answer.header.Set("Pragma", "no-cache")
		answer.send(w, r)
	})
}

// basicToPost turns client_secret_basic into client_secret_post, so that a
// client may use either. Identifier and secret are form-urlencoded inside Basic
// (RFC 6749 §2.3.1).
func basicToPost(header string, ps oidc.Params) (oidc.Params, error) {
	scheme, credentials, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return ps, nil
	}
	text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(credentials))
	id, secret, ok := strings.Cut(string(text), ":")
	if err != nil || !ok {
		return nil, &oidc.Error{Status: http.StatusUnauthorized, Code: oidc.InvalidClient, Description: "the Basic credentials are not well formed"}
	}
	id, secret = formDecode(id), formDecode(secret)
	if other := ps.Get("client_id"); ps.Get("client_secret") != "" || ps.Get("client_assertion") != "" || (other != "" && other != id) {
		return nil, &oidc.Error{Status: http.StatusBadRequest, Code: oidc.InvalidRequest, Description: "the client authenticates in more than one way"} // RFC 6749 §2.3
	}
	return ps.Set("client_id", id).Set("client_secret", secret), nil
}

// formDecode leaves what is not encoded as it is: some clients don't encode.
func formDecode(s string) string {
	if decoded, err := url.QueryUnescape(s); err == nil {
		return decoded
	}
	return s
}

// keepPushed is told of a pushed request of a client that has authenticated. It
// checks the redirect URI by octets and puts into the request what mendRequest
// took out of it.
func (p *Provider) keepPushed(ctx context.Context, as *goidc.AuthnSession, c *goidc.Client) error {
	plain := withoutPort(as.RedirectURI)
	if !slices.Contains(c.RedirectURIs, as.RedirectURI) &&
		(c.ApplicationType != goidc.ApplicationTypeNative || plain == as.RedirectURI || !slices.Contains(c.RedirectURIs, plain)) {
		return goidc.NewError(goidc.ErrorCodeInvalidRequest, "invalid redirect_uri")
	}
	if x := exchangeOf(ctx); x != nil {
		x.remember(as)
	}
	return nil
}

func writeError(w http.ResponseWriter, err error) {
	e, ok := err.(*oidc.Error) //nolint:errorlint // made above
	if !ok {
		e = &oidc.Error{Status: http.StatusInternalServerError, Code: oidc.ServerError}
	}
	e.WriteJSON(w)
}

// mendError corrects status, code and challenge of the engine's errors.
func mendError(answer *buffered) {
	if answer.status < 400 {
		return
	}
	var body map[string]any
	if json.Unmarshal(answer.body.Bytes(), &body) != nil {
		return
	}
	switch body["error"] {
	case oidc.InvalidClient:
		// "The authorization server MUST … include the WWW-Authenticate response
		// header field matching the authentication scheme used" (RFC 6749 §5.2).
		answer.status = http.StatusUnauthorized
		answer.header.Set("WWW-Authenticate", `Basic realm="onedoor"`)
	case "internal_error":
		answer.status, body["error"] = http.StatusInternalServerError, oidc.ServerError
	default:
		answer.status = http.StatusBadRequest
	}
	text, err := json.Marshal(body)
	if err != nil {
		return // what was just read can be written
	}
	answer.body.Reset()
	answer.body.Write(text)
}

// userinfo is the UserInfo endpoint (OIDC Core §5.3). The engine reads the
// token from the header only; a form may hold it too (RFC 6750 §2.2).
func (p *Provider) userinfo(w http.ResponseWriter, r *http.Request) {
	x := &exchange{}
	r2 := r.Clone(context.WithValue(r.Context(), exchangeKey{}, x))
	if r.Method == http.MethodPost {
		ps, err := readParams(w, r)
		token := ps.Get("access_token")
		if err != nil || (token != "" && r.Header.Get("Authorization") != "") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="onedoor", error="invalid_request"`)
			writeError(w, &oidc.Error{Status: http.StatusBadRequest, Code: oidc.InvalidRequest, Description: "the access token stands in more than one place"})
			return
		}
		if token != "" {
			r2.Header.Set("Authorization", "Bearer "+token)
		}
		r2.Method, r2.Body = http.MethodGet, http.NoBody
	}
	answer := &buffered{header: http.Header{}}
	p.engine.ServeHTTP(answer, r2)
	if x.away {
		writeAway(w)
		return
	}
	switch answer.status {
	case http.StatusUnauthorized:
		value := `Bearer realm="onedoor"`
		if r2.Header.Get("Authorization") != "" { // without a token no code is given (RFC 6750 §3.1)
			value += `, error="invalid_token"`
		}
		answer.header.Set("WWW-Authenticate", value)
	case http.StatusForbidden:
		answer.header.Set("WWW-Authenticate", `Bearer realm="onedoor", error="insufficient_scope", scope="openid"`)
	}
	answer.header.Set("Cache-Control", "no-store")
	answer.send(w, r)
}
