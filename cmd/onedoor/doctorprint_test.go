package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
)

func TestWhatTakesLongSaysWhatItWaitsFor(t *testing.T) {
	var complaint bytes.Buffer
	p := newProgress(newTerminal(context.Background(), nil, &bytes.Buffer{}, &complaint))
	p.stop() // the clock that shows; here the test does
	p.waiting("looking from app")
	p.show()
	if complaint.Len() > 0 {
		t.Errorf("at once it says %q", complaint.String())
	}
	p.since = time.Now().Add(-patience)
	p.show()
	p.show()
	if got := complaint.String(); got != "onedoor: looking from app …\n" {
		t.Errorf("after two seconds it says %q", got)
	}
}

// A report is read in files and mails, too.
func TestAReportForAFileHasNoColours(t *testing.T) {
	var out bytes.Buffer
	if code := run(context.Background(), []string{"doctor", "--issuer", "http://127.0.0.1:9"}, strings.NewReader(""), &out, &out); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("there is an escape sequence in %q", out.String())
	}
}
