package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"onedoor/admin"
)

type tenantImport struct {
	registryFlags
	Format   string `env:"-" enum:"csv,jsonl," default:"" help:"csv or jsonl; by default the file's name tells."`
	DryRun   bool   `env:"-" help:"Say what would happen and what is wrong, and change nothing."`
	FromLine int    `env:"-" placeholder:"N" help:"Leave out what stands before line N: to go on with an import that was interrupted."`
	Batch    int    `env:"-" default:"1000" help:"How many rows are kept together or not at all (${default}, the most)."`
	JSON     bool   `name:"json" help:"Print the result as JSON, with every mistake in it."`
	File     string `arg:"" help:"The file; - for standard input."`
}

// maxBatch bounds a batch in octets, below what the API takes.
const maxBatch = 3 << 20

// Waits before a batch is sent again to a registry that does not answer: a
// database that restarts, a door that is replaced.
const (
	importTries = 8
	firstWait   = time.Second
	longestWait = 30 * time.Second
)

// importing is one run.
type importing struct {
	*tenantImport
	t        *terminal
	to       *registrar
	rows     rowReader
	progress *pacing
	result   importResult
}

// importResult is what --json prints.
type importResult struct {
	Rows      int    `json:"rows"`
	Added     int    `json:"added"`
	Changed   int    `json:"changed"`
	Unchanged int    `json:"unchanged"`
	Wrong     int    `json:"wrong"`    // rows
	NotKept   int    `json:"not_kept"` // rows, with those that were in a batch with a wrong one
	DryRun    bool   `json:"dry_run,omitempty"`
	NextLine  int    `json:"next_line,omitempty"` // where an interrupted import goes on
	Error     string `json:"error,omitempty"`

	Mistakes []rowMistake `json:"mistakes"`       // each of a row; of a row there may be several
	Refused  []lineRange  `json:"lines_not_kept"` // of batches
}

type rowMistake struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

type lineRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// Run imports. What is wrong is told row by row; a batch with a wrong row is not
// kept, and the others are.
func (c *tenantImport) Run(t *terminal) error {
	if c.Batch < 1 || c.Batch > admin.MaxRows {
		return &failure{code: 2, message: fmt.Sprintf("--batch is from 1 to %d", admin.MaxRows), hint: "leave it out"}
	}
	format, err := fileFormat(c.Format, c.File)
	if err != nil {
		return err
	}
	in, size := t.in, int64(0)
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return couldNotLook(err, "")
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil {
			size = info.Size()
		}
		in = f
	}
	return c.registry(t, func(r *registrar) error {
		run := &importing{tenantImport: c, t: t, to: r}
		run.result = importResult{DryRun: c.DryRun, Mistakes: []rowMistake{}, Refused: []lineRange{}}
		if run.rows, err = newRowReader(format, in); err != nil {
			return found(fmt.Errorf("%s: %w", c.File, err), "")
		}
		what := "importing"
		if c.DryRun {
			what = "checking"
		}
		run.progress = newPacing(t, what, size)
		return run.finish(run.all())
	})
}

// rowBatch is what is kept together.
type rowBatch struct {
	lines []int
	body  bytes.Buffer
	wrong []fileRow
	last  int
}

func (b *rowBatch) rows() int { return len(b.lines) + len(b.wrong) }

func (b *rowBatch) first() int {
	first := b.last
	for _, l := range b.lines {
		first = min(first, l)
	}
	for _, r := range b.wrong {
		first = min(first, r.line)
	}
	return first
}

// all imports batch after batch. After an error NextLine is where to go on.
func (i *importing) all() error {
	for {
		b, err := i.fill()
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return found(fmt.Errorf("%s: %w", i.File, err), "what stands before it was read; mend it and import the file again")
		}
		if b.rows() > 0 {
			if err := i.keep(b); err != nil {
				i.result.NextLine = b.first()
				return err
			}
			i.progress.at(i.result.Rows, i.rows.octets())
		}
		if end {
			return nil
		}
		if i.t.ctx.Err() != nil {
			i.result.NextLine = b.last + 1
			return couldNotLook(errors.New("interrupted"), "")
		}
	}
}

// fill reads the rows of the next batch.
func (i *importing) fill() (*rowBatch, error) {
	b := &rowBatch{}
	for b.rows() < i.Batch && b.body.Len() < maxBatch {
		row, err := i.rows.next()
		if err != nil {
			return b, err
		}
		if row.line < i.FromLine {
			continue
		}
		b.last = row.line
		if row.err != nil {
			b.wrong = append(b.wrong, row)
			continue
		}
		b.lines = append(b.lines, row.line)
		b.body.Write(row.json)
		b.body.WriteByte('\n')
	}
	return b, nil
}

