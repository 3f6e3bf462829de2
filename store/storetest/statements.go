package storetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Statement is one that the store sends, as its sources have it: one that is
// added later is looked at too.
type Statement struct {
	File, SQL string
	Params    int
}

var (
	// Lists for a person at a command line, the handful of keys, and the whole
	// registry read everything, and say so.
	whole   = regexp.MustCompile(`FROM (users|clients|signing_keys|tokens)\s+ORDER BY|FROM (tenants WHERE removed_at = 0|domains WHERE verified_at > 0)$`)
	reads   = regexp.MustCompile(`^(SELECT|UPDATE|DELETE)\s`)
	noTable = regexp.MustCompile(`pg_notify|current_setting`)
	param   = regexp.MustCompile(`\$[0-9]+`)
)

// Statements returns the statements in the store's directory that look for rows.
func Statements(t *testing.T, dir string) (list []Statement) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			query, err := strconv.Unquote(lit.Value)
			if err != nil || !reads.MatchString(query) || whole.MatchString(query) || noTable.MatchString(query) {
				return true
			}
			params := map[string]bool{}
			for _, p := range param.FindAllString(query, -1) {
				params[p] = true
			}
			list = append(list, Statement{filepath.Base(name), query, len(params)})
			return true
		})
	}
	if len(list) < 30 {
		t.Errorf("only %d statements were found", len(list))
	}
	return list
}
