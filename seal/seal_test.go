package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"
)

const issuer = "https://auth.example.com"

type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func ring(t testing.TB, c *clock, keys ...Key) *Ring {
	t.Helper()
	r, err := NewRing(c.now, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func fixed(id byte) Key { return Key{ID: id, Secret: bytes.Repeat([]byte{id}, KeySize)} }

func TestWhatWasSealedOpens(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	for _, value := range []string{"", "x", strings.Repeat("state", 300)} {
		text := r.Seal(State, issuer, []byte(value))
		got, err := r.Open(State, issuer, text, time.Hour)
		if err != nil || string(got) != value {
			t.Errorf("Open = %q, %v, want %q", got, err, value)
		}
	}
}

func TestNothingElseOpens(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	text := r.Seal(State, issuer, []byte("value"))
	raw, _ := base64.RawURLEncoding.DecodeString(text)
	flip := func(i int) string {
		b := bytes.Clone(raw)
		b[i] ^= 1
		return base64.RawURLEncoding.EncodeToString(b)
	}
	other := ring(t, c, Key{ID: 1, Secret: bytes.Repeat([]byte{9}, KeySize)})
	cases := map[string]struct {
		r       *Ring
		p       Purpose
		context string
		text    string
	}{
		"as a code":            {r, Code, issuer, text},
		"as a logout":          {r, Logout, issuer, text},
		"for another issuer":   {r, State, issuer + "/", text},
		"under another key":    {other, State, issuer, text},
		"another version":      {r, State, issuer, flip(0)},
		"an unknown key id":    {r, State, issuer, flip(1)},
		"another nonce":        {r, State, issuer, flip(2)},
		"another ciphertext":   {r, State, issuer, flip(26)},
		"another tag":          {r, State, issuer, flip(len(raw) - 1)},
		"cut":                  {r, State, issuer, text[:len(text)-8]},
		"padded":               {r, State, issuer, text + "="},
		"with a line break":    {r, State, issuer, text[:8] + "\n" + text[8:]},
		"upper case":           {r, State, issuer, strings.ToUpper(text)},
		"the other alphabet":   {r, State, issuer, base64.RawStdEncoding.EncodeToString(bytes.Repeat([]byte{0xFF}, 80))},
		"empty":                {r, State, issuer, ""},
		"absurdly long":        {r, State, issuer, strings.Repeat("A", 1<<20)},
		"random text":          {r, State, issuer, strings.Repeat("A", 120)},
		"a sealed value twice": {r, State, issuer, text + text},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := tt.r.Open(tt.p, tt.context, tt.text, time.Hour)
			if !errors.Is(err, ErrOpen) || errors.Is(err, ErrExpired) || got != nil {
				t.Errorf("Open = %q, %v, want nothing and ErrOpen", got, err)
			}
		})
	}
}

// The purpose is in the additional data too; the keys must not hang on that.
func TestEachPurposeHasAKeyOfItsOwn(t *testing.T) {
	r := ring(t, &clock{time.Unix(1e9, 0)}, fixed(1))
	nonce := make([]byte, 24)
	seen := map[string]Purpose{}
	for _, p := range purposes {
		text := string(r.current.Load().list[0].aeads[p].Seal(nil, nonce, []byte("value"), nil))
		if other, ok := seen[text]; ok {
			t.Errorf("%s and %s share a key", p, other)
		}
		seen[text] = p
	}
}

// A value whose unused last bits differ decodes to the same octets: one seal,
// two texts.
func TestTrailingBitsAreRefused(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	for n := range 3 {
		text := r.Seal(State, issuer, make([]byte, n))
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		i := strings.IndexByte(alphabet, text[len(text)-1])
		twin := text[:len(text)-1] + string(alphabet[i^1])
		if _, err := r.Open(State, issuer, twin, time.Hour); !errors.Is(err, ErrOpen) {
			t.Errorf("length %d: the twin opens", n)
		}
	}
}

func TestAnExpiredValueStillSaysWhatItWas(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(1))
	text := r.Seal(State, issuer, []byte("value"))
	c.t = c.t.Add(time.Hour + time.Second)
	got, err := r.Open(State, issuer, text, time.Hour)
	if !errors.Is(err, ErrExpired) || string(got) != "value" {
		t.Errorf("Open = %q, %v, want the value and ErrExpired", got, err)
	}
	c.t = time.Unix(1e9, 0).Add(-2 * time.Minute)
	if got, err := r.Open(State, issuer, text, time.Hour); !errors.Is(err, ErrOpen) || got != nil {
		t.Errorf("a value from the future: %q, %v", got, err)
	}
	c.t = time.Unix(1e9, 0).Add(-30 * time.Second)
	if _, err := r.Open(State, issuer, text, time.Hour); err != nil {
		t.Errorf("half a minute of clock skew: %v", err)
	}
}

func TestOldKeysOpenUntilTheyAreGone(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	text := ring(t, c, fixed(1)).Seal(Code, issuer, []byte("v"))
	if _, err := ring(t, c, fixed(2), fixed(1)).Open(Code, issuer, text, time.Hour); err != nil {
		t.Errorf("after rotation: %v", err)
	}
	if _, err := ring(t, c, fixed(2)).Open(Code, issuer, text, time.Hour); !errors.Is(err, ErrOpen) {
		t.Errorf("after the key is gone: %v", err)
	}
}

func TestEachTransactionHasItsOwnVerifier(t *testing.T) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(t, c, fixed(2), fixed(1))
	a, err := r.Verifier(2, []byte("a"))
	if err != nil || len(a) != 43 {
		t.Fatalf("%q %v, want 43 characters (RFC 7636 §4.1)", a, err)
	}
	b, _ := r.Verifier(2, []byte("b"))
	old, _ := r.Verifier(1, []byte("a"))
	if a == b || a == old {
		t.Error("two transactions or two keys share a verifier")
	}
	if _, err := r.Verifier(3, []byte("a")); !errors.Is(err, ErrOpen) {
		t.Errorf("unknown key: %v", err)
	}
	if got := Challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"); got != "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM" {
		t.Errorf("Challenge = %q, want the one of RFC 7636 appendix B", got)
	}
}

func TestARingRefusesKeysThatCannotWork(t *testing.T) {
	for name, keys := range map[string][]Key{
		"none":        {},
		"a short one": {{ID: 1, Secret: []byte("short")}},
		"one twice":   {fixed(1), fixed(1)},
	} {
		if _, err := NewRing(time.Now, keys...); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzOpen(f *testing.F) {
	c := &clock{time.Unix(1e9, 0)}
	r := ring(f, c, fixed(1))
	for _, s := range []string{"", "A", "AQE", strings.Repeat("AQE", 30), strings.Repeat("A", 100) + "="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if v, err := r.Open(State, issuer, text, time.Hour); err == nil {
			t.Fatalf("%q opens as %q", text, v)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	r := ring(b, &clock{time.Unix(1e9, 0)}, fixed(1))
	value := make([]byte, 200)
	b.ReportAllocs()
	for b.Loop() {
		r.Seal(State, issuer, value)
	}
}
