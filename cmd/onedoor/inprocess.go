package main

import (
	"io"
	"net/http"
	"sync"

	"onedoor/admin"
)

// inProcess carries requests to a handler of this process, as its caller's. The
// answer comes while it is written: an export of a million lines is never whole
// in memory.
type inProcess struct {
	handler http.Handler
	caller  admin.Caller
}

// RoundTrip implements http.RoundTripper.
func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(admin.As(r.Context(), p.caller))
	if r.Body == nil {
		r.Body = http.NoBody
	}
	r.Host, r.RequestURI = r.URL.Host, r.URL.RequestURI()
	body, writer := io.Pipe()
	w := &answering{header: http.Header{}, body: writer, began: make(chan struct{})}
	go func() {
		defer func() {
			if cause := recover(); cause != nil { // http.ErrAbortHandler: the answer is cut off
				_ = writer.CloseWithError(io.ErrUnexpectedEOF)
			}
			w.WriteHeader(http.StatusOK) // where nothing was written
			_ = writer.Close()
		}()
		p.handler.ServeHTTP(w, r)
	}()
	<-w.began
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: -1, Request: r,
	}, nil
}

// answering is an http.ResponseWriter.
type answering struct {
	header http.Header
	sent   http.Header
	status int
	body   *io.PipeWriter
	once   sync.Once
	began  chan struct{}
}

func (a *answering) Header() http.Header { return a.header }

func (a *answering) WriteHeader(status int) {
	a.once.Do(func() {
		a.status, a.sent = status, a.header.Clone()
		close(a.began)
	})
}

func (a *answering) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}
