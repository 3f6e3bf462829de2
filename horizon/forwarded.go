package horizon

import (
	"fmt"
	"net/http"
	"strings"
)

// hop is what one proxy says of a request that it received. Empty fields were
// not said.
type hop struct{ client, host, proto string }

// forwarded reads what the nearest proxy wrote, in the configured mode.
func (l *Listener) forwarded(h http.Header) (hop, error) {
	var f hop
	if l.Forwarded == RFC7239 {
		element, err := lastElement(strings.Join(h["Forwarded"], ","))
		if err != nil {
			return hop{}, err
		}
		if f, err = parseElement(element); err != nil {
			return hop{}, err
		}
	} else {
		var err error
		if f.host, err = nearest(h, "X-Forwarded-Host"); err != nil {
			return hop{}, err
		}
		if f.proto, err = nearest(h, "X-Forwarded-Proto"); err != nil {
			return hop{}, err
		}
		if f.client, err = nearest(h, "X-Forwarded-For"); err != nil {
			return hop{}, err
		}
	}
	switch f.proto = strings.ToLower(f.proto); f.proto {
	case "", "http", "https":
	case "ws":
		f.proto = "http" // some proxies name the protocol that is upgraded to
	case "wss":
		f.proto = "https"
	default:
		return hop{}, fmt.Errorf("%w: the proxy forwarded the scheme %q", ErrHost, cut(f.proto))
	}
	return f, nil
}

// nearest is the last value of a field that proxies append to. A field that is
// there says something: one that ends with nothing is not read as absent.
func nearest(h http.Header, name string) (string, error) {
	values := h[name]
	if len(values) == 0 {
		return "", nil
	}
	last := values[len(values)-1]
	v := strings.Trim(last[strings.LastIndexByte(last, ',')+1:], " \t")
	if v == "" {
		return "", fmt.Errorf("%w: the proxy's %s is empty", ErrHost, name)
	}
	return v, nil
}

var errForwarded = fmt.Errorf("%w: the proxy's Forwarded is malformed", ErrHost)

// lastElement cuts the last forwarded-element off a list; commas in quoted
// strings do not separate (RFC 7239 §4).
func lastElement(list string) (string, error) {
	start, quoted := 0, false
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case c == ',' && !quoted:
			start = i + 1
		}
	}
	if quoted {
		return "", errForwarded
	}
	return strings.Trim(list[start:], " \t"), nil
}

// parseElement reads for, host and proto of one forwarded-element:
// token "=" (token / quoted-string), separated by ";" (RFC 7239 §4). Each may
// stand once.
func parseElement(e string) (f hop, err error) {
	seen := map[string]bool{}
	for e != "" {
		name, rest, ok := strings.Cut(e, "=")
		if name = strings.ToLower(name); !ok || name == "" || seen[name] || strings.ContainsAny(name, " \t\";,") {
			return hop{}, errForwarded
		}
		seen[name] = true
		var value string
		if strings.HasPrefix(rest, `"`) {
			if value, rest, ok = unquote(rest[1:]); !ok {
				return hop{}, errForwarded
			}
		} else {
			end := strings.IndexByte(rest, ';')
			if end < 0 {
				end = len(rest)
			}
			if value, rest = rest[:end], rest[end:]; strings.ContainsAny(value, "\" \t,") {
				return hop{}, errForwarded
			}
		}
		if value == "" || (rest != "" && rest[0] != ';') {
			return hop{}, errForwarded
		}
		e = strings.TrimPrefix(rest, ";")
		switch name {
		case "for":
			f.client = value
		case "host":
			f.host = value
		case "proto":
			f.proto = value
		}
	}
	return f, nil
}

// unquote reads a quoted-string whose opening quote is gone (RFC 9110 §5.6.4).
func unquote(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}
