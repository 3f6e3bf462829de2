package store

import (
	"strings"
	"testing"
	"time"
)

// TestEveryServerIsTriedInAStatementsTime: the server that is down, and answers
// nothing at all, is often the first one of the URL.
func TestEveryServerIsTriedInAStatementsTime(t *testing.T) {
	for _, hosts := range []string{"db1", "db1,db2", "db1,db2,db3:5433"} {
		for _, mode := range []string{"prefer", "disable"} { // with TLS and without: one server twice
			config, err := parsePostgres("postgres://onedoor@" + hosts + "/onedoor?target_session_attrs=read-write&sslmode=" + mode)
			if err != nil {
				t.Fatal(err)
			}
			servers := time.Duration(1 + strings.Count(hosts, ","))
			if all := servers * config.ConnectTimeout; all > statementBound-statementBound/5 || config.ConnectTimeout < time.Second {
				t.Errorf("%s, sslmode=%s: %s for each of the servers, %s for a statement", hosts, mode, config.ConnectTimeout, statementBound)
			}
		}
	}
}
