//go:build e2e && linux

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"onedoor/e2e/lab"
)

// Prometheus' own tool reads the alerts, and shows on made-up series that each
// fires when it should and is silent when all is well.
func TestTheAlertsDoWhatTheySay(t *testing.T) {
	promtool := filepath.Join(lab.CacheDir(), "bin", "promtool")
	for _, args := range [][]string{{"check", "rules", "onedoor.rules.yaml"}, {"test", "rules", "onedoor.test.yaml"}} {
		c := exec.Command(promtool, args...)
		c.Dir = "../docs/deploy/prometheus"
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args, err, out)
		}
	}
}
