package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"os"
	"sync/atomic"
	"time"

	"onedoor/config"
	"onedoor/gateway"
	"onedoor/journal"
	"onedoor/meter"
)

// lookout is who is told of every request.
type lookout struct {
	meter    *meter.Meter
	tracer   *meter.Tracer    // nil: logins are not sent to a collector
	journal  *journal.Journal // nil: logins are not recorded
	inFlight atomic.Int64
}

// look makes the door's lookout.
func (d *door) look(cfg *config.Config) error {
	version := thisBuild().Version
	d.meter = meter.New(meter.Options{Version: version, InFlight: &d.inFlight, Registry: d.tenants, KeysAge: d.keys.age, Now: d.now})
	d.meter.Loaded()
	if cfg.Traces.Keep > 0 {
		d.record(cfg.Traces)
	}
	if cfg.Tracing.Endpoint == "" {
		return nil
	}
	var err error
	d.tracer, err = meter.NewTracer(meter.TraceOptions{
		Endpoint: cfg.Tracing.Endpoint, Header: cfg.Tracing.Header(), Sample: cfg.Tracing.Sample, Version: version, Instance: rand.Text(), Log: d.log,
	})
	if err != nil {
		return err
	}
	d.meter.Register(d.tracer.Collectors()...)
	d.background(func(ctx context.Context) error {
		d.tracer.Run(ctx)
		return nil
	})
	return nil
}

// record has what happens to logins written into the database.
func (d *door) record(o config.Traces) {
	replica, err := os.Hostname()
	if err != nil {
		replica = "unknown"
	}
	d.journal = journal.New(journal.Options{
		Store: d.db, Replica: replica, Log: d.log, Now: d.now,
		Keep: o.Keep, Most: int64(o.Limit), Window: o.Window, Unredeemed: o.Unredeemed,
	})
	d.meter.Register(d.journal.Collectors()...)
	d.background(func(ctx context.Context) error {
		d.journal.Run(ctx)
		return nil
	})
}

// observe tells everybody of a request.
func (l *lookout) observe(e *gateway.Event) {
	l.meter.Observe(e)
	if l.tracer != nil {
		l.tracer.Observe(e)
	}
	if l.journal != nil {
		l.journal.Observe(e)
	}
}

// measureCertificate measures when the certificate of a listener expires.
func (l *lookout) measureCertificate(listener string, c *tls.Config) {
	l.meter.Certificate(listener, func() time.Time {
		pair, _ := c.GetCertificate(nil) // it never refuses
		return pair.Leaf.NotAfter
	})
}
