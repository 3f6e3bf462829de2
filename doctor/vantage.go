package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// Command is a vantage behind a command line, which starts `onedoor probe`
// there: it gets the plan on standard input and writes what it saw on standard
// output. The line is the operator's own and is read by a shell.
func Command(name, line string) Vantage {
	return Vantage{Name: name, Look: func(ctx context.Context, p Plan) (Sight, error) {
		plan, err := json.Marshal(p)
		if err != nil {
			return Sight{}, err
		}
		var out, complaint tail
		out.limit, complaint.limit = maxSight+1, 4<<10
		cmd := exec.CommandContext(ctx, "sh", "-c", line)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(plan), &out, &complaint
		cmd.WaitDelay = 2 * time.Second
		if err := cmd.Run(); err != nil {
			if ctx.Err() != nil {
				return Sight{}, fmt.Errorf("%q did not end in time", line)
			}
			return Sight{}, fmt.Errorf("%q: %v: %s", line, err, bounded(oneLine(complaint.String()), maxSaid))
		}
		return ReadSight(&out.Buffer)
	}}
}

// tail is a buffer with a bound; what is beyond is dropped.
type tail struct {
	bytes.Buffer
	limit int
}

func (t *tail) Write(p []byte) (int, error) {
	if room := t.limit - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(len(p), room)])
	}
	return len(p), nil
}

// Written is a vantage whose report was brought here by hand.
func Written(name string, open func() (io.ReadCloser, error)) Vantage {
	return Vantage{Name: name, Look: func(context.Context, Plan) (Sight, error) {
		r, err := open()
		if err != nil {
			return Sight{}, err
		}
		defer r.Close()
		return ReadSight(r)
	}}
}
