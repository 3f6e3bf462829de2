package meter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	maxBatch  = 512             // spans in one request
	batchTime = 2 * time.Second // for how long spans are gathered
	farewell  = 3 * time.Second // for sending what is left at the end
	maxTries  = 5               // of one batch
)

// Run sends spans until ctx ends, and then what is left of them.
func (t *Tracer) Run(ctx context.Context) {
	defer t.client.CloseIdleConnections()
	for {
		batch, last := t.gather(ctx)
		if last {
			end, stop := context.WithTimeout(context.WithoutCancel(ctx), farewell)
			defer stop()
			for len(batch) > 0 {
				now := batch[:min(len(batch), maxBatch)]
				t.count(now, t.send(end, now))
				batch = batch[len(now):]
			}
			return
		}
		t.deliver(ctx, batch)
	}
}

// gather waits for spans, and takes those that come soon after the first.
func (t *Tracer) gather(ctx context.Context) (batch []*trace.Span, last bool) {
	select {
	case s := <-t.queue:
		batch = append(batch, s)
	case <-ctx.Done():
		return t.drain(nil), true
	}
	enough := time.NewTimer(batchTime)
	defer enough.Stop()
	for len(batch) < maxBatch {
		select {
		case s := <-t.queue:
			batch = append(batch, s)
		case <-enough.C:
			return batch, false
		case <-ctx.Done():
			return t.drain(batch), true
		}
	}
	return batch, false
}

func (t *Tracer) drain(batch []*trace.Span) []*trace.Span {
	for {
		select {
		case s := <-t.queue:
			batch = append(batch, s)
		default:
			return batch
		}
	}
}

// deliver sends a batch, again and again where the collector is away. In the
// meantime the queue fills, and then spans are dropped.
func (t *Tracer) deliver(ctx context.Context, batch []*trace.Span) {
	pause := t.o.Retry
	for try := 1; ; try++ {
		err := t.send(ctx, batch)
		t.tell(err)
		if err == nil || try == maxTries || errors.Is(err, errNever) || ctx.Err() != nil {
			t.count(batch, err)
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
		pause *= 2
	}
}

// tell writes one line when the collector goes, and one when it is back.
func (t *Tracer) tell(err error) {
	switch {
	case err != nil && !t.away:
		t.o.Log.Warn("traces are not taken", slog.String("endpoint", t.address), slog.String("error", err.Error()))
	case err == nil && t.away:
		t.o.Log.Info("traces are taken again", slog.Int64("dropped", t.dropped.Load()))
	}
	t.away = err != nil
}

func (t *Tracer) count(batch []*trace.Span, err error) {
	if err != nil {
		t.dropped.Add(int64(len(batch)))
		return
	}
	t.sent.Add(int64(len(batch)))
}

// errNever is a collector that would say the same again.
var errNever = errors.New("it will not take them")

// send sends one request of OTLP over HTTP. Its message is an
// ExportTraceServiceRequest, which has the octets of a TracesData.
func (t *Tracer) send(ctx context.Context, batch []*trace.Span) error {
	body, err := proto.Marshal(&trace.TracesData{ResourceSpans: []*trace.ResourceSpans{{
		Resource:   t.resource,
		ScopeSpans: []*trace.ScopeSpans{{Scope: &common.InstrumentationScope{Name: "onedoor"}, Spans: batch}},
	}}})
	if err != nil {
		return errors.Join(errNever, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.address, bytes.NewReader(body))
	if err != nil {
		return errors.Join(errNever, err)
	}
	r.Header.Set("User-Agent", "onedoor/"+t.o.Version)
	maps.Copy(r.Header, t.o.Header)
	r.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := t.client.Do(r)
	if err != nil {
		return errors.Unwrap(err) // without the address, which the log has
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	// Those that "SHOULD be retried" (OTLP §Retryable Response Codes).
	again := []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case slices.Contains(again, resp.StatusCode):
		return fmt.Errorf("the collector answers %s", resp.Status)
	}
	return fmt.Errorf("the collector answers %s: %w", resp.Status, errNever)
}
