package gateway

import (
	"encoding/base64"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"onedoor/oidc"
	"onedoor/tenant"
	"onedoor/upstream"
)

// form is the parameters of a request, and its body as it came, for the
// requests that we read and then do not change.
type form struct {
	params oidc.Params
	body   []byte
}

// restore gives the request its body back.
func (f form) restore(r *request) {
	if r.Method == http.MethodPost {
		setBody(r, string(f.body))
	}
}

func setBody(r *request, body string) {
	r.Body = io.NopCloser(strings.NewReader(body))
	r.ContentLength = int64(len(body))
	r.TransferEncoding = nil
	r.read = true
	r.Header.Del("Content-Length")
}

// readForm reads the parameters of a GET from its query, and of a POST from its
// body. A POST with a query is refused: of two places for one parameter, the
// provider might read the other (THREATS T-18; RFC 6749 §2.3.1, §3.2).
func (g *Gateway) readForm(w http.ResponseWriter, r *request) (f form, bad *oidc.Error) {
	if r.Method != http.MethodPost {
		if r.ContentLength != 0 { // no browser sends one; some frameworks read it (RFC 9110 §9.3.1)
			return f, &oidc.Error{Code: oidc.InvalidRequest, Rule: "form.body", Description: "a GET has no body"}
		}
		ps, err := oidc.ParseParams(strings.TrimPrefix(r.query, "?"))
		return form{params: ps}, badForm(err)
	}
	if len(r.query) > 1 {
		return f, &oidc.Error{Code: oidc.InvalidRequest, Rule: "form.query", Description: "parameters belong in the body of a POST"}
	}
	if !isForm(r.Header["Content-Type"]) {
		return f, &oidc.Error{
			Status: http.StatusUnsupportedMediaType, Code: oidc.InvalidRequest, Rule: "form.type",
			Description: "the body must be application/x-www-form-urlencoded in UTF-8",
		}
	}
	if strings.Join(r.Header["Content-Encoding"], "") != "" {
		return f, &oidc.Error{
			Status: http.StatusUnsupportedMediaType, Code: oidc.InvalidRequest, Rule: "form.encoding",
			Description: "the body must not be compressed",
		}
	}
	// Whoever sends an octet a minute holds us no longer than this.
	until := http.NewResponseController(w)
	_ = until.SetReadDeadline(time.Now().Add(g.Limits.FormTimeout)) // tests' recorders have none
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(g.Limits.FormSize)))
	if err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			return f, &oidc.Error{
				Status: http.StatusRequestEntityTooLarge, Code: oidc.InvalidRequest, Rule: "form.size",
				Description: "the body is too large",
			}
		}
		w.Header()["Connection"] = []string{"close"} // the rest of it would be waited for
		return f, &oidc.Error{Code: oidc.InvalidRequest, Rule: "form.read", Description: "the body could not be read", Cause: err}
	}
	_ = until.SetReadDeadline(time.Time{})
	ps, err := oidc.ParseParams(string(body))
	return form{params: ps, body: body}, badForm(err)
}

// isForm says whether a body is a form in the one way in which everybody reads
// it. Of two Content-Types a server behind us may believe the other one. With a
// charset some decode names, so only those pass that leave ASCII alone: in
// UTF-7, "+AGM-lient_id" is client_id. Clients do say ISO-8859-1.
func isForm(types []string) bool {
	if len(types) != 1 {
		return false
	}
	const form = "application/x-www-form-urlencoded"
	if types[0] == form { // what nearly everybody writes
		return true
	}
	kind, params, err := mime.ParseMediaType(types[0])
	if err != nil || kind != form {
		return false
	}
	switch strings.ToLower(params["charset"]) {
	case "", "utf-8", "utf8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252":
		return true
	}
	return false
}

func badForm(err error) *oidc.Error {
	if err == nil {
		return nil
	}
	return &oidc.Error{Code: oidc.InvalidRequest, Rule: "form.syntax", Description: "the parameters are not form-urlencoded UTF-8", Cause: err}
}

// app finds the app of a client_id and the issuer whose endpoint was asked:
// where several issuers share an endpoint, the client_id tells them apart.
func (g *Gateway) app(iss []*upstream.Issuer, clientID string) (*tenant.App, *upstream.Issuer) {
	for _, i := range iss {
		if a := g.Directory.App(clientID, i.Configured()); a != nil {
			return a, i
		}
	}
	return nil, nil
}

// clientOf says which client a back channel request comes from, from every
// place where it may name itself. It proves nothing: the provider checks the
// credentials. But all places must agree, or we would act for one client and
// the provider for another (THREATS T-45; RFC 6749 §2.3: "The client MUST NOT
// use more than one authentication method in each request").
func clientOf(r *http.Request, ps oidc.Params) (string, *oidc.Error) {
	var ids []string
	methods := 0
	authorization := r.Header["Authorization"]
	if len(authorization) > 1 {
		return "", &oidc.Error{Code: oidc.InvalidRequest, Rule: "client.methods", Description: "more than one client authentication method"}
	}
	// Between scheme and credentials some take any white space for a space.
	if words := strings.Fields(strings.Join(authorization, "")); len(words) > 0 && strings.EqualFold(words[0], "Basic") {
		id, ok := basicID(strings.Join(words[1:], " "))
		if !ok {
			return "", &oidc.Error{Status: http.StatusUnauthorized, Code: oidc.InvalidClient, Rule: "client.basic", Description: "the Basic credentials cannot be read"}
		}
		ids = append(ids, id)
		methods++
	}
	if ps.Get("client_secret") != "" {
		methods++
	}
	if a := ps.Get("client_assertion"); a != "" {
		methods++
		c, ok := unverified(a)
		if !ok || c.Subject == "" {
			return "", &oidc.Error{Status: http.StatusUnauthorized, Code: oidc.InvalidClient, Rule: "client.assertion", Description: "the client assertion cannot be read"}
		}
		ids = append(ids, c.Subject)
	}
	if id := ps.Get("client_id"); id != "" {
		ids = append(ids, id)
	}
	if methods > 1 {
		return "", &oidc.Error{Code: oidc.InvalidRequest, Rule: "client.methods", Description: "more than one client authentication method"}
	}
	if len(ids) == 0 {
		return "", nil
	}
	for _, id := range ids[1:] {
		if id != ids[0] {
			return "", &oidc.Error{Code: oidc.InvalidRequest, Rule: "client.ambiguous", Description: "the request names two clients"}
		}
	}
	return ids[0], nil
}

// basicID reads the user name of Basic credentials, which is form-urlencoded
// (RFC 6749 §2.3.1); libraries do encode it.
func basicID(credentials string) (string, bool) {
	raw, err := base64.StdEncoding.DecodeString(credentials)
	if err != nil {
		return "", false
	}
	user, _, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", false
	}
	id, err := url.QueryUnescape(user)
	return id, err == nil && id != ""
}

// hintClaims are what we read of a JWT without verifying it: whom it speaks of, to
// be compared and never to be trusted.
type hintClaims struct {
	Subject  string
	Audience []string
	Party    string
}

func unverified(jwt string) (hintClaims, bool) {
	var c hintClaims
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return c, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, false
	}
	// Not straight into the struct: encoding/json takes "Sub" for "sub", and of
	// two the last.
	members, err := oidc.ParseMetadata(raw)
	if err != nil {
		return c, false
	}
	c.Subject, c.Party = members.String("sub"), members.String("azp")
	if c.Audience = members.Strings("aud"); c.Audience == nil && members.String("aud") != "" {
		c.Audience = []string{members.String("aud")}
	}
	return c, true
}
