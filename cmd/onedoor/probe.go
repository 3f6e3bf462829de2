package main

import (
	"encoding/json"
	"io"
	"os"
	"time"

	"onedoor/doctor"
)

type probeCommand struct {
	Plan    string        `env:"-" default:"-" placeholder:"FILE" help:"The plan of onedoor doctor --plan (default: standard input)."`
	Timeout time.Duration `default:"30s" help:"How long to look (${default})."`
}

// Run looks at what the plan names, from the network that it is started in, and
// writes what it saw as one JSON value.
func (c *probeCommand) Run(t *terminal) error {
	in := t.in
	if c.Plan != "-" {
		f, err := os.Open(c.Plan)
		if err != nil {
			return couldNotLook(err, "onedoor doctor --plan prints a plan")
		}
		defer f.Close()
		in = f
	}
	plan, err := doctor.ReadPlan(in)
	if err != nil {
		return couldNotLook(err, "onedoor doctor --plan prints a plan: onedoor doctor … --plan | docker exec -i app onedoor probe")
	}
	ctx, cancel := contextFor(t, c.Timeout)
	defer cancel()
	text, err := json.Marshal(doctor.Look(ctx, plan, time.Now))
	if err != nil {
		return couldNotLook(err, "")
	}
	if _, err := io.WriteString(t.out, string(text)+"\n"); err != nil {
		return couldNotLook(err, "")
	}
	return nil
}
