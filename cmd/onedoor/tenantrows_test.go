package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
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

func TestAnExportThatCannotTakeItsPlaceSaysWhyAndLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "tenants.jsonl")
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := exportFile(strings.NewReader(`{"label":"acme"}`), name, "jsonl", func(int) {})
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "rename") {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

// Of a file that is read ahead a progress bar would tell what is in memory, not
// what is done.
func TestAFileIsReadUpToTheRow(t *testing.T) {
	for format, parts := range map[string][]string{
		"csv":   {"label,notes\nacme,\"two\nlines\"\n", "globex,\r\n", "initech,x\n"},
		"jsonl": {`{"label":"acme"}` + "\n", "\n" + `{"label":"globex"}` + "\r\n", `{"label":"initech"}`},
	} {
		rows, err := newRowReader(format, strings.NewReader(strings.Join(parts, "")))
		if err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		for i, part := range parts {
			if row, err := rows.next(); err != nil || row.err != nil {
				t.Fatalf("%s, row %d: %v %v", format, i+1, err, row.err)
			}
			if want += int64(len(part)); rows.octets() != want {
				t.Errorf("%s: %d octets up to row %d, want %d", format, rows.octets(), i+1, want)
			}
		}
		if _, err := rows.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v at the end", format, err)
		}
	}
}
