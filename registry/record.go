package registry

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"

	"onedoor/tenant"
)

// A tenant is an entry whose key is the label. The value's first octet says its
// status, how its id is written and whether more follows; a plain tenant has
// nothing but the id behind it, nine octets in all.
const (
	flagSuspended = 1 << iota
	flagIDHex     // eight octets: the id is "t_" and their hexadecimal digits
	flagIDText    // its length and the id; neither: it is the label
	flagMore      // issuer, sites, parameters
)

const (
	hexPrefix = "t_"
	hexOctets = 8
)

// encode appends what a tenant's entry holds.
func encode(b []byte, t tenant.Tenant) []byte {
	var flags byte
	if t.Status != tenant.Active { // also one that this version does not know
		flags = flagSuspended
	}
	var short [hexOctets]byte
	switch {
	case t.ID == t.Label:
	case shorten(short[:], t.ID):
		flags |= flagIDHex
	default:
		flags |= flagIDText
	}
	more := t.Issuer != "" || len(t.Sites) > 0 || len(t.Parameters) > 0
	if more {
		flags |= flagMore
	}
	b = append(b, flags)
	switch {
	case flags&flagIDHex != 0:
		b = append(b, short[:]...)
	case flags&flagIDText != 0:
		b = appendText(b, t.ID)
	}
	if more {
		b = appendText(b, t.Issuer)
		b = appendTexts(b, t.Sites)
		b = appendTexts(b, t.Parameters)
	}
	return b
}

// shorten writes the octets of an id that is "t_" and 16 digits.
func shorten(to []byte, id string) bool {
	if len(id) != len(hexPrefix)+2*hexOctets || id[:len(hexPrefix)] != hexPrefix {
		return false
	}
	digits := id[len(hexPrefix):]
	for i := range digits {
		if c := digits[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false // capitals would come back as small letters
		}
	}
	_, err := hex.Decode(to, []byte(digits))
	return err == nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, m map[string]string) []byte {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendText(appendText(b, k), m[k])
	}
	return b
}

// decode reads the entry of a label. What it returns is the caller's own.
func decode(label string, b []byte) tenant.Tenant {
	t := tenant.Tenant{ID: label, Label: label, Status: tenant.Active}
	flags := b[0]
	r := reader(b[1:])
	if flags&flagSuspended != 0 {
		t.Status = tenant.Suspended
	}
	switch {
	case flags&flagIDHex != 0:
		t.ID = lengthen(r.next(hexOctets))
	case flags&flagIDText != 0:
		t.ID = r.text()
	}
	if flags&flagMore != 0 {
		t.Issuer = r.text()
		t.Sites = r.texts()
		t.Parameters = r.texts()
	}
	return t
}

func lengthen(b []byte) string {
	var id [len(hexPrefix) + 2*hexOctets]byte
	copy(id[:], hexPrefix)
	hex.Encode(id[len(hexPrefix):], b)
	return string(id[:])
}

// reader takes apart what encode wrote.
type reader []byte

func (r *reader) next(n int) []byte {
	b := (*r)[:n]
	*r = (*r)[n:]
	return b
}

func (r *reader) number() int {
	v, n := binary.Uvarint(*r)
	*r = (*r)[n:]
	return int(v)
}

func (r *reader) text() string { return string(r.next(r.number())) }

func (r *reader) texts() map[string]string {
	n := r.number()
	if n == 0 {
		return nil
	}
	m := make(map[string]string, n)
	for range n {
		k := r.text()
		m[k] = r.text()
	}
	return m
}

// siteKey is the key of a tenant's own site: the app's name, which has no NUL,
// and the origin.
func siteKey(b []byte, app, origin string) []byte {
	return append(append(append(b, app...), 0), origin...)
}
