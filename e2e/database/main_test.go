//go:build e2e && linux

package database

import (
	"context"
	"flag"
	"os"
	"sync"
	"testing"

	"onedoor/e2e/lab"
)

// suite is the life of the whole test binary.
var suite lab.Suite

func TestMain(m *testing.M) {
	if dsn := os.Getenv(writerEnv); dsn != "" {
		os.Exit(writer(context.Background(), dsn))
	}
	flag.Parse()
	code := m.Run()
	suite.Close()
	os.Exit(code)
}

// server is the one that tests share which leave it as it is.
var server = sync.OnceValue(func() *lab.Postgres { return lab.StartPostgres(&suite) })
