package seal

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
)

// counting is a key whose octets differ: first, first+1, …
func counting(first byte) []byte {
	b := make([]byte, KeySize)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func box(t testing.TB, keys ...[]byte) *Box {
	t.Helper()
	b, err := NewBox(keys...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestABoxGivesBackWhatItEncrypted(t *testing.T) {
	secret := bytes.Repeat([]byte("private"), 9)
	for name, b := range map[string]*Box{"one key": box(t, counting(0)), "two keys": box(t, counting(0), counting(100)), "no box": nil} {
		text := b.Seal("secrets/seal/1", secret)
		got, err := b.Open("secrets/seal/1", text)
		if err != nil || !bytes.Equal(got, secret) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if encrypted := strings.HasPrefix(text, "box1:"); encrypted != (b != nil) || !b.Current(text) {
			t.Errorf("%s: %s", name, text)
		}
		if b != nil && b.Seal("secrets/seal/1", secret) == text {
			t.Errorf("%s: the same text twice", name)
		}
	}
}

func TestAValueOpensInItsOwnPlaceOnly(t *testing.T) {
	b := box(t, counting(0))
	text := b.Seal("secrets/seal/1", []byte("secret"))
	flipped := []byte(text)
	flipped[len(text)-2] ^= 1
	for name, c := range map[string][2]string{
		"another place":   {"secrets/seal/2", text},
		"changed":         {"secrets/seal/1", string(flipped)},
		"cut":             {"secrets/seal/1", text[:len(text)-9]},
		"nothing behind":  {"secrets/seal/1", text[:len("box1:")+8+1]},
		"not base64":      {"secrets/seal/1", "?"},
		"another version": {"secrets/seal/1", "box2" + text[4:]},
	} {
		if got, err := b.Open(c[0], c[1]); !errors.Is(err, ErrDamaged) || got != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestTheFirstKeyEncryptsAndEveryKeyDecrypts(t *testing.T) {
	before, between, after := box(t, counting(0)), box(t, counting(100), counting(0)), box(t, counting(100))
	text := before.Seal("p", []byte("secret"))
	if got, err := between.Open("p", text); err != nil || string(got) != "secret" || between.Current(text) {
		t.Errorf("%q, %v, current %t", got, err, between.Current(text))
	}
	if _, err := after.Open("p", text); !errors.Is(err, ErrOtherKey) || !strings.Contains(err.Error(), before.Name()) {
		t.Errorf("without its key: %v", err)
	}
	if got, err := after.Open("p", between.Seal("p", []byte("secret"))); err != nil || string(got) != "secret" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := (*Box)(nil).Open("p", text); !errors.Is(err, ErrOtherKey) {
		t.Errorf("without any: %v", err)
	}
	plain := (*Box)(nil).Seal("p", []byte("secret"))
	if got, err := after.Open("p", plain); err != nil || string(got) != "secret" || after.Current(plain) {
		t.Errorf("from before there was a key: %q, %v", got, err)
	}
	if _, err := NewBox(counting(0), counting(0)); err == nil {
		t.Error("one key twice was taken")
	}
}

func TestOnlyARandomEncryptionKeyIsTaken(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(counting(0xE0))
	for _, text := range []string{good, strings.TrimRight(good, "="), strings.NewReplacer("+", "-", "/", "_").Replace(good)} {
		if got, err := ParseBoxKey(text); err != nil || !bytes.Equal(got, counting(0xE0)) {
			t.Errorf("%s: %x, %v", text, got, err)
		}
	}
	std := base64.StdEncoding.EncodeToString
	for name, text := range map[string]string{
		"nothing": "", "a word": "secret", "sixteen octets": std(counting(0)[:16]), "64 octets": std(append(counting(0), counting(32)...)),
		"zeroes": std(make([]byte, 32)), "a password in base64": std([]byte("correct horse battery staple 123")),
		"a pattern": std(bytes.Repeat(counting(0)[:8], 4)), "hex": strings.Repeat("0123456789abcdef", 4), "two lines": good + "\n" + good, "a line break": good[:8] + "\n" + good[8:],
	} {
		if _, err := ParseBoxKey(text); err == nil {
			t.Errorf("%s was taken", name)
		} else if text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error has it in it: %v", name, err)
		}
	}
	for range 10_000 {
		if err := checkBoxKey(NewKey(0).Secret); err != nil {
			t.Fatalf("a random key: %v", err)
		}
	}
	if got, err := ParseBoxKey(FormatBoxKey(counting(7))); err != nil || !bytes.Equal(got, counting(7)) {
		t.Errorf("%x, %v", got, err)
	}
}

func FuzzBoxDecrypt(f *testing.F) {
	b := box(f, counting(0))
	for _, s := range []string{"", "box1:", "box1::", "box1:AAAAAAAA:AAAA", "YWJj", "box1:" + b.Name() + ":" + strings.Repeat("A", 60)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := b.Open("p", text); err == nil && strings.HasPrefix(text, boxPrefix) {
			t.Errorf("%q decrypts to %q", text, got)
		}
	})
}
