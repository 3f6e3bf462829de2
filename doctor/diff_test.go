package doctor

import (
	"slices"
	"testing"
)

func TestADifferenceIsNamedInTheWordsOfTheMistake(t *testing.T) {
	const want = "https://auth.example.com/realms/atlas"
	for _, tt := range []struct{ got, difference string }{
		{want, same},
		{want + "/", differSlash},
		{"https://auth.example.com/realms/Atlas", differCase},
		{"http://auth.example.com/realms/atlas", differScheme},
		{"https://auth.example.com:8443/realms/atlas", differPort},
		{"https://auth.example.com:443/realms/atlas", differPort},
		{"https://login.example.net/realms/atlas", differHost},
		{"https://auth.exmaple.com/realms/atlas", differLetter},
		{"https://auth.example.com/realms/orbit", differPath},
		{"https://auth.example.com/realms/atlas?x=1", differQuery},
		{"https://auth.example.com/realms/%61tlas", differEncoded},
		{want + "\n", differInvis},
		{"https://auth.example.com/realms/\u200batlas", differInvis},
		{"https://auth.example.com/realms/%zz", differEncoded},
	} {
		if got := difference(tt.got, want); got != tt.difference {
			t.Errorf("%q: %s, want %s", tt.got, got, tt.difference)
		}
	}
}

func TestNearMissesHoldTheMistakesThatPeopleMake(t *testing.T) {
	const uri = "https://acme.example.com/api/auth/callback"
	all := nearMisses(uri)
	for _, tt := range []struct{ other, difference string }{
		{uri + "/", differSlash},
		{"http://acme.example.com/api/auth/callback", differScheme},
		{"https://acme.example.com:3000/api/auth/callback", differPort},
		{"https://acme.example.com/api/auth/Callback", differCase},
		{"https://acme.example.com", differPath},
		{"https://acm.example.com/api/auth/callback", differLetter},
		{"https://amce.example.com/api/auth/callback", differLetter},
	} {
		if !slices.Contains(all, near{tt.other, tt.difference}) {
			t.Errorf("%s (%s) is not among them", tt.other, tt.difference)
		}
	}
	for _, n := range all {
		if n.uri == uri {
			t.Error("the redirect URI itself is among them")
		}
	}
	relay := nearMisses("https://auth.example.com/tenants/globex/callback")
	if !slices.Contains(relay, near{"https://auth.example.com/tenants/globx/callback", differLetter}) {
		t.Error("a tenant that is mistyped in a relay's path is not among them")
	}
	if more := nearMisses("http://localhost:3000/cb?x=1\n"); more[0] != (near{"http://localhost:3000/cb?x=1", differInvis}) {
		t.Errorf("the first is %v, want the one without the newline", more[0])
	}
	if long := nearMisses("https://" + string(make([]byte, 60)) + "acme.example.com/cb"); len(long) > maxNear {
		t.Errorf("%d are tried, more than %d", len(long), maxNear)
	}
}

func TestTypo(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"globex", "globx", true},
		{"globx", "globex", true},
		{"globex", "glboex", true},
		{"globex", "globez", true},
		{"globex", "globex", false},
		{"globex", "initech", false},
		{"", "a", true},
		{"ab", "ba", true},
	} {
		if got := typo(tt.a, tt.b); got != tt.want {
			t.Errorf("%q and %q: %v", tt.a, tt.b, got)
		}
	}
}
