package gateway

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/oidc"
	"onedoor/seal"
	"onedoor/tenant"
)

type authorizeVectors struct {
	Count   int
	Fixture struct {
		Flows map[string]struct {
			Client       string
			RedirectURI  string  `json:"redirect_uri"`
			State        *string `json:"state"`
			ResponseMode string  `json:"response_mode"`
			PKCE         *string `json:"pkce"`
			CodeVerifier string  `json:"code_verifier"`
			UpstreamCode string  `json:"upstream_code"`
		}
	}
	Cases []authorizeCase
}

type authorizeCase struct {
	ID, Group, Step, Method, Why, Strictness string
	QueryRaw                                 string `json:"query_raw"`
	BodyRaw                                  string `json:"body_raw"`
	ContentType                              string `json:"content_type"`
	Headers                                  [][2]string
	Setup                                    []string
	Expect                                   authorizeExpect
}

type authorizeExpect struct {
	Outcome        string
	StatusOK       []int             `json:"status_ok"`
	ErrorOK        []string          `json:"error_ok"`
	AlsoOK         []authorizeExpect `json:"also_ok"`
	UpstreamMust   map[string]any    `json:"upstream_must"`
	UpstreamHas    []string          `json:"upstream_has"`
	UpstreamHasNot []string          `json:"upstream_has_not"`
	ResponseHasNot []string          `json:"response_has_not"`
	LocationPrefix string            `json:"location_prefix"`
	Params         map[string]string
	ParamsAbsent   []string `json:"params_absent"`
	FormAction     string   `json:"form_action"`
	BodyHasNot     []string `json:"body_has_not"`
	State          string
	ErrorIn        string `json:"error_in"`
	BodyEqual      bool   `json:"upstream_body_equal"`
	ThenCode       string `json:"then_token_upstream_code"`
	Note           string
}

const (
	vectorIssuer = testOrigin
	vectorR0     = vectorIssuer + "/onedoor/callback"
)

// TestAuthorizeVectors runs the shared cases against a door on a socket, before
// a provider that records what reaches it and answers as one would: it knows
// the clients and one redirect URI, checks secrets and PKCE, and issues the
// codes of the flows.
func TestAuthorizeVectors(t *testing.T) {
	raw, err := os.ReadFile("../testdata/vectors/authorize.json")
	if err != nil {
		t.Fatal(err)
	}
	var v authorizeVectors
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	if v.Count != len(v.Cases) || v.Count == 0 {
		t.Fatalf("%d cases, the head says %d", len(v.Cases), v.Count)
	}
	for _, c := range v.Cases {
		t.Run(c.ID, func(t *testing.T) { newAuthorizeBed(t, &v).run(c) })
	}
}

// expand puts in the macros, once for each distinct one.
func (b *bed) expand(s string, made map[string]string) string {
	b.Helper()
	for strings.Contains(s, "${") {
		i := strings.Index(s, "${")
		j := i + strings.IndexByte(s[i:], '}')
		macro := s[i+2 : j]
		what, mod, _ := strings.Cut(macro, "|")
		if made[what] == "" {
			kind, name, _ := strings.Cut(what, ":")
			switch kind {
			case "state":
				made[what] = b.toProvider(name)
			case "code":
				made[what] = b.redeemed(name, "")
			default:
				b.Fatalf("unknown macro %q", macro)
			}
		}
		s = s[:i] + modify(b, made[what], mod) + s[j+1:]
	}
	return s
}

func modify(b *bed, s, mod string) string {
	b.Helper()
	flip := func(i int) string {
		c := byte('A')
		if s[i] == 'A' {
			c = '9'
		}
		return s[:i] + string(c) + s[i+1:]
	}
	switch mod {
	case "":
		return s
	case "flip":
		return flip(len(s) - 1)
	case "flip0":
		return flip(0)
	case "cut":
		return s[:len(s)-8]
	case "pad":
		return s + "="
	case "upper":
		return strings.ToUpper(s)
	}
	b.Fatalf("unknown modification %q", mod)
	return ""
}

