package explain

import (
	"os"
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

func TestALogIsReadAsItWasCollected(t *testing.T) {
	all, err := os.ReadFile("testdata/logs.txt")
	if err != nil {
		t.Fatal(err)
	}
	logs := strings.Split(string(all), "\n=== ")[1:]
	for _, log := range logs {
		heading, text, _ := strings.Cut(log, "\n")
		id, value, _ := strings.Cut(heading, " ")
		report, err := Text(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Answers) == 0 || report.Answers[0].ID != id {
			t.Errorf("%s does not come first of %v:\n%s", id, report.Answers, text)
			continue
		}
		if name, want, _ := strings.Cut(value, "="); report.Answers[0].Values[name] != want {
			t.Errorf("%s of %s is %q, want %q", name, id, report.Answers[0].Values[name], want)
		}
	}
	if len(logs) < 20 {
		t.Errorf("%d logs", len(logs))
	}
}

func TestARefusalOfTheDoorStaysWhatItIsAmongItsOtherLines(t *testing.T) {
	const requests = "\n" + `time=2026-11-22T13:29:39Z level=INFO msg=request route=token_endpoint path=/realms/atlas/protocol/openid-connect/token status=400 error=invalid_grant` + "\n"
	for _, line := range []string{
		`{"level":"WARN","msg":"request refused","status":400,"rule":"code.seal","error":"invalid_grant","cause":"sealed value does not open"}`,
		`level=WARN msg="request refused" status=400 rule=code.seal error=invalid_grant`,
	} {
		report, err := Text(strings.NewReader(line + requests + line + "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Answers) == 0 || report.Answers[0].ID != "onedoor/code.seal" {
			t.Errorf("the answers are %v", report.Answers)
		}
	}
}

// Two lines that say something each are no broken one.
func TestLinesThatAreWholeStayApart(t *testing.T) {
	report, err := Text(strings.NewReader("Error: connect ECONNREFUSED 127.0.0.1:80\nError: getaddrinfo ENOTFOUND auth.example.com\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Answers) != 2 || report.Answers[0].Lines[0] != 1 || report.Answers[1].Lines[0] != 2 {
		t.Errorf("the answers are %v", report.Answers)
	}
}
