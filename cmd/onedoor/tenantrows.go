package main

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"onedoor/admin"
)

// columns of a CSV file of tenants. Sites are APP=ORIGIN, parted by spaces;
// parameters are form-encoded (NAME=VALUE&NAME=VALUE).
var columns = []string{"label", "id", "status", "issuer", "sites", "parameters", "notes"}

// maxLine bounds a line of JSON, in octets.
const maxLine = 64 << 10

// fileFormat is csv or jsonl, by the flag or else by the file's name.
func fileFormat(flag, name string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	switch strings.ToLower(filepath.Ext(name)) {
	case ".csv":
		return "csv", nil
	case ".jsonl", ".ndjson", ".json":
		return "jsonl", nil
	}
	return "", &failure{code: 2, message: fmt.Sprintf("%q tells no format", name), hint: "say --format csv or --format jsonl"}
}

// fileRow is a row of a file as the API takes it.
type fileRow struct {
	line int
	json []byte
	err  error // why it is none
}

// rowReader reads rows; io.EOF after the last. Any other error is one that hides
// what follows; errors of one row are in the row.
type rowReader interface {
	next() (fileRow, error)
	octets() int64 // of the file, up to the last row
}

func newRowReader(format string, r io.Reader) (rowReader, error) {
	in := bufio.NewReaderSize(r, 256<<10)
	if bom, err := in.Peek(3); err == nil && string(bom) == "\xEF\xBB\xBF" { // as spreadsheets write it
		_, _ = in.Discard(3)
	}
	if format == "csv" {
		return newCSVReader(in)
	}
	return &lineReader{in: in}, nil
}

// lineReader reads JSON lines. Whether they are JSON, the API says.
type lineReader struct {
	in   *bufio.Reader
	n    int
	read int64
}

func (l *lineReader) octets() int64 { return l.read }

func (l *lineReader) next() (fileRow, error) {
	for {
		line, err := l.in.ReadSlice('\n')
		l.n++
		l.read += int64(len(line))
		if errors.Is(err, bufio.ErrBufferFull) || len(line) > maxLine {
			return fileRow{}, fmt.Errorf("line %d is longer than %d octets", l.n, maxLine)
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return fileRow{}, err
		}
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return fileRow{line: l.n, json: bytes.Clone(line)}, nil
		}
		if err != nil {
			return fileRow{}, io.EOF
		}
	}
}

// csvReader reads CSV (RFC 4180) whose first line names the columns.
type csvReader struct {
	in      *csv.Reader
	columns []string
}

func (c *csvReader) octets() int64 { return c.in.InputOffset() }

func newCSVReader(in *bufio.Reader) (*csvReader, error) {
	c := &csvReader{in: csv.NewReader(in)}
	c.in.ReuseRecord = true
	head, _ := in.Peek(in.Size())
	if first, _, _ := bytes.Cut(head, []byte("\n")); bytes.Contains(first, []byte(";")) && !bytes.Contains(first, []byte(",")) {
		c.in.Comma = ';' // spreadsheets where the comma parts decimals
	}
	names, err := c.in.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file is empty: its first line names the columns, " + strings.Join(columns, ","))
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		name = strings.TrimSpace(name)
		switch {
		case !slices.Contains(columns, name):
			return nil, fmt.Errorf("line 1: column %q is not known: one of %s", name, strings.Join(columns, ", "))
		case slices.Contains(c.columns, name):
			return nil, fmt.Errorf("line 1: column %q is there twice", name)
		}
		c.columns = append(c.columns, name)
	}
	if !slices.Contains(c.columns, "label") {
		return nil, errors.New("line 1: there is no column label")
	}
	return c, nil
}

func (c *csvReader) next() (fileRow, error) {
	cells, err := c.in.Read()
	uneven := errors.Is(err, csv.ErrFieldCount)
	if err != nil && !uneven {
		return fileRow{}, err
	}
	row := fileRow{}
	row.line, _ = c.in.FieldPos(0)
	if uneven {
		row.err = fmt.Errorf("%d cells, and there are %d columns", len(cells), len(c.columns))
		return row, nil
	}
	var x admin.Row
	for i := 0; i < len(cells) && row.err == nil; i++ {
		row.err = setCell(&x, c.columns[i], cells[i])
	}
	if row.err == nil {
		row.json, row.err = json.Marshal(x)
	}
	return row, nil
}

func setCell(x *admin.Row, column, cell string) error {
	switch column {
	case "label":
		x.Label = cell
	case "id":
		x.ID = cell
	case "status":
		x.Status = cell
	case "issuer":
		x.Issuer = cell
	case "notes":
		x.Notes = fromText(cell)
	case "sites":
		for _, pair := range strings.Fields(cell) {
			app, origin, ok := strings.Cut(pair, "=")
			if !ok {
				return fmt.Errorf("sites: %q is not APP=ORIGIN", pair)
			}
			if x.Sites == nil {
				x.Sites = admin.Sites{}
			}
			x.Sites[app] = origin
		}
	case "parameters":
		values, err := url.ParseQuery(cell)
		if err != nil {
			return fmt.Errorf("parameters: %q is not NAME=VALUE&NAME=VALUE: %v", cell, err)
		}
		for name, all := range values {
			if x.Parameters == nil {
				x.Parameters = admin.Parameters{}
			}
			if len(all) > 1 {
				return fmt.Errorf("parameters: %s is there twice", name)
			}
			x.Parameters[name] = all[0]
		}
	}
	return nil
}

// cells is a row for a CSV file.
func cells(x admin.Row) []string {
	var sites []string
	for _, app := range slices.Sorted(maps.Keys(x.Sites)) {
		sites = append(sites, app+"="+x.Sites[app])
	}
	parameters := url.Values{}
	for name, value := range x.Parameters {
		parameters.Set(name, value)
	}
	return []string{x.Label, x.ID, x.Status, x.Issuer, strings.Join(sites, " "), parameters.Encode(), asText(x.Notes)}
}

// asText lets a spreadsheet take a cell for text. What begins with one of
// formulaSigns it computes, and a formula can send the sheet to its author: an
// apostrophe before it is what a person would write.
func asText(cell string) string {
	if isFormula(cell) {
		return "'" + cell
	}
	return cell
}

// fromText undoes asText.
func fromText(cell string) string {
	if strings.HasPrefix(cell, "'") && isFormula(cell) {
		return cell[1:]
	}
	return cell
}

const formulaSigns = "=+-@\t\r"

// isFormula says whether a cell is a formula behind any number of apostrophes.
func isFormula(cell string) bool {
	cell = strings.TrimLeft(cell, "'")
	return cell != "" && strings.IndexByte(formulaSigns, cell[0]) >= 0
}
