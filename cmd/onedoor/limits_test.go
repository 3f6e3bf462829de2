package main

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"onedoor/config"
)

func TestConnectionsFitIntoTheFilesThatThereAre(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files uint64
		want  int
		warns bool
	}{
		{"enough", 20_000, 1000, false},
		{"nobody knows", 0, 1000, false},
		{"just enough", 1000 + 512 + others, 1000, false},
		{"one too few", 1000 + 512 + others - 1, (1000 + 512 - 1) / 2, true},
		{"few", 256, (256 - others) / 2, true},
		{"hardly any", 64, 16, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log strings.Builder
			got := connectionsWithin(config.Limits{Connections: 1000, ProviderRequests: 512}, tt.files, slog.New(slog.NewTextHandler(io.Writer(&log), nil)))
			if got != tt.want || (log.Len() > 0) != tt.warns {
				t.Errorf("%d connections, want %d; the log: %s", got, tt.want, log.String())
			}
		})
	}
}
