package main

import (
	"log/slog"

	"onedoor/config"
	"onedoor/gateway"
)

// operators is how many connections the listener for operators may have. They
// are none of the door's: whoever fills the door keeps nobody from looking.
const operators = 256

// limitsOf are the limits of a configuration.
func limitsOf(cfg *config.Config) gateway.Limits {
	l := cfg.Limits
	return gateway.Limits{
		HeaderSize: int(l.HeaderSize), URLLength: int(l.URLLength), FormSize: int(l.FormSize), BodySize: int64(l.BodySize),
		HeaderTimeout: l.HeaderTimeout, FormTimeout: l.FormTimeout, ReadTimeout: l.ReadTimeout,
		WriteTimeout: l.WriteTimeout, IdleTimeout: l.IdleTimeout,
	}
}

// others are the files that are no connection of a caller's or to the provider:
// database, log, sockets.
const others = 128

// connectionsWithin is how many connections callers may have where the system
// gives the process that many files (0: nobody knows). Where they are too few
// for the limits, a connection beyond them would be taken by no one, while idle
// ones that could make room for it were kept: so half of what there is is for
// callers, and half for the provider, whom each of them may need.
func connectionsWithin(l config.Limits, files uint64, log *slog.Logger) int {
	needed := uint64(l.Connections) + uint64(l.ProviderRequests) + others //nolint:gosec // config knows the bounds
	if files == 0 || files >= needed {
		return l.Connections
	}
	within := min(l.Connections, int(files-min(others, files/2))/2) //nolint:gosec // less than needed
	log.Warn("the process may open fewer files than limits.connections needs: raise its limit (ulimit -n, LimitNOFILE=)",
		slog.Uint64("files", files), slog.Uint64("needed", needed), slog.Int("connections", within))
	return within
}
