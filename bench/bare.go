//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
)

// serveBare is what Go's own server and proxy cost before a door is added: it
// does the relay's rule without looking at a registry, and all else by
// ReverseProxy. It is there to show which part of a ratio is the door's.
//
// With tenants it looks them up in a Go map from label to ID, to show what such
// a map takes.
func serveBare(ctx context.Context, address, upstream string, tenants int) error {
	ids := make(map[string]string, tenants)
	for i := range tenants {
		ids[label(i)] = fmt.Sprintf("t_%016x", rand.Uint64())
	}
	base, err := url.Parse(upstream)
	if err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)
			r.SetXForwarded()
			r.Out.Host = r.In.Host
		},
		Transport: transport, BufferPool: &buffers{sync.Pool{New: func() any { return new([32 << 10]byte) }}},
	}
	noStore, noReferrer, empty := []string{"no-store"}, []string{"no-referrer"}, []string{"0"}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, ok := strings.CutPrefix(r.RequestURI, "/tenants/")
		label, rest, _ := strings.Cut(rest, "/callback?")
		if !ok {
			proxy.ServeHTTP(w, r)
			return
		}
		if tenants > 0 && ids[label] == "" {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h["Location"] = []string{"https://" + label + ".example.com/api/auth/callback?" + rest}
		h["Cache-Control"], h["Referrer-Policy"], h["Content-Length"] = noStore, noReferrer, empty
		w.WriteHeader(http.StatusFound)
	})
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return (&http.Server{Handler: handler}).Serve(l)
}

type buffers struct{ sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte { return b.Pool.Get().(*[32 << 10]byte)[:] }

// Put implements httputil.BufferPool.
func (b *buffers) Put(buf []byte) { b.Pool.Put((*[32 << 10]byte)(buf)) }
