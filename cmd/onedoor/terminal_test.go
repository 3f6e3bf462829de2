package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// Much of what is printed was chosen by somebody else: a provider's texts, a
// site's, the label that a stranger asked for.
func TestNothingThatATerminalObeysIsPrinted(t *testing.T) {
	const hostile = "a\x1b[31m\x7f\u009b2J\u202edoor\u2066\r\n\ud55c\u200dx"
	var out bytes.Buffer
	to := &terminal{out: &out}
	if err := to.table([][]string{{hostile}}); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.ContainsFunc(strings.TrimSuffix(got, "\n"), obeyed) || !strings.Contains(got, "\ud55c\u200dx") {
		t.Errorf("a table is %q", got)
	}
	for name, write := range map[string]func(any) error{"json": to.json, "line": to.line} {
		out.Reset()
		if err := write(map[string]string{"said": hostile}); err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if strings.ContainsFunc(strings.ReplaceAll(got, "\n", ""), obeyed) || !strings.Contains(got, `\u009b`) || !strings.Contains(got, `\u202e`) {
			t.Errorf("%s is %q", name, got)
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(got), &back); err != nil || back["said"] != hostile {
			t.Errorf("%s is read back as %q, %v", name, back["said"], err)
		}
	}
}
