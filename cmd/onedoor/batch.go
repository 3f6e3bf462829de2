package main

import (
	"io"
	"sync"
	"time"
)

const (
	batchTime = 100 * time.Millisecond
	batchSize = 64 << 10
)

// batch writes what it is given a little later and together.
type batch struct {
	to    io.Writer
	mu    sync.Mutex
	lines []byte
	timer *time.Timer
}

// Write implements io.Writer.
func (b *batch) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) == 0 {
		if b.timer == nil {
			b.timer = time.AfterFunc(batchTime, b.flush)
		} else {
			b.timer.Reset(batchTime)
		}
	}
	b.lines = append(b.lines, p...)
	if len(b.lines) >= batchSize {
		b.send()
	}
	return len(p), nil
}

func (b *batch) flush() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.send()
}

func (b *batch) send() {
	if len(b.lines) == 0 {
		return
	}
	_, _ = b.to.Write(b.lines) // a log that cannot be written stops nobody's login
	b.lines = b.lines[:0]
}
