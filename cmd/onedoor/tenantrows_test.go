package main

import (
	"strings"
	"testing"

	"onedoor/admin"
)

func TestNoCellOfAnExportIsAFormula(t *testing.T) {
	for _, notes := range []string{"=HYPERLINK(1)", "+1", "-1", "@x", "\tx", "\r=1", "'=1", "''=1", "customer 4711", "'quoted'", "", "'"} {
		row := cells(admin.Row{Label: "acme", TenantBody: admin.TenantBody{Notes: notes}})
		cell := row[len(row)-1]
		if cell != "" && strings.IndexByte("=+-@\t\r", cell[0]) >= 0 {
			t.Errorf("%q goes out as %q", notes, cell)
		}
		var back admin.Row
		if err := setCell(&back, "notes", cell); err != nil || back.Notes != notes {
			t.Errorf("%q came back as %q, %v", notes, back.Notes, err)
		}
	}
}
