package explain

import (
	"strings"
	"testing"
)

func TestAStackBetweenAMessageAndItsCausePartsThemNot(t *testing.T) {
	frames := strings.Repeat("\tat org.springframework.web.client.RestTemplate.doExecute(RestTemplate.java:900)\n", 3*near)
	for _, prefix := range []string{"", "app-1  | "} {
		log := "IllegalArgumentException: Unable to resolve Configuration with the provided Issuer of \"http://auth.example.com\"\n" + frames +
			"Caused by: java.net.UnknownHostException: auth.example.com\n" + frames
		report, err := Text(strings.NewReader(prefix + strings.ReplaceAll(log, "\n", "\n"+prefix)))
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Answers) != 1 || report.Answers[0].ID != "no-such-host" {
			t.Errorf("the answers are %v", report.Answers)
		}
	}
}
