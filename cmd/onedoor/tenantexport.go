package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"onedoor/admin"
)

type tenantExport struct {
	registryFlags
	Format string `env:"-" enum:"csv,jsonl," default:"" help:"csv or jsonl; by default the file's name tells, and jsonl on standard output."`
	Prefix string `env:"-" help:"Those whose label begins so."`
	Status string `env:"-" enum:"active,suspended," default:"" help:"Those of that status."`
	File   string `arg:"" optional:"" default:"-" help:"The file; standard output by default."`
}

// Run writes a file that tenant import reads. It is there whole or not at all.
func (c *tenantExport) Run(t *terminal) error {
	format := c.Format
	if c.File == "-" && format == "" {
		format = "jsonl"
	}
	format, err := fileFormat(format, c.File)
	if err != nil {
		return err
	}
	return c.registry(t, func(r *registrar) error {
		query := url.Values{}
		for name, value := range map[string]string{"prefix": c.Prefix, "status": c.Status} {
			if value != "" {
				query.Set(name, value)
			}
		}
		resp, err := r.send(t.ctx, request{method: http.MethodGet, path: "/v1/tenants:export?" + query.Encode()})
		if err != nil {
			return t.refusal(err)
		}
		defer resp.Body.Close()
		if c.File == "-" {
			_, err := exportRows(resp.Body, t.out, format, func(int) {})
			return couldNotWrite(err)
		}
		p := newPacing(t, "exporting", 0)
		n, err := exportFile(resp.Body, c.File, format, func(rows int) { p.at(rows, 0) })
		p.clear()
		if err != nil {
			return couldNotWrite(err)
		}
		fmt.Fprintf(t.err, "onedoor: %s tenants are in %s\n", grouped(n), c.File)
		return nil
	})
}

func couldNotWrite(err error) error {
	if err == nil {
		return nil
	}
	return couldNotLook(err, "what was written is not whole: export again")
}

// exportFile writes beside the file and then puts that in its place.
func exportFile(from io.Reader, name, format string, progress func(rows int)) (n int, err error) {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*") // readable by its owner alone
	if err != nil {
		return 0, err
	}
	n, err = exportRows(from, f, format, progress)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return n, err
}

func exportRows(from io.Reader, to io.Writer, format string, progress func(rows int)) (n int, err error) {
	out := bufio.NewWriterSize(to, 256<<10)
	rows := json.NewDecoder(from)
	var write func(json.RawMessage) error
	switch format {
	case "csv":
		w := csv.NewWriter(out)
		if err := w.Write(columns); err != nil {
			return 0, err
		}
		defer func() {
			w.Flush()
			err = errors.Join(err, w.Error(), out.Flush())
		}()
		write = func(text json.RawMessage) error {
			var x admin.Row
			if err := json.Unmarshal(text, &x); err != nil {
				return err
			}
			return w.Write(cells(x))
		}
	default:
		defer func() { err = errors.Join(err, out.Flush()) }()
		write = func(text json.RawMessage) error {
			_, err := out.Write(append(text, '\n'))
			return err
		}
	}
	for {
		var text json.RawMessage
		if err := rows.Decode(&text); errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, fmt.Errorf("after %d tenants the answer was cut off: %w", n, err)
		}
		if err := write(text); err != nil {
			return n, err
		}
		n++
		progress(n)
	}
}
