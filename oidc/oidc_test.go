package oidc

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestParamsKeepOrderSpellingAndRepetition(t *testing.T) {
	ps, err := ParseParams("b=1&2=x&1=y&resource=a&resource=b&state=%7B%22a%22%7D&flag&x=a%2Bb+c&y=a;z")
	if err != nil {
		t.Fatal(err)
	}
	want := "b=1&2=x&1=y&resource=a&resource=b&state=%7B%22a%22%7D&flag=&x=a%2Bb+c&y=a%3Bz"
	if got := ps.Encode(); got != want {
		t.Errorf("Encode() = %q, want %q", got, want)
	}
	if name := ps.Repeated(); name != "" {
		t.Errorf("Repeated() = %q, want none: resource may repeat", name)
	}
}

func TestParamsRefuseWhatTwoParsersReadDifferently(t *testing.T) {
	for name, raw := range map[string]string{
		"a bare percent sign":         "x=100%",
		"bad hex":                     "x=%zz",
		"octets that are not UTF-8":   "x=%FF%FE",
		"a raw octet above 7F":        "x=\xff",
		"a control in a name":         "redirect_uri%00=x",
		"an overlong slash":           "x=%C0%AF",
		"thousands of pairs":          strings.Repeat("a=1&", 5000),
		"a percent sign near the end": "x=%4",
	} {
		t.Run(name, func(t *testing.T) {
			if ps, err := ParseParams(raw); err == nil {
				t.Errorf("got %v, want an error", ps)
			}
		})
	}
}

func TestAKnownParameterStandsOnce(t *testing.T) {
	for raw, want := range map[string]string{
		"state=1&state=2":                      "state",
		"redirect_uri=a&redirect%5Furi=a":      "redirect_uri",
		"redirect_uri=a&%72edirect_uri=":       "redirect_uri",
		"foo=1&foo=2":                          "",
		"audience=1&audience=2&resource=":      "",
		"client_id=a&scope=b&client%5Fid=evil": "client_id",
	} {
		ps, err := ParseParams(raw)
		if err != nil {
			t.Fatal(err)
		}
		if got := ps.Repeated(); got != want {
			t.Errorf("Repeated(%q) = %q, want %q", raw, got, want)
		}
	}
}

func TestLookalikesOfKnownParametersAreFound(t *testing.T) {
	for _, name := range []string{
		"Redirect_Uri", "REDIRECT_URI", "redirect_uri[]", "redirect_uri[0]", "redirect_uri.x", "redirect.uri",
		" redirect_uri", "redirect_uri ", "redirect-uri", "redirect uri", "client_id;x",
	} {
		if (Params{{name, "x"}}).Alias() != name {
			t.Errorf("%q passes for an unknown parameter", name)
		}
	}
	for _, name := range []string{"redirect_uri", "kc_idp_hint", "foo", "resource", "organization", "__proto__"} {
		if got := (Params{{name, "x"}}).Alias(); got != "" {
			t.Errorf("%q is taken for a lookalike", got)
		}
	}
}

func TestSetReplacesInPlace(t *testing.T) {
	ps := Params{{"a", "1"}, {"state", "x"}, {"b", "2"}, {"state", "y"}}
	if got := ps.Set("state", "z").Set("c", "3").Without("a").Encode(); got != "state=z&b=2&c=3" {
		t.Error(got)
	}
	if ps.Encode() != "a=1&state=x&b=2&state=y" {
		t.Error("Set changed its receiver")
	}
}

func TestAppendQueryKeepsTheURIsOwnQuery(t *testing.T) {
	ps := Params{{"code", "c"}}
	for uri, want := range map[string]string{
		"https://a/cb":           "https://a/cb?code=c",
		"https://a/cb?":          "https://a/cb?code=c",
		"https://a/cb?q=%7e;1":   "https://a/cb?q=%7e;1&code=c",
		"https://a/cb?q=1&":      "https://a/cb?q=1&code=c",
		"com.example.app:/oauth": "com.example.app:/oauth?code=c",
	} {
		if got := AppendQuery(uri, ps); got != want {
			t.Errorf("AppendQuery(%q) = %q, want %q", uri, got, want)
		}
	}
}

