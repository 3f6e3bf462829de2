package demo

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// keysOf are hashes of what tells a login: the URL itself, and the state and
// code in it, should a browser spell the URL in another way.
func keysOf(u *url.URL) [][sha256.Size]byte {
	keys := [][sha256.Size]byte{sha256.Sum256([]byte("url " + u.Scheme + "://" + u.Host + u.RequestURI()))}
	query := u.Query()
	for _, name := range []string{"state", "code"} {
		if v := query.Get(name); len(v) >= 16 { // a shorter one need not be unique
			keys = append(keys, sha256.Sum256([]byte(name+" "+v)))
		}
	}
	return keys
}

// absolute is the URL that a browser shows for the request.
func absolute(r *http.Request) *url.URL {
	u := *r.URL
	u.Scheme, u.Host = "http", r.Host
	return &u
}

// formOf reads a form and leaves the request as it was.
func formOf(r *http.Request) []Param {
	if r.Body == nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return nil
	}
	raw, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(raw), r.Body), r.Body}
	if err != nil {
		return nil
	}
	return newParams(string(raw))
}

func newTrace() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

func traceOf(r *http.Request) string {
	parts := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(parts) < 4 {
		return ""
	}
	return parts[1]
}

// watcher sees an answer's status and Location. All else is the writer's own,
// by http.ResponseController.
type watcher struct {
	http.ResponseWriter
	answer func(status int, location string)
	seen   bool
}

// Unwrap is for http.ResponseController.
func (w *watcher) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (w *watcher) WriteHeader(status int) {
	if !w.seen && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.seen = true
		w.answer(status, w.Header().Get("Location"))
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *watcher) Write(p []byte) (int, error) {
	if !w.seen {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}
