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

// warnOfFiles tells where the system gives the process fewer files than the
// limits need: a connection is one, and so is one to the provider. Then new
// connections wait earlier than they should.
func warnOfFiles(l config.Limits, files uint64, log *slog.Logger) {
	const others = 128                                                    // database, log, sockets
	needed := uint64(l.Connections) + uint64(l.ProviderRequests) + others //nolint:gosec // config knows the bounds
	if files > 0 && files < needed {
		log.Warn("the process may open fewer files than limits.connections needs: raise its limit (ulimit -n, LimitNOFILE=)",
			slog.Uint64("files", files), slog.Uint64("needed", needed))
	}
}
