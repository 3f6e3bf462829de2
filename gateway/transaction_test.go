package gateway

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"onedoor/seal"
)

func TestATransactionSurvivesItsJourney(t *testing.T) {
	ring, err := seal.NewRing(time.Now, seal.NewKey(3))
	if err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*transaction){
		"plain":           func(*transaction) {},
		"no state":        func(x *transaction) { x.state, x.hasState = "", false },
		"an empty state":  func(x *transaction) { x.state, x.hasState = "", true },
		"form_post":       func(x *transaction) { x.formPost, x.bound, x.pkce = true, true, pkceClient },
		"a printable mix": func(x *transaction) { x.state = `{a|b}^"<> &=é` },
		"a long state":    func(x *transaction) { x.state = strings.Repeat("s", maxState) },
	} {
		t.Run(name, func(t *testing.T) {
			want := newTransaction(ring)
			want.clientID, want.redirectURI, want.tenantID = "shop", "https://acme.example.com/cb", "t1"
			want.state, want.hasState, want.code = "st", true, "K"
			edit(&want)
			got, err := decodeTransaction(want.encode())
			if err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
}

// The budget of a sealed state is 1,700 characters: beyond it Keycloak's
// KC_RESTART cookie is dropped by the browser, and over 4,000 the state itself.
func TestAnOrdinarySealedStateIsSmall(t *testing.T) {
	ring, err := seal.NewRing(time.Now, seal.NewKey(3))
	if err != nil {
		t.Fatal(err)
	}
	x := newTransaction(ring)
	x.clientID, x.redirectURI, x.tenantID = "atlas-web", "https://acme.example.com/api/auth/callback", "01890a5d-ac96-774b-bcce-b302099a8057"
	x.state, x.hasState = strings.Repeat("s", 43), true
	if n := len(ring.Seal(seal.State, vectorIssuer, x.encode())); n > 320 {
		t.Errorf("a sealed state of an ordinary login has %d characters", n)
	}
	x.state = strings.Repeat("s", 435) // the longest that was seen of a library that seals its own
	if n := len(ring.Seal(seal.State, vectorIssuer, x.encode())); n > 1000 {
		t.Errorf("a sealed state with a JWE in it has %d characters", n)
	}
}

func FuzzDecodeTransaction(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0}, 24))
	f.Add(append(bytes.Repeat([]byte{1}, 19), 255, 255, 255, 255, 255, 255, 255, 255, 255, 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := decodeTransaction(b)
		if err != nil {
			return
		}
		again, err := decodeTransaction(x.encode())
		if err != nil || again != x {
			t.Fatalf("%x decodes to %+v, which becomes %+v, %v", b, x, again, err)
		}
	})
}
