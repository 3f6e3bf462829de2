package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

func TestServeSendsTracesToTheCollectorOfTheConfiguration(t *testing.T) {
	var (
		mu    sync.Mutex
		names []string
	)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var all trace.TracesData
		body, _ := io.ReadAll(r.Body)
		if err := proto.Unmarshal(body, &all); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, s := range all.ResourceSpans[0].ScopeSpans[0].Spans {
			names = append(names, s.Name+" "+s.Status.GetMessage())
		}
	}))
	defer collector.Close()
	port := freePort(t)
	origin := fmt.Sprintf("http://127.0.0.1:%d", port)
	provider := fakeProvider(t, origin+"/r", func(http.ResponseWriter, *http.Request) {})
	r := startServe(t, fmt.Sprintf("public_url: %s\nlisten: 127.0.0.1:%d\nprovider: {upstream: %q, issuers: [/r]}\n", origin, port, provider.URL)+
		"apps: {atlas: {client_id: atlas-web, site: \"http://{tenant}.site.test\", callbacks: [/cb]}}\ntenants: {list: [acme]}\n"+
		fmt.Sprintf("tracing: {endpoint: %q, sample: 1}\n", collector.URL))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	until(t, "the door to be ready", ready(client, origin))
	resp, err := client.Get(origin + "/r/auth?client_id=atlas-web&redirect_uri=https://evil.example/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	r.stop()
	if code := r.exit(); code != 0 {
		t.Errorf("exit code %d:\n%s", code, r.err)
	}
	if got := strings.Join(names, ", "); got != "authorize redirect_uri.unknown" {
		t.Errorf("the collector got %q:\n%s", got, r.err)
	}
}