func TestMetadataLeavesWhatWeDoNotOwn(t *testing.T) {
	const doc = `{"issuer":"https://a/<&>","x":1.0e+02,"token_endpoint":"https://a/t","n":null,"big":12345678901234567890,"o":{"b":1,"a":[ 1 ]}}`
	m, err := ParseMetadata([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.JSON()); got != doc {
		t.Errorf("unchanged document is %s", got)
	}
	c := m.Clone()
	c.Set("token_endpoint", "http://door:9000/t?a&b")
	c.Delete("n")
	want := `{"issuer":"https://a/<&>","x":1.0e+02,"token_endpoint":"http://door:9000/t?a&b","big":12345678901234567890,"o":{"b":1,"a":[ 1 ]}}`
	if got := string(c.JSON()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if string(m.JSON()) != doc {
		t.Error("a clone's change reached the original")
	}
}

// Each member is compared with those before it: a mebibyte of them took half a
// minute.
func TestMetadataRefusesMembersWithoutEnd(t *testing.T) {
	document := func(n int) []byte {
		members := make([]string, n)
		for i := range members {
			members[i] = fmt.Sprintf("\"%d\":1", i)
		}
		return []byte("{" + strings.Join(members, ",") + "}")
	}
	if m, err := ParseMetadata(document(maxMembers)); err != nil || !m.Has("999") {
		t.Errorf("a document of %d members: %v", maxMembers, err)
	}
	if _, err := ParseMetadata(document(maxMembers + 1)); !errors.Is(err, ErrNotMetadata) {
		t.Errorf("one more: %v, want ErrNotMetadata", err)
	}
}

func TestMetadataRefusesWhatIsNotOneObject(t *testing.T) {
	for _, doc := range []string{"", "<html>", "[]", `"x"`, "null", `{"a":1,"a":2}`, `{"a":1} {}`, `{"a":1}x`, `{"a":`, `{"a"`, `{a:1}`} {
		if _, err := ParseMetadata([]byte(doc)); !errors.Is(err, ErrNotMetadata) {
			t.Errorf("ParseMetadata(%q) = %v, want ErrNotMetadata", doc, err)
		}
	}
}

func TestErrorAnswersNeverHoldTheCause(t *testing.T) {
	e := &Error{Code: InvalidGrant, Description: "the code is not valid", Rule: "code.seal", Cause: errors.New("SECRET")}
	w := httptest.NewRecorder()
	e.WriteJSON(w)
	if w.Code != 400 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if got := w.Body.String(); got != `{"error":"invalid_grant","error_description":"the code is not valid"}` {
		t.Error(got)
	}
	if got := e.Response("s t", true, "https://a").Encode(); got != "error=invalid_grant&error_description=the+code+is+not+valid&state=s+t&iss=https%3A%2F%2Fa" {
		t.Error(got)
	}
	if _, has := e.Response("", false, "").Lookup("state"); has {
		t.Error("a state that the client did not send was returned")
	}
}

// FuzzParams: what is parsed is written again and read as the same.
func FuzzParams(f *testing.F) {
	for _, s := range []string{"", "a=1&b", "a=%2B+&a==&&", "state=%7Ba%7D", "x=%zz", "\xff=1", "é=%C3%A9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		ps, err := ParseParams(raw)
		if err != nil {
			return
		}
		again, err := ParseParams(ps.Encode())
		if err != nil {
			t.Fatalf("%q became %q, which does not parse: %v", raw, ps.Encode(), err)
		}
		if len(again) != len(ps) {
			t.Fatalf("%q: %v became %v", raw, ps, again)
		}
		for i := range ps {
			if ps[i] != again[i] {
				t.Fatalf("%q: %v became %v", raw, ps[i], again[i])
			}
		}
	})
}

func TestEncodeEscapesAsTheStandardLibraryDoes(t *testing.T) {
	var all strings.Builder
	for c := range 0x180 {
		all.WriteRune(rune(c))
	}
	ps := Params{{Name: "a b", Value: all.String()}, {Name: "", Value: ""}, {Name: "日本", Value: "=&+%"}}
	var want []string
	for _, p := range ps {
		want = append(want, url.QueryEscape(p.Name)+"="+url.QueryEscape(p.Value))
	}
	if got := ps.Encode(); got != strings.Join(want, "&") {
		t.Errorf("got  %q\nwant %q", got, strings.Join(want, "&"))
	}
}

func TestWithChangesACopy(t *testing.T) {
	ps := Params{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}, {Name: "a", Value: "3"}, {Name: "c", Value: "4"}}
	before := slices.Clone(ps)
	got := ps.With(Param{Name: "a", Value: "x"}, Param{Name: "d", Value: "y"}, Param{Name: "c", Value: "z"})
	if want := (Params{{Name: "a", Value: "x"}, {Name: "b", Value: "2"}, {Name: "c", Value: "z"}, {Name: "d", Value: "y"}}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(ps, before) {
		t.Errorf("the parameters themselves became %v", ps)
	}
}
