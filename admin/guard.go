package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
)

// ServeHTTP is what every request passes. No answer is kept by a cache, shown
// in a frame or read by a script of another origin (there is no CORS), and no
// cookie is read or set: a browser that is led here brings nothing of its
// owner's (THREATS T-66).
func (a *API) ServeHTTP(to http.ResponseWriter, r *http.Request) {
	w := &begun{ResponseWriter: to}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	defer a.recover(w, r)
	if !a.answersTo(r) {
		problem(http.StatusMisdirectedRequest, "host_unknown", "This API does not answer to that Host.", "name it in admin.hosts, or ask 127.0.0.1").write(w)
		return
	}
	if p := a.unrouted(r); p != nil {
		p.write(w)
		return
	}
	deadlines := http.NewResponseController(w)
	if r.Body != http.NoBody {
		// The server ends it with the body. Without one it would stand while the
		// answer is made, and once it passed, the caller would be taken for gone.
		_ = deadlines.SetReadDeadline(deadline(bodyTime)) // in process there are none
	}
	_ = deadlines.SetWriteDeadline(deadline(answerTime))
	a.mux.ServeHTTP(w, r)
}

// deadline is by the clock of the operating system, which ends connections.
func deadline(after time.Duration) time.Time { return time.Now().Add(after) }

// answersTo checks the Host: a page of any site can have its own name lead to
// this address, and then ask for it with the rights of its origin (DNS
// rebinding). It cannot choose these.
func (a *API) answersTo(r *http.Request) bool {
	host := strings.ToLower(hostname(r.Host))
	if host == "localhost" || slices.Contains(a.Hosts, host) {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	if err != nil {
		return false
	}
	if ip.Unmap().IsLoopback() {
		return true
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if local == nil {
		return false
	}
	at, err := netip.ParseAddrPort(local.String())
	return err == nil && at.Addr().Unmap().WithZone("") == ip.Unmap().WithZone("")
}

// hostname is the host of an authority, without its port.
func hostname(authority string) string {
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return authority
}

// unrouted answers what is no operation, before the mux does so in plain text
// or sends the caller to another path.
func (a *API) unrouted(r *http.Request) *Problem {
	if path.Clean(r.URL.Path) != r.URL.Path { // the mux would redirect
		return noSuchPath()
	}
	h, pattern := a.mux.Handler(r)
	if pattern != "" {
		return nil
	}
	var said answer
	h.ServeHTTP(&said, r)
	if said.status == http.StatusMethodNotAllowed {
		allow := said.Header().Get("Allow")
		return problem(said.status, "method_not_allowed", fmt.Sprintf("%s is nothing that can be done here.", r.Method), "use one of: "+allow).with("Allow", allow)
	}
	return noSuchPath()
}

func noSuchPath() *Problem {
	return problem(http.StatusNotFound, "no_such_path", "There is nothing at this path.", "/v1/openapi.json says what there is")
}

// answer keeps the head of an answer and nothing else.
type answer struct {
	header http.Header
	status int
}

func (s *answer) Header() http.Header {
	if s.header == nil {
		s.header = http.Header{}
	}
	return s.header
}

func (s *answer) WriteHeader(status int) { s.status = status }

func (s *answer) Write(p []byte) (int, error) { return len(p), nil }

// begun knows whether an answer has begun.
type begun struct {
	http.ResponseWriter
	yes bool
}

func (b *begun) WriteHeader(status int) {
	b.yes = true
	b.ResponseWriter.WriteHeader(status)
}

func (b *begun) Write(p []byte) (int, error) {
	b.yes = true
	return b.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController through.
func (b *begun) Unwrap() http.ResponseWriter { return b.ResponseWriter }

// recover ends a request that went wrong, where its answer has begun by ending
// its connection.
func (a *API) recover(w *begun, r *http.Request) {
	err := recover()
	if err == nil {
		return
	}
	cause, _ := err.(error)
	gone := r.Context().Err() != nil || errors.Is(cause, http.ErrAbortHandler) || errors.Is(cause, context.Canceled)
	if !gone {
		a.Log.Error("admin: panic", slog.String("path", r.URL.Path), slog.Any("error", err), slog.String("stack", string(debug.Stack())))
	}
	if gone || w.yes {
		panic(http.ErrAbortHandler)
	}
	problem(http.StatusInternalServerError, "internal", "A mistake of the door.", "its log has the cause: report it").write(w)
}

// badParameters refuses parameters without a value, and those that are no text:
// huma takes empty ones for absent, and "?status=" would list tenants of every
// status, and an empty If-Match permit every change.
func badParameters(r *http.Request) *Problem {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return invalid([]Mistake{{Location: "query", Detail: "is not well-formed: " + err.Error()}})
	}
	var all []Mistake
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case len(values[name]) != 1 || values[name][0] == "":
			all = append(all, Mistake{Location: "query." + name, Detail: "has no value, or several: give it one, or leave it out"})
		case !utf8.ValidString(values[name][0]): // PostgreSQL would refuse it, as if it did not answer
			all = append(all, Mistake{Location: "query." + name, Detail: "is not UTF-8"})
		}
	}
	for _, name := range []string{"If-Match", "If-None-Match"} {
		fields := r.Header.Values(name)
		if len(fields) == 0 {
			continue
		}
		list := strings.Join(fields, ", ") // RFC 9110 §5.3
		if r.Header.Set(name, list); strings.Trim(list, ", ") == "" {
			all = append(all, Mistake{Location: "header." + name, Detail: "has no value: give it one, or leave it out"})
		}
	}
	if len(all) > 0 {
		return invalid(all)
	}
	return nil
}

var typeOfProblem = reflect.TypeFor[Problem]()

// codes of what huma refuses itself.
var codes = map[int]string{
	http.StatusBadRequest:            "body_malformed",
	http.StatusRequestTimeout:        "body_slow",
	http.StatusRequestEntityTooLarge: "body_too_large",
	http.StatusUnsupportedMediaType:  "body_type",
	http.StatusUnprocessableEntity:   "invalid",
}

// ours makes a Problem of what huma says. The value that was wrong is not sent
// back: it may be long, and its sender has it.
func ours(_ huma.Context, _ string, v any) (any, error) {
	theirs, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	code := codes[theirs.Status]
	if code == "" {
		code = "internal"
	}
	hint := ""
	if theirs.Status == http.StatusUnsupportedMediaType {
		hint = "say which it is: Content-Type: application/json"
	}
	p := problem(theirs.Status, code, theirs.Detail, hint)
	for _, e := range theirs.Errors {
		if e != nil {
			p.Errors = append(p.Errors, Mistake{Location: e.Location, Detail: plainly(e.Message)})
		}
	}
	p.sum()
	return p, nil
}

// plainly leaves out of huma's words the null that an enum permits: whoever
// leaves a member out need not know.
func plainly(message string) string { return strings.Replace(message, `, <nil>"`, `"`, 1) }

// sum lets the detail say what was wrong, where it is one thing.
func (p *Problem) sum() {
	if len(p.Errors) == 1 {
		p.Detail = p.Errors[0].Location + ": " + p.Errors[0].Detail
	} else if len(p.Errors) > 1 {
		p.Detail = fmt.Sprintf("%d mistakes; errors names them.", len(p.Errors))
	}
}
