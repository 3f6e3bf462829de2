package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"onedoor": main})
}

// TestScripts runs testdata/script, which reads like a manual page: a file for
// each subject.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != readyPath {
					http.NotFound(w, r)
				}
			}))
			waiting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				http.Error(w, "no metadata yet\x1b[31m", http.StatusServiceUnavailable)
			}))
			gone := httptest.NewServer(http.NotFoundHandler())
			gone.Close()
			e.Defer(ready.Close)
			e.Defer(waiting.Close)
			e.Setenv("READY", ready.URL)
			e.Setenv("READY_ADDRESS", ready.Listener.Addr().String())
			e.Setenv("WAITING", waiting.URL)
			e.Setenv("GONE", gone.URL)
			example, err := os.ReadFile("../../onedoor.example.yaml")
			if err != nil {
				return err
			}
			return os.WriteFile(e.WorkDir+"/onedoor.example.yaml", example, 0o644)
		},
	})
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if newTerminal(context.Background(), nil, f, f).colour {
		t.Error("a file was taken for a terminal")
	}
}
