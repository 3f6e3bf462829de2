package onedoor_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// rooms is the house: every package, the floor it stands on, and what it
// provides. A package may import packages on floors below its own, never one on
// its own floor, so every import goes one way and a reader can start at the top.
//
// A new package is added here first, in a commit of its own that says why.
var rooms = map[string]struct {
	floor int
	what  string
}{
	"oidc": {0, "the words of the protocol: parameters, error codes, metadata; no I/O"},
	"seal": {0, "sealed values that the browser carries"},
	"page": {0, "the pages that people see: layout, languages, headers"},
	"docs": {0, "the pages of the documentation that a program quotes"},

	"horizon": {1, "which network a request comes from, and the metadata that caller may see"},
	"tenant":  {1, "tenants, apps, redirect URIs: every redirect decision, the relay's rule"},

	"upstream":        {2, "the provider we stand before: its metadata, cached, and requests to it"},
	"store":           {2, "what must outlive the process, in SQL"},
	"store/storetest": {3, "the suite that every store passes"},
	"registry":        {2, "all tenants in memory, compact, and as current as the database"},
	"explain":         {2, "what an error line of a client or a provider means, and what to do"},

	"gateway":  {3, "the http.Handler that every request walks through"},
	"provider": {3, "the embedded provider; to the gateway one more upstream"},
	"demo":     {3, "tenants' sites that are real clients, and the record of how a login went"},

	"domains": {3, "whose a custom domain is: the proof in the DNS, asked for again and again"},
	"doctor":  {3, "checks that name the cause of a failing login, and prove that one would work"},

	"verify": {4, "proves again and again, without an account, that each tenant's login would work"},

	"gateway/gatewaytest": {4, "a provider, doors before it and people who log in, for tests"},

	"meter":   {5, "what happened at the door, as metrics and traces"},
	"journal": {5, "every login one record: its legs, its outcome, the rule that refused; the funnel"},

	"admin": {6, "the admin API: tenants, keys, tokens and what happened, over HTTP"},

	"config": {7, "the file: parse, refuse, validate, name the place of each mistake"},

	"cmd/onedoor": {8, "one file for each command; the only place where things meet"},
}

// outside are folders that hold tests, tools and examples: they may import any
// room, and no room may import them.
var outside = []string{"e2e", "bench", "tools", "examples", "testdata"}

// TestImportsGoOneWay parses the sources itself: a test that asked `go list`
// would stay cached when a rule breaks.
func TestImportsGoOneWay(t *testing.T) {
	files := 0
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			if name != "." && (strings.HasPrefix(base, ".") || base == "node_modules" || base == "testdata") {
				return filepath.SkipDir
			}
			for _, o := range outside {
				if name == o {
					return filepath.SkipDir
				}
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		dir := path.Dir(filepath.ToSlash(name))
		if dir == "." {
			return nil
		}
		files++
		room, ok := rooms[dir]
		if !ok {
			t.Errorf("%s: package %q has no room: change the house in arch_test.go first", name, dir)
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, imp := range f.Imports {
			target, ours := strings.CutPrefix(strings.Trim(imp.Path.Value, `"`), "onedoor/")
			if !ours || (target == dir && strings.HasSuffix(name, "_test.go")) {
				continue
			}
			to, ok := rooms[target]
			test := strings.HasSuffix(name, "_test.go")
			switch {
			case !ok:
				t.Errorf("%s imports %s, which is no room", name, target)
			case test && strings.HasPrefix(target, dir+"/"):
				// A room's tests may run the suite that stands inside it.
			case to.floor >= room.floor:
				t.Errorf("%s imports %s, which is not below it", name, target)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files == 0 {
		t.Fatal("no source was looked at")
	}
}

// TestEveryRoomSaysWhatItIs demands one package comment for each room.
func TestEveryRoomSaysWhatItIs(t *testing.T) {
	for dir := range rooms {
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		if len(names) == 0 {
			continue // a room that is drawn and not yet built
		}
		said := 0
		for _, name := range names {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.PackageClauseOnly|parser.ParseComments)
			if err != nil {
				t.Fatal(err)
			}
			if f.Doc != nil && !strings.HasSuffix(name, "_test.go") {
				said++
			}
		}
		if said != 1 {
			t.Errorf("%s: %d package comments, want 1", dir, said)
		}
	}
}
