//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// steps runs the gateway's own benchmark of a login's steps, which knows what a
// step is. Each round is a process of its own: ten tenants in a registry, then more.
func (l *lab) steps(ctx context.Context, p plan, r *report) error {
	program := filepath.Join(l.dir, "gateway.test")
	if out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", program, "./gateway").CombinedOutput(); err != nil {
		return fmt.Errorf("building the gateway's benchmark: %w\n%s", err, out)
	}
	found := map[string]map[string][]float64{} // by step and tenants, then unit
	for range p.stepRounds {
		cmd := exec.CommandContext(ctx, program, "-test.run", "^$", "-test.bench", "^BenchmarkStep$", "-test.benchtime", p.stepTime.String())
		cmd.Dir = "gateway"
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("the gateway's benchmark: %w\n%s", err, out)
		}
		readBenchmark(out, found)
	}
	for _, step := range []string{"authorize", "callback", "token"} {
		few, many := found[step+"/tenants=10"], found[step+"/tenants=1000000"]
		if len(few["cpu-ns/op"]) != p.stepRounds || len(many["cpu-ns/op"]) != p.stepRounds {
			return fmt.Errorf("the gateway's benchmark measured no %s", step)
		}
		r.budget(step+": the door's own CPU", "µs", 8, thousandths(few["cpu-ns/op"])...)
		r.budget(step+": the door's own CPU, a million tenants", "µs", 8, thousandths(many["cpu-ns/op"])...)
		r.budget(step+": allocations", "", 24, few["allocs/op"]...)
	}
	return nil
}

// readBenchmark adds what the testing package printed: a name, a count, and
// pairs of value and unit.
func readBenchmark(out []byte, into map[string]map[string][]float64) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		_, name, _ := strings.Cut(f[0], "/")
		if i := strings.LastIndexByte(name, '-'); i >= 0 {
			name = name[:i] // the number of processors
		}
		if into[name] == nil {
			into[name] = map[string][]float64{}
		}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				into[name][f[i+1]] = append(into[name][f[i+1]], v)
			}
		}
	}
}

func thousandths(values []float64) []float64 {
	out := make([]float64, len(values))
	for i, v := range values {
		out[i] = v / 1e3
	}
	return out
}