func jwt(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"ES256"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

// before does the part of a case's setup that comes before its macros.
func (b *bed) before(c *authorizeCase, made map[string]string) {
	b.Helper()
	for _, s := range c.Setup {
		switch s {
		case "flow F1 to the provider with the clock two hours ahead":
			b.now = b.now.Add(2 * time.Hour)
			made["state:F1"] = b.toProvider("F1")
		case "seal F1 with the keys of another deployment":
			ours := b.keys
			b.keys = []seal.Key{{ID: 1, Secret: bytes.Repeat([]byte{7}, seal.KeySize)}}
			b.build()
			made["state:F1"] = b.toProvider("F1")
			b.keys = ours
			b.build()
		case "seal F1 with the right key and the AAD of another issuer":
			made["state:F1"] = b.reseal(seal.State, b.toProvider("F1"), "https://other.example.com")
		case "take a code sealed for provider P2 of the same door":
			made["code:F1"] = b.reseal(seal.Code, b.redeemed("F1", ""), vectorIssuer+"/p2")
		case "callback of F1 with code=RAWG (a stolen raw code of F1G) and the state of F1":
			b.toProvider("F1G")
			made["code:F1"] = b.redeemed("F1", "RAWG")
		case "PAR by parc gives handle 1":
			body := "response_type=code&redirect_uri=" + url.QueryEscape("https://acme.example.com/api/auth/callback") + "&scope=openid&state=st-p"
			resp := b.send("POST", "/par", "", "application/x-www-form-urlencoded", body, [][2]string{{"Authorization", "Basic parc:parc-secret"}})
			var answer struct {
				RequestURI string `json:"request_uri"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusCreated {
				b.Fatalf("PAR: %s %v", resp.Status, err)
			}
			made["par:1"] = answer.RequestURI
		}
	}
}

// after does the part that comes between the flow and the request in question.
func (b *bed) after(c *authorizeCase) {
	b.Helper()
	for _, s := range c.Setup {
		switch s {
		case "flow F1 to the provider", "callback of F1", "PAR by parc gives handle 1",
			"seal F1 with the keys of another deployment", "seal F1 with the right key and the AAD of another issuer",
			"take a code sealed for provider P2 of the same door", "flow F1 to the provider with the clock two hours ahead",
			"callback of F1 with code=RAWG (a stolen raw code of F1G) and the state of F1":
		case "set the clock back":
			b.now = b.now.Add(-2 * time.Hour)
		case "advance the clock beyond the state lifetime":
			b.now = b.now.Add(time.Hour + time.Second)
		case "advance the clock beyond the code lifetime (10 min at most)":
			b.now = b.now.Add(10*time.Minute + time.Second)
		case "suspend tenant acme":
			b.tenants[0].Status = tenant.Suspended
		case "delete tenant acme":
			b.tenants = b.tenants[1:]
			b.build()
		case "change the template to /new/callback":
			b.apps[0].Callbacks = []string{"/new/callback"}
		case "delete client shop":
			b.apps = b.apps[1:]
			b.build()
		case "rotate keys: new primary, old one verify-only":
			b.keys = append([]seal.Key{{ID: 2, Secret: bytes.Repeat([]byte{2}, seal.KeySize)}}, b.keys...)
			b.build()
		default:
			b.Fatalf("unknown setup %q", s)
		}
	}
}

func (b *bed) run(c authorizeCase) {
	b.Helper()
	made := map[string]string{}
	b.before(&c, made)
	query, body := b.expand(c.QueryRaw, made), b.expand(c.BodyRaw, made)
	body = strings.Replace(body, "<JWT iss=sub=jwtc, aud=issuer>", jwt(`{"iss":"jwtc","sub":"jwtc","aud":"`+vectorIssuer+`"}`), 1)
	query = strings.Replace(query, "<ID token with aud shop>", jwt(`{"aud":"shop"}`), 1)
	b.after(&c)
	path, ok := map[string]string{
		"authorize": "/authorize", "par": "/par", "callback": "/onedoor/callback", "token": "/token", "end_session": "/logout",
	}[c.Step]
	if !ok {
		b.Fatalf("unknown step %q", c.Step)
	}
	contentType := c.ContentType
	if contentType == "" {
		contentType = "application/x-www-form-urlencoded"
	}
	b.seen = nil
	resp := b.send(c.Method, path, query, contentType, body, c.Headers)
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	var why []string
	for _, e := range append([]authorizeExpect{c.Expect}, c.Expect.AlsoOK...) {
		no := b.judge(&c, &e, resp, string(text), body)
		if no == "" {
			return
		}
		why = append(why, e.Outcome+": "+no)
	}
	b.Errorf("%s\n%s %s?%s\n%s\n%v\n%.300s\nprovider saw %+v\n%s", c.Why, c.Method, path, query, resp.Status, resp.Header, text, b.seen, strings.Join(why, "\n"))
}

// judge says why an answer is not the expected one, or "".
func (b *bed) judge(c *authorizeCase, e *authorizeExpect, resp *http.Response, text, body string) string {
	b.Helper()
	location := resp.Header.Get("Location")
	loc, _ := url.Parse(location)
	var seen recorded
	if len(b.seen) > 0 {
		seen = b.last()
	}
	if len(e.StatusOK) > 0 && !slices.Contains(e.StatusOK, resp.StatusCode) {
		return "status"
	}
	for _, h := range e.ResponseHasNot {
		if resp.Header.Get(h) != "" {
			return h
		}
	}
	for _, s := range e.BodyHasNot {
		if strings.Contains(text, s) {
			return "body holds " + s
		}
	}
	refusal := func() string {
		switch {
		case location != "":
			return "there is a Location"
		case resp.StatusCode < 400 || resp.StatusCode > 499:
			return "status is not 4xx"
		case !strings.Contains(resp.Header.Get("Cache-Control"), "no-store"):
			return "no no-store"
		case strings.Contains(text, "RAW1") || strings.Contains(text, "evil.com"):
			return "the request is reflected"
		}
		return ""
	}
	target := "https://acme.example.com/api/auth/callback?"
	switch e.Outcome {
	case "forward":
		return b.judgeForward(c, e, seen)
	case "error_page":
		return refusal()
	case "confirm_or_page":
		if location != "" || strings.Contains(seen.query+seen.body, "post_logout_redirect_uri") {
			return "the URI is used"
		}
	case "error_redirect":
		if resp.StatusCode != 302 && resp.StatusCode != 303 {
			return "status"
		}
		if !strings.HasPrefix(location, target) || !slices.Contains(e.ErrorOK, loc.Query().Get("error")) || loc.Query().Get("iss") != vectorIssuer {
			return "Location"
		}
		if asked, _ := url.ParseQuery(c.QueryRaw); len(asked["state"]) == 1 && loc.Query().Get("state") != asked.Get("state") {
			return "state is lost"
		}
		if len(b.seen) > 0 {
			return "it reached the provider"
		}
	case "client_redirect":
		return b.judgeResponse(e, resp, loc, location)
	case "client_form":
		if resp.StatusCode != 200 || location != "" || !strings.Contains(text, `action="`+e.FormAction+`"`) {
			return "no form to " + e.FormAction
		}
	case "token_error":
		return b.judgeJSON(e, resp, text, location)
	case "json_error":
		return b.judgeJSON(e, resp, text, location)
	case "token_forward":
		return b.judgeTokenForward(e, resp, seen, body)
	default:
		return "unknown outcome"
	}
	return ""
}

func (b *bed) judgeForward(c *authorizeCase, e *authorizeExpect, seen recorded) string {
	if seen.path == "" {
		return "nothing reached the provider"
	}
	raw := seen.query
	if c.Method == http.MethodPost {
		raw = seen.body
	}
	got, err := url.ParseQuery(raw)
	if err != nil {
		return err.Error()
	}
	for name, want := range e.UpstreamMust {
		if key, ok := strings.CutSuffix(name, "_count"); ok {
			if float64(len(got[key])) != want {
				return key + " does not stand once"
			}
		} else if got.Get(name) != want {
			return name + " is " + got.Get(name)
		}
	}
	for _, want := range e.UpstreamHas {
		name, n, times := strings.Cut(want, "×")
		_ = n
		switch {
		case times && len(got[name]) != 2 && want != "resource×2 in order":
			return want
		case want == "resource×2 in order" && !slices.Equal(got["resource"], []string{"https://a.example", "https://b.example"}):
			return want
		case !times && strings.Contains(want, "=") && !strings.Contains(raw, want):
			return want
		case !times && !strings.Contains(want, "=") && want != "resource×2 in order" && got.Get(want) == "":
			return want
		}
	}
	for _, not := range e.UpstreamHasNot {
		if strings.Contains(raw, not) {
			return not + " reached the provider"
		}
	}
	if c.Step == "authorize" && got.Get("request_uri") == "" && len(b.apps) > 0 {
		return b.judgeUntouched(c, raw)
	}
	return ""
}

// judgeUntouched: all parameters that the door does not own keep name, order
// among themselves, and value.
func (b *bed) judgeUntouched(c *authorizeCase, raw string) string {
	own := []string{"redirect_uri", "state", "code_challenge", "code_challenge_method"}
	sent := c.QueryRaw
	if c.Method == http.MethodPost {
		sent = c.BodyRaw
	}
	was, err := oidc.ParseParams(sent)
	if err != nil {
		return err.Error()
	}
	is, err := oidc.ParseParams(raw)
	if err != nil {
		return err.Error()
	}
	if was.Get("code_challenge") != "" {
		own = own[:2]
	}
	if !slices.Equal(was.Without(own...), is.Without(own...)) {
		return "other parameters have changed"
	}
	return ""
}

func (b *bed) judgeResponse(e *authorizeExpect, resp *http.Response, loc *url.URL, location string) string {
	if resp.StatusCode != 302 && resp.StatusCode != 303 {
		return "status"
	}
	if !strings.HasPrefix(location, e.LocationPrefix) {
		return "Location"
	}
	q := loc.Query()
	for name, want := range e.Params {
		switch want {
		case "sealed, not RAW1":
			if code := q.Get(name); len(code) < 100 || strings.Contains(code, "RAW1") {
				return "the code is not sealed"
			}
		case "the state of F5":
			if q.Get(name) != *b.v.Fixture.Flows["F5"].State {
				return "state"
			}
		default:
			if q.Get(name) != want || len(q[name]) != 1 {
				return name
			}
		}
	}
	for _, name := range e.ParamsAbsent {
		if q.Has(name) {
			return name + " is there"
		}
	}
	if e.ThenCode != "" {
		body := "grant_type=authorization_code&code=" + q.Get("code") + "&redirect_uri=" + url.QueryEscape("https://acme.example.com/api/auth/callback")
		b.send("POST", "/token", "", "application/x-www-form-urlencoded", body, [][2]string{{"Authorization", "Basic shop:shop-secret"}})
		form, _ := url.ParseQuery(b.last().body)
		if form.Get("code") != e.ThenCode {
			return "the provider got the code " + form.Get("code")
		}
	}
	return ""
}

func (b *bed) judgeJSON(e *authorizeExpect, resp *http.Response, text, location string) string {
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return err.Error()
	}
	switch {
	case location != "":
		return "there is a Location"
	case !strings.Contains(resp.Header.Get("Cache-Control"), "no-store"):
		return "no no-store"
	case len(e.ErrorOK) > 0 && !slices.Contains(e.ErrorOK, answer.Error):
		return "error is " + answer.Error
	case answer.Error == "":
		return "no error"
	}
	return ""
}

func (b *bed) judgeTokenForward(e *authorizeExpect, resp *http.Response, seen recorded, body string) string {
	if seen.path != "/token" {
		return "nothing reached the provider"
	}
	if e.BodyEqual && seen.body != body {
		return "the body has changed"
	}
	form, _ := url.ParseQuery(seen.body)
	for _, want := range e.UpstreamHas {
		switch want {
		case "redirect_uri=R0":
			if form.Get("redirect_uri") != vectorR0 {
				return want
			}
		case "code_verifier (the door's)":
			if len(form.Get("code_verifier")) != 43 {
				return want
			}
		default:
			if !strings.Contains(seen.body, want) {
				return want
			}
		}
	}
	for _, not := range e.UpstreamHasNot {
		if strings.Contains(seen.body, not) {
			return not + " reached the provider"
		}
	}
	if resp.StatusCode != http.StatusOK {
		return "the provider refused it"
	}
	return ""
}
