package main

import (
	"fmt"
	"strings"
)

// print writes the meaning for a person. In transparent mode one line names all
// that must be registered at the provider.
func (m meaning) print(t *terminal, file string) error {
	fmt.Fprintf(t.out, "%s is sound.\n\n", file)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(t.out, "%s%s\n", t.title(fmt.Sprintf("%-16s", name)), value)
		}
	}
	row("Browsers use", strings.Join(m.Public, ", "))
	row("Servers use", strings.Join(m.Internal, ", "))
	for i, l := range m.Listeners {
		name := "Listens on"
		if i > 0 {
			name = ""
		}
		line := fmt.Sprintf("%-20s %s", l.Address, strings.Join(l.Serves, ", "))
		if l.Notes != "" {
			line += "; " + l.Notes
		}
		row(name, line)
	}
	row("Provider", m.Provider)
	for i, issuer := range m.Issuers {
		row([]string{"  issuer", ""}[min(i, 1)], issuer)
	}
	row("Tenants", m.Tenants)
	row("Database", m.Others["database"])
	row("Time to log in", m.Others["login_ttl"]+"; to redeem a code "+m.Others["code_ttl"])
	if len(m.Apps) == 0 {
		fmt.Fprintf(t.out, "\nNo apps: every client passes through unchanged.\n")
	}
	for _, a := range m.Apps {
		fmt.Fprintf(t.out, "\n%s client %s, %s, %s\n", t.title("App "+a.Name+":"), a.ClientID, a.Type, a.Mode)
		lines(row, "  logs in at", a.Accepts)
		if len(m.Issuers) > 1 {
			row("  issuer", a.Issuer)
		}
		lines(row, "  register", a.Register)
		lines(row, "  after logout", a.RegisterLogout)
	}
	if len(m.Apps) > 0 {
		fmt.Fprintf(t.out, "\nRegister those at the provider exactly as they are, without a wildcard; those of a\nrelay for each tenant.\n")
	}
	for _, w := range m.Warnings {
		fmt.Fprintf(t.err, "onedoor: %s %s\n", t.paint("33", "warning:"), w)
	}
	return nil
}

func lines(row func(name, value string), name string, values []string) {
	for _, v := range values {
		row(name, v)
		name = ""
	}
}
