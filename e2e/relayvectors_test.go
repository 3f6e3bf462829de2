//go:build e2e && linux

package e2e

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onedoor/e2e/lab"
)

// relayVector is one case of testdata/vectors/relay.json.
type relayVector struct {
	ID           string      `json:"id"`
	Group        string      `json:"group"`
	Fixture      string      `json:"fixture"`
	Method       string      `json:"method"`
	RawTarget    string      `json:"raw_target"`
	RawTargetHex string      `json:"raw_target_hex"`
	Host         *string     `json:"host"`
	Headers      [][2]string `json:"headers"`
	Body         string      `json:"body"`
	Why          string      `json:"why"`
	Expect       struct {
		relayAnswer
		StatusOK   []int         `json:"status_ok"`
		LocationOK []*string     `json:"location_ok"`
		AnyOf      []relayAnswer `json:"any_of"`
	} `json:"expect"`
}

type relayAnswer struct {
	Status   int     `json:"status"`
	Location *string `json:"location"`
	Form     *struct {
		Action string `json:"action"`
	} `json:"auto_submit_form"`
}

// relayFixture is what the vectors take for given.
type relayFixture struct {
	AuthHost     string            `json:"auth_host"`
	ReturnToBase string            `json:"returnto_base"`
	Tenants      map[string]string `json:"tenants"`
	Custom       map[string]any    `json:"custom"`
}

func (f relayFixture) scheme() string {
	scheme, _, _ := strings.Cut(f.ReturnToBase, ":")
	return scheme
}

// domain is what follows the tenant in a site's host.
func (f relayFixture) domain() string {
	return strings.TrimPrefix(f.ReturnToBase, f.scheme()+"://{tenant}.")
}

// active are the tenants that there are: one that is suspended or deleted looks
// from outside like one that never was.
func (f relayFixture) active() (labels []string) {
	for label, status := range f.Tenants {
		if status == "active" {
			labels = append(labels, fmt.Sprintf("%q", label))
		}
	}
	slices.Sort(labels)
	return labels
}

func loadRelayVectors(t *testing.T) (map[string]relayFixture, []relayVector) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(lab.Root(), "testdata", "vectors", "relay.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Fixtures map[string]relayFixture `json:"fixtures"`
		Count    int                     `json:"count"`
		Cases    []relayVector           `json:"cases"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if file.Count != len(file.Cases) || file.Count == 0 {
		t.Fatalf("%d vectors, the file says %d", len(file.Cases), file.Count)
	}
	return file.Fixtures, file.Cases
}

// customDomain says whether the case is about a tenant with a domain of its own,
// which none of the seed's rules knows.
func (v relayVector) customDomain(f relayFixture) bool {
	for label := range f.Custom {
		if strings.Contains(v.target(), "/"+label+"/") {
			return true
		}
	}
	return false
}

func (v relayVector) target() string {
	if v.RawTargetHex == "" {
		return v.RawTarget
	}
	octets, err := hex.DecodeString(v.RawTargetHex)
	if err != nil {
		panic(err)
	}
	return string(octets)
}

// answered is what a rule answered.
type answered struct {
	Status   int    `json:"status"`
	Location string `json:"location"`
	// Edge says that the edge refused the request before the rule saw it.
	Edge bool `json:"edge"`

	header http.Header
	body   string
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

// ask sends the very octets of a case. A connection that is closed without an
// answer is an answer of status 0.
func (v relayVector) ask(t *testing.T, dial dialFunc) *answered {
	t.Helper()
	conn, err := dial(t.Context(), "tcp", "")
	if err != nil {
		t.Fatalf("%s: %v", v.ID, err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	var request strings.Builder
	fmt.Fprintf(&request, "%s %s HTTP/1.1\r\n", v.Method, v.target())
	if v.Host != nil {
		fmt.Fprintf(&request, "Host: %s\r\n", *v.Host)
	}
	for _, header := range v.Headers {
		fmt.Fprintf(&request, "%s: %s\r\n", header[0], header[1])
	}
	if v.Body != "" {
		fmt.Fprintf(&request, "Content-Length: %d\r\n", len(v.Body))
	}
	fmt.Fprintf(&request, "Connection: close\r\n\r\n%s", v.Body)
	if _, err := io.WriteString(conn, request.String()); err != nil {
		return &answered{}
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: v.Method})
	if err != nil {
		return &answered{}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	return &answered{Status: resp.StatusCode, Location: resp.Header.Get("Location"), header: resp.Header, body: string(body)}
}

// verdict is what is wrong with an answer: the worst thing alone.
type verdict string

const (
	right        verdict = "right"
	wrongPlace   verdict = "the wrong place"
	wrongStatus  verdict = "the wrong status"
	wrongHeaders verdict = "headers are missing"
)

// judge compares an answer with what the vector accepts.
func (v relayVector) judge(a *answered) verdict {
	accepted := append([]relayAnswer{}, v.Expect.AnyOf...)
	if len(accepted) == 0 {
		for _, status := range v.Expect.StatusOK {
			for _, location := range append(v.Expect.LocationOK, v.Expect.Location) {
				accepted = append(accepted, relayAnswer{Status: status, Location: location})
			}
		}
	}
	placed := slices.DeleteFunc(slices.Clone(accepted), func(want relayAnswer) bool { return !a.at(want) })
	switch {
	case len(placed) == 0:
		return wrongPlace
	case a.Edge: // its refusal is as good as the rule's
		return right
	case !slices.ContainsFunc(placed, func(want relayAnswer) bool { return want.Status == a.Status }):
		return wrongStatus
	case a.Location != "" && (a.header.Get("Cache-Control") != "no-store" || a.header.Get("Referrer-Policy") != "no-referrer"):
		return wrongHeaders
	}
	return right
}

// at says whether an answer leads where want does, or refuses as want does. An
// answer without a Location that is no refusal leads nowhere.
func (a *answered) at(want relayAnswer) bool {
	switch {
	case want.Form != nil:
		return a.Status == want.Status && strings.Contains(a.body, want.Form.Action)
	case want.Location != nil:
		return a.Location == *want.Location
	}
	return a.Location == "" && a.Status >= 400 && a.Status < 502
}

// selfSigned writes a certificate for a host and returns nginx's lines for it.
func selfSigned(t *testing.T, dir, host string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{host}, NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: certificate}, "key.pem": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("ssl_certificate %s/cert.pem; ssl_certificate_key %s/key.pem;", dir, dir)
}

// overTLS trusts whom it finds: the certificate was made a moment ago.
func overTLS(dial dialFunc, host string) dialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return tls.Client(conn, &tls.Config{ServerName: host, InsecureSkipVerify: true}), nil
	}
}
