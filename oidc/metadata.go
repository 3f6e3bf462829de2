package oidc

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// Metadata is a provider's metadata document (OpenID Connect Discovery §3,
// RFC 8414 §2) as its members in their order, each value in the provider's own
// spelling: what we do not own leaves as it came, unknown members and the
// spelling of numbers included.
type Metadata struct {
	members []member
}

type member struct {
	name  string
	value json.RawMessage
}

// ErrNotMetadata is what ParseMetadata says of anything but one JSON object
// with distinct member names: an HTML page, for one.
var ErrNotMetadata = errors.New("not a JSON object")

// maxMembers bounds the members of a document: providers have some sixty. Each
// is compared with those before it, and anybody's site may answer with a
// mebibyte of them.
const maxMembers = 1000

// ParseMetadata parses a document. Two members of one name are refused: we and
// the client might read different ones.
func ParseMetadata(doc []byte) (*Metadata, error) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, ErrNotMetadata
	}
	m := &Metadata{}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ErrNotMetadata, err)
		}
		if len(m.members) == maxMembers {
			return nil, fmt.Errorf("%w: it has more than %d members", ErrNotMetadata, maxMembers)
		}
		name := t.(string) // the only token that may stand here
		if m.index(name) >= 0 {
			return nil, fmt.Errorf("member %q stands twice: %w", name, ErrNotMetadata)
		}
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			return nil, fmt.Errorf("member %q: %w: %v", name, ErrNotMetadata, err)
		}
		m.members = append(m.members, member{name, v})
	}
	if _, err := dec.Token(); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNotMetadata, err)
	}
	if dec.More() {
		return nil, fmt.Errorf("%w: text behind it", ErrNotMetadata)
	}
	return m, nil
}

func (m *Metadata) index(name string) int {
	return slices.IndexFunc(m.members, func(e member) bool { return e.name == name })
}

// Clone copies the document; its values are shared, and never written to.
func (m *Metadata) Clone() *Metadata {
	return &Metadata{members: slices.Clone(m.members)}
}

// Names lists the members in their order.
func (m *Metadata) Names() []string {
	names := make([]string, len(m.members))
	for i, e := range m.members {
		names[i] = e.name
	}
	return names
}

// Has says whether there is a member of that name.
func (m *Metadata) Has(name string) bool { return m.index(name) >= 0 }

// String returns a member that is a string, and "" for any other.
func (m *Metadata) String(name string) string {
	var s string
	if i := m.index(name); i >= 0 {
		_ = json.Unmarshal(m.members[i].value, &s)
	}
	return s
}

// Strings returns a member that is a list of strings, and nil for any other.
func (m *Metadata) Strings(name string) []string {
	var s []string
	if i := m.index(name); i >= 0 && json.Unmarshal(m.members[i].value, &s) != nil {
		return nil
	}
	return s
}

// Bool returns a member that is true or false; false for any other.
func (m *Metadata) Bool(name string) bool {
	i := m.index(name)
	return i >= 0 && string(m.members[i].value) == "true"
}

// Set gives the member that value, in its place or at the end.
func (m *Metadata) Set(name string, value any) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic("oidc: metadata value cannot be JSON: " + err.Error()) // only ever strings, lists and booleans of ours
	}
	v := json.RawMessage(bytes.TrimSpace(buf.Bytes()))
	if i := m.index(name); i >= 0 {
		m.members[i].value = v
		return
	}
	m.members = append(m.members, member{name, v})
}

// Delete leaves the member out.
func (m *Metadata) Delete(name string) {
	if i := m.index(name); i >= 0 {
		m.members = slices.Delete(slices.Clone(m.members), i, i+1)
	}
}

// Keep cuts a list of strings down to what keep says; where nothing of it is
// left, the member goes.
func (m *Metadata) Keep(name string, keep func(string) bool) {
	all := m.Strings(name)
	if all == nil {
		return
	}
	some := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !keep(s) })
	switch {
	case len(some) == len(all):
	case len(some) == 0:
		m.Delete(name)
	default:
		m.Set(name, some)
	}
}

// JSON writes the document.
func (m *Metadata) JSON() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, e := range m.members {
		if i > 0 {
			b.WriteByte(',')
		}
		name, _ := json.Marshal(e.name)
		b.Write(name)
		b.WriteByte(':')
		b.Write(e.value)
	}
	b.WriteByte('}')
	return b.Bytes()
}
