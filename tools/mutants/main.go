// Command mutants takes the rules out of the code, one at a time, and runs the
// tests that should miss them. A mutation that no test notices is a rule that
// nobody keeps.
//
//	go run ./mutants [-only TEXT] [-jobs N] ../testdata/mutants.txt
//
// Each mutation of the list says which file changes how, and which packages'
// tests must then fail:
//
//	## rule 7: the door's own address is refused as a redirect URI (T-14)
//	file tenant/redirect.go
//	test ./tenant ./gateway
//	- if uri == door || …
//	+ if false
//
// The text after "-" stands once in the file; several "-" lines are one text.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

type mutation struct {
	name, file, from, to string
	packages             []string
	line                 int
}

func main() {
	only := flag.String("only", "", "run the mutations whose name holds this text")
	jobs := flag.Int("jobs", 2, "how many to run at once")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ok, err := run(flag.Arg(0), *only, *jobs)
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

func run(list, only string, jobs int) (bool, error) {
	all, err := read(list)
	if err != nil {
		return false, err
	}
	root := filepath.Dir(filepath.Dir(list))
	work := make(chan mutation)
	var (
		mu             sync.Mutex
		wait           sync.WaitGroup
		noticed, lived int
		failures       []error
	)
	for range jobs {
		dir, err := os.MkdirTemp("", "mutants")
		if err != nil {
			return false, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if err := copyTree(root, dir); err != nil {
			return false, err
		}
		wait.Go(func() {
			for m := range work {
				began := time.Now()
				killed, err := try(dir, m)
				mu.Lock()
				switch {
				case err != nil:
					failures = append(failures, fmt.Errorf("line %d: %s: %w", m.line, m.name, err))
					fmt.Printf("ERROR    %s: %v\n", m.name, err)
				case killed:
					noticed++
					fmt.Printf("noticed  %s (%.0f s)\n", m.name, time.Since(began).Seconds())
				default:
					lived++
					fmt.Printf("LIVED    %s\n", m.name)
				}
				mu.Unlock()
			}
		})
	}
	for _, m := range all {
		if strings.Contains(m.name, only) {
			work <- m
		}
	}
	close(work)
	wait.Wait()
	fmt.Printf("%d passed, %d failed\n", noticed, lived+len(failures))
	return lived == 0 && noticed > 0, errors.Join(failures...)
}

// try applies one mutation, runs the tests and takes it back.
func try(dir string, m mutation) (killed bool, err error) {
	path := filepath.Join(dir, m.file)
	was, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	if n := strings.Count(string(was), m.from); n != 1 {
		return false, fmt.Errorf("the text stands %d times in %s", n, m.file)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(was), m.from, m.to, 1)), 0o600); err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.WriteFile(path, was, 0o600)) }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// A mutation that does not compile proves nothing: unused names are why
	// vet is off and why "if false && …" is the usual way to take a rule out.
	if out, err := command(ctx, dir, append([]string{"build"}, m.packages...)...).CombinedOutput(); err != nil {
		return false, fmt.Errorf("it does not compile: %s", out)
	}
	err = command(ctx, dir, append([]string{"test", "-count=1", "-vet=off", "-failfast"}, m.packages...)...).Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		return false, err
	}
	return err != nil, nil
}

func command(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the list is the project's own
	cmd.Dir = dir
	return cmd
}

func read(list string) (all []mutation, err error) {
	text, err := os.ReadFile(list) //nolint:gosec // named by the caller
	if err != nil {
		return nil, err
	}
	var m *mutation
	for i, line := range strings.Split(string(text), "\n") {
		key, rest, _ := strings.Cut(line, " ")
		if m == nil && key != "##" && key != "#" && line != "" {
			return nil, fmt.Errorf("line %d: a mutation begins with ##", i+1)
		}
		switch key {
		case "##":
			all = append(all, mutation{name: rest, line: i + 1})
			m = &all[len(all)-1]
		case "file":
			m.file = rest
		case "test":
			m.packages = strings.Fields(rest)
		case "-":
			m.from = join(m.from, rest)
		case "+":
			m.to = join(m.to, rest)
		case "#", "":
		default:
			return nil, fmt.Errorf("line %d: %q is none of file, test, - and +", i+1, key)
		}
	}
	for _, m := range all {
		if m.file == "" || m.from == "" || len(m.packages) == 0 {
			return nil, fmt.Errorf("line %d: %s lacks its file, its tests or its text", m.line, m.name)
		}
	}
	return all, nil
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "\n" + b
}

// copyTree copies what the tests need: everything but what git and caches keep.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); rel != "." && (strings.HasPrefix(name, ".") || name == "node_modules" || rel == "e2e" || rel == "examples") {
				return filepath.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path) //nolint:gosec // below the project
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), text, 0o600)
	})
}
