package gateway

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzTarget: whatever stands in a request line, the plain path has no second
// spelling of a dot segment, a slash or a path parameter left, and reading it
// again changes nothing.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/a%2f..%2fb", "//x", "/a;b/%3Bc", "/%252e%252e/x", "http://h/p?q", "/x%5c..", "/%%34%31", "*", "/a?b#c", "/%25252525252e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r := &request{Request: &http.Request{Method: http.MethodGet, RequestURI: target}}
		if r.readTarget(16<<10) != nil {
			return
		}
		if !strings.HasPrefix(r.path, "/") || strings.HasPrefix(r.path, "//") || (r.query != "" && r.query[0] != '?') {
			t.Fatalf("%q became path %q, query %q", target, r.path, r.query)
		}
		plain, err := plainPath(r.path)
		if err != nil {
			return
		}
		if !strings.HasPrefix(plain, "/") || strings.ContainsAny(plain, `;\?#`) || strings.Contains(plain, "//") {
			t.Fatalf("%q is not plain: %q", r.path, plain)
		}
		for segment := range strings.SplitSeq(plain, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("%q leads on to %q", r.path, plain)
			}
		}
	})
}
