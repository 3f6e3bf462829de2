//go:build linux

package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// contender is a server doing one kind of work.
type contender struct {
	name string
	*subject
	work []exchange
}

// series is what the rounds measured, by contender; round r of one and round r
// of another were seconds apart, so that whatever else the machine did met both.
type series map[string][]float64

// interleave gives each contender its turn in every round, A B C B C A C A B,
// and measures the CPU time of one request in microseconds.
func interleave(ctx context.Context, rounds int, turn time.Duration, cs ...contender) (series, error) {
	costs := series{}
	for _, c := range cs { // warm up: connections, buffers, just-in-time compilers
		if _, err := c.turn(turn / 2); err != nil {
			return nil, err
		}
	}
	for r := range rounds {
		for i := range cs {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			c := cs[(r+i)%len(cs)]
			cost, err := c.turn(turn)
			if err != nil {
				return nil, err
			}
			costs[c.name] = append(costs[c.name], cost)
		}
	}
	return costs, nil
}

func (c contender) turn(d time.Duration) (float64, error) {
	before, err := c.cpu()
	if err != nil {
		return 0, err
	}
	n, err := c.saturate(c.work, d, 0)
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", c.name, err, c.tail())
	}
	after, err := c.cpu()
	if err != nil {
		return 0, err
	}
	return float64((after - before).Nanoseconds()) / 1e3 / float64(max(n, 1)), nil
}

// over is the ratio of two contenders, round by round.
func (s series) over(a, b string) []float64 {
	ratios := make([]float64, len(s[a]))
	for i := range ratios {
		ratios[i] = s[a][i] / s[b][i]
	}
	return ratios
}

// latency asks every target rate times a second in turn, and gives in
// milliseconds what each adds, at the quantile q, to asking the first.
func latency(ctx context.Context, rounds, rate int, turn time.Duration, q []float64, targets ...contender) (map[string][][]float64, error) {
	added := map[string][][]float64{} // by name, then quantile
	for range rounds {
		var direct []float64
		for i, t := range targets {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			took, err := pace(t.port, rate, turn, t.work[0])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			if added[t.name] == nil {
				added[t.name] = make([][]float64, len(q))
			}
			for k := range q {
				ms := float64(quantile(took, q[k]).Nanoseconds()) / 1e6
				if i == 0 {
					direct = append(direct, ms)
				} else {
					ms -= direct[k]
				}
				added[t.name][k] = append(added[t.name][k], ms)
			}
		}
	}
	return added, nil
}

// quantile of sorted values, the nearest one.
func quantile[T any](sorted []T, q float64) (v T) {
	if len(sorted) == 0 {
		return v
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// spread is a median with the quartiles on both sides of it.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func spreadOf(values []float64) spread {
	s := slices.Sorted(slices.Values(values))
	return spread{quantile(s, 0.5), quantile(s, 0.25), quantile(s, 0.75)}
}
