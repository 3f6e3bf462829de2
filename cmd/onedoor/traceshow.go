package main

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"onedoor/gateway"
	"onedoor/journal"
)

// Run prints a record. Exit 1: there is none.
func (c *traceShow) Run(t *terminal) error {
	return c.registry(t, func(r *registrar) error {
		var got struct {
			journal.Login
			Near []string `json:"near,omitempty"`
		}
		if err := r.call(t.ctx, http.MethodGet, pathOf("traces", c.ID), nil, nil, &got); err != nil {
			return t.refusal(err)
		}
		if c.JSON {
			return t.json(got)
		}
		return t.login(got.Login, got.Near)
	})
}

// login prints a record: what is known of it, its legs, and each refusal.
func (t *terminal) login(l journal.Login, near []string) error {
	rows := [][]string{{"login", l.ID}, {"tenant", dash(l.Tenant)}, {"app", dash(l.App)}, {"outcome", string(l.Outcome)}}
	if l.Rule != "" && l.Outcome == journal.Failed {
		rows[3][1] += ", " + l.Rule
	}
	rows = append(rows, []string{"began", clock(l.Began)}, []string{"heard of", clock(l.Updated)})
	if err := t.table(rows); err != nil {
		return err
	}
	fmt.Fprintln(t.out)
	rows = [][]string{{"LEG", "AT", "TOOK", "PROVIDER", "STATUS", "OUTCOME", "REPLICA", "REFERENCE"}}
	for _, g := range l.Legs {
		rows = append(rows, []string{
			dash(string(g.Leg)), g.At.Local().Format("15:04:05.000"), millis(g.Took), providerOf(g), strconv.Itoa(g.Status), string(g.Outcome), dash(g.Replica), g.Request,
		})
	}
	if err := t.table(rows); err != nil {
		return err
	}
	for _, g := range l.Legs {
		t.why(g, near)
	}
	return nil
}

// why prints what stood in a leg's way.
func (t *terminal) why(g journal.Leg, near []string) {
	if g.Rule == "" && g.ProviderError == "" && g.Outcome != gateway.ProviderRefused {
		return
	}
	rows := [][]string{}
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{"  " + name, value})
		}
	}
	leg := string(g.Leg)
	if leg == "" {
		leg = g.Route
	}
	switch {
	case g.Rule != "":
		fmt.Fprintf(t.out, "\n%s: %s\n", plain(leg), plain(g.Rule))
		add("got", g.Got)
		add("wanted", g.Want)
		var differs []string
		for _, d := range g.Differs {
			differs = append(differs, string(d))
		}
		add("differs in", strings.Join(differs, ", "))
		add("cause", g.Cause)
		if g.Rule == "tenant.unknown" {
			add("near are", strings.Join(near, ", "))
		}
	case g.ProviderError != "":
		fmt.Fprintf(t.out, "\n%s: the provider answered %s\n", plain(leg), plain(g.ProviderError))
	default:
		fmt.Fprintf(t.out, "\n%s: the provider answered %d, with a page of its own\n", plain(leg), g.ProviderStatus)
	}
	_ = t.table(rows)
}

func millis(ms float64) string { return strconv.FormatFloat(ms, 'f', 1, 64) + "ms" }

func providerOf(g journal.Leg) string {
	switch {
	case g.ProviderStatus != 0:
		return fmt.Sprintf("%d in %s", g.ProviderStatus, millis(g.Provider))
	case g.Provider > 0:
		return "no answer in " + millis(g.Provider)
	}
	return "-"
}
