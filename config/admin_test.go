package config

import "testing"

// Metrics hold no tenant; on this machine they are everybody's.
func TestMetricsAreOpenOnThisMachineAndWhereItIsSaid(t *testing.T) {
	for text, want := range map[string]bool{
		"admin: {}\n": true, "admin: {listen: \"[::1]:9001\"}\n": true, "admin: {metrics: token}\n": false,
		"admin: {listen: \":9001\", insecure: true}\n": false, "admin: {listen: \":9001\", insecure: true, metrics: open}\n": true,
	} {
		if got := mustParse(t, small+text).Admin.OpenMetrics(); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