// keep sends a batch. One with a row that is none already is only asked about,
// so that every wrong row is told at once.
func (i *importing) keep(b *rowBatch) error {
	i.result.Rows += b.rows()
	for _, row := range b.wrong {
		i.tell(row.line, row.err.Error())
	}
	wrong := len(b.wrong)
	if len(b.lines) > 0 {
		got, err := i.send(b, i.DryRun || wrong > 0)
		var no *refused
		switch {
		case errors.As(err, &no) && (no.Code == "invalid" || no.Code == "rows_refused"):
			wrong += i.tellAll(b, no)
		case err != nil:
			i.result.Rows -= b.rows()
			return err
		case wrong == 0:
			i.result.Added += got.Added
			i.result.Changed += got.Changed
			i.result.Unchanged += got.Unchanged
		}
	}
	if wrong > 0 {
		i.result.Wrong += wrong
		i.result.NotKept += b.rows()
		i.result.Refused = append(i.result.Refused, lineRange{b.first(), b.last})
	}
	return nil
}

// tellAll names every wrong row of a batch, and returns how many there are.
func (i *importing) tellAll(b *rowBatch, no *refused) int {
	rows := map[int]bool{}
	for _, m := range no.Errors {
		line := b.first()
		if m.Line > 0 && m.Line <= len(b.lines) {
			line = b.lines[m.Line-1]
		}
		rows[line] = true
		where := mistakeLine(m)
		if _, rest, ok := bytes.Cut([]byte(where), []byte("]")); ok && where[0] == '[' { // "[17].label: …": the line says which
			where = string(bytes.TrimLeft(rest, ".: "))
		}
		i.tell(line, where)
	}
	return len(rows)
}

func (i *importing) tell(line int, what string) {
	if i.JSON {
		i.result.Mistakes = append(i.result.Mistakes, rowMistake{line, what})
		return
	}
	i.progress.clear()
	i.t.complain(fmt.Sprintf("%s:%d: %s", i.File, line, plain(what)), "")
}

// send sends a batch until it is answered. A batch that was kept and whose
// answer was lost is sent again: it changes nothing the second time.
func (i *importing) send(b *rowBatch, dry bool) (admin.Imported, error) {
	q := request{method: http.MethodPost, path: "/v1/tenants:import", header: map[string]string{"Content-Type": "application/x-ndjson"}, body: b.body.Bytes()}
	if dry {
		q.path += "?dry_run=true"
	}
	wait := firstWait
	for try := 1; ; try++ {
		var got admin.Imported
		// A batch that is on its way is finished, whatever signal comes.
		resp, err := i.to.send(context.WithoutCancel(i.t.ctx), q)
		if err == nil {
			err = json.NewDecoder(resp.Body).Decode(&got)
			resp.Body.Close()
			if err == nil {
				return got, nil
			}
		}
		pause, again := retry(err, wait)
		if !again || try == importTries || i.t.ctx.Err() != nil {
			return got, err
		}
		i.progress.clear()
		fmt.Fprintf(i.t.err, "onedoor: line %d: %v; trying again in %s\n", b.first(), err, pause)
		select {
		case <-time.After(pause):
		case <-i.t.ctx.Done():
			return got, err
		}
		wait = min(2*wait, longestWait)
	}
}

// retry says whether an error may be over in a while.
func retry(err error, wait time.Duration) (time.Duration, bool) {
	var no *refused
	if errors.As(err, &no) {
		again := no.Status == http.StatusTooManyRequests || no.Status >= 500 && no.Status != http.StatusInternalServerError
		return max(no.after, wait), again
	}
	return wait, true // no answer
}

// finish tells what was done.
func (i *importing) finish(err error) error {
	i.progress.clear()
	if err != nil {
		i.result.Error = err.Error()
	}
	if i.JSON {
		if printErr := i.t.json(i.result); printErr != nil {
			return printErr
		}
	} else {
		i.summary()
	}
	switch {
	case err != nil && i.result.NextLine > 0:
		var f *failure
		explained := i.t.refusal(err)
		if !errors.As(explained, &f) {
			f = &failure{code: 2, message: explained.Error()}
		}
		return &failure{code: max(f.code, 2), message: f.message, hint: fmt.Sprintf("what stands before line %d is done; go on with: onedoor tenant import --from-line %d %s", i.result.NextLine, i.result.NextLine, i.File), cause: err}
	case err != nil:
		return i.t.refusal(err)
	case i.result.Wrong > 0:
		return alreadySaid(1)
	}
	return nil
}

func (i *importing) summary() {
	r, kept := i.result, ""
	if r.DryRun {
		kept = "; nothing was changed: a dry run"
	}
	fmt.Fprintf(i.t.out, "%s rows: %s added, %s changed, %s as they were%s\n", grouped(r.Rows), grouped(r.Added), grouped(r.Changed), grouped(r.Unchanged), kept)
	if r.Wrong == 0 {
		return
	}
	fmt.Fprintf(i.t.out, "%s rows are wrong. Batches are kept whole or not at all; not kept, %s rows:\n", grouped(r.Wrong), grouped(r.NotKept))
	const most = 20
	for n, lines := range r.Refused {
		if n == most {
			fmt.Fprintf(i.t.out, "  and %d batches more\n", len(r.Refused)-most)
			break
		}
		if lines.From == lines.To {
			fmt.Fprintf(i.t.out, "  line %d\n", lines.From)
			continue
		}
		fmt.Fprintf(i.t.out, "  lines %d to %d\n", lines.From, lines.To)
	}
	fmt.Fprintln(i.t.out, "Mend them and import the file again: what is there already stays as it is.")
}
