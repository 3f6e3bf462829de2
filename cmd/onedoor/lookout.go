package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"sync/atomic"
	"time"

	"onedoor/config"
	"onedoor/gateway"
	"onedoor/meter"
)

// lookout is who is told of every request.
type lookout struct {
	meter    *meter.Meter
	tracer   *meter.Tracer // nil: logins are not traced
	inFlight atomic.Int64
}

// look makes the door's lookout.
func (d *door) look(cfg *config.Config) error {
	version := thisBuild().Version
	d.meter = meter.New(meter.Options{Version: version, InFlight: &d.inFlight, Registry: d.tenants, Now: d.now})
	d.meter.Loaded()
	d.onReload(d.meter.Reloaded)
	if cfg.Tracing.Endpoint == "" {
		return nil
	}
	var err error
	d.tracer, err = meter.NewTracer(meter.TraceOptions{
		Endpoint: cfg.Tracing.Endpoint, Sample: cfg.Tracing.Sample, Version: version, Instance: rand.Text(), Log: d.log,
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

// observe tells everybody of a request.
func (l *lookout) observe(e *gateway.Event) {
	l.meter.Observe(e)
	if l.tracer != nil {
		l.tracer.Observe(e)
	}
}

// measureCertificate measures when the certificate of a listener expires.
func (l *lookout) measureCertificate(listener string, c *tls.Config) {
	l.meter.Certificate(listener, func() time.Time {
		pair, _ := c.GetCertificate(nil) // it never refuses
		return pair.Leaf.NotAfter
	})
}
