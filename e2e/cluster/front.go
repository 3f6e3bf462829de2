//go:build linux

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"onedoor/e2e/lab"
)

// docsPage has the nginx configuration that people are told to use. That, and
// not another one, is what stands before the replicas here.
const docsPage = "docs/deploy/replicas.md"

// The header fields in which nginx tells the test whom it asked.
const (
	askedHeader  = "X-Asked"
	statusHeader = "X-Asked-Status"
)

var nginxBlock = regexp.MustCompile("(?s)```nginx\n(.*?)```")

// nginxConfig is the page's configuration with the addresses of the test in it.
func nginxConfig(dir, listen string, replicas []string) (string, error) {
	page, err := os.ReadFile(filepath.Join(lab.Root(), docsPage))
	if err != nil {
		return "", err
	}
	block := nginxBlock.FindSubmatch(page)
	if block == nil {
		return "", fmt.Errorf("%s shows no nginx configuration", docsPage)
	}
	site := string(block[1])
	for i, r := range replicas {
		if site, err = replaceOnce(site, fmt.Sprintf("onedoor-%d:8080", i+1), r); err != nil {
			return "", err
		}
	}
	for _, swap := range [][2]string{
		{"listen 443 ssl;", "listen " + listen + ";\n    add_header " + askedHeader + " $upstream_addr always;\n    add_header " + statusHeader + " $upstream_status always;"},
		{"/var/log/nginx/auth.log", dir + "/access.log"},
		{"/var/log/nginx/auth.error.log", dir + "/error.log"},
	} {
		if site, err = replaceOnce(site, swap[0], swap[1]); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf(`worker_processes 1;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log info;
daemon off;
events { worker_connections 4096; }
http {
client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
%[2]s
}
`, dir, site), nil
}

func replaceOnce(text, from, to string) (string, error) {
	if n := strings.Count(text, from); n != 1 {
		return "", fmt.Errorf("%s has %q %d times, want it once", docsPage, from, n)
	}
	return strings.Replace(text, from, to, 1), nil
}

// startNginx starts Debian's nginx before the replicas.
func startNginx(s lab.Scope, listen string, replicas []string) {
	s.Helper()
	dir := lab.TempDir(s, "nginx")
	config, err := nginxConfig(dir, listen, replicas)
	if err != nil {
		s.Fatalf("nginx: %v", err)
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		s.Fatalf("nginx: %v", err)
	}
	p := lab.Start(s, "nginx", exec.Command("nginx", "-e", dir+"/error.log", "-c", file))
	p.Await(s, "it listens", func() error { return dial(listen) })
	s.Cleanup(func() {
		if text, err := os.ReadFile(dir + "/error.log"); err == nil && s.Failed() {
			s.Logf("nginx: the end of its error log:\n%s", tail(string(text), 20))
		}
	})
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
