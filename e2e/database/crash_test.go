//go:build e2e && linux

package database

import "context"

const writerEnv = "ONEDOOR_TEST_WRITER"

func writer(ctx context.Context, dsn string) int { return 0 }
