package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"onedoor/admin"
	"onedoor/config"
	"onedoor/store"
	"onedoor/tenant"
)

// registryFlags say where a command finds the registry: behind the admin API of
// a running door, or in the database that the configuration names. Both are
// spoken to by the same requests.
type registryFlags struct {
	configFlag
	Server    string `placeholder:"URL" help:"The admin API of a running door, as http://127.0.0.1:9001. By default the configuration's database is used."`
	TokenFile string `placeholder:"FILE" help:"A file with the token for --server; or the variable ONEDOOR_TOKEN."`
	CAFile    string `name:"ca-file" placeholder:"FILE" help:"The certificate authority of an https --server, where it is a private one."`
}

// answerTime bounds the wait for the head of an answer.
const answerTime = 2 * time.Minute

// registrar speaks to the admin API.
type registrar struct {
	base   string
	token  string
	client *http.Client
	where  string // for error messages
}

// registry gives f the registry that the flags name.
func (f registryFlags) registry(t *terminal, use func(*registrar) error) error {
	if f.Server != "" {
		r, err := f.remote()
		if err != nil {
			return err
		}
		return use(r)
	}
	if f.TokenFile != "" || f.CAFile != "" {
		return &failure{code: 2, message: "--token-file and --ca-file belong to --server, which is not given", hint: "name the admin API: --server http://127.0.0.1:9001"}
	}
	return f.database(t, func(cfg *config.Config, db *store.DB) error {
		directory, err := cfg.Directory(cfg.Registry(tenant.List{}))
		if err != nil {
			return couldNotLook(err, "")
		}
		api := admin.New(admin.Options{
			Store: db, Rules: func() *tenant.Directory { return directory },
			Domains: newChecker(cfg, db, nil, time.Now), Version: thisBuild().Version,
			KeyTimes: func() admin.KeyTimes { return keyTimesOf(cfg).shown() },
		})
		who := operator()
		caller := admin.Caller{Name: who.Name, Via: who.Via, Scopes: admin.Scopes()}
		return use(&registrar{
			base:  "http://localhost",
			where: "the database", client: &http.Client{Transport: inProcess{handler: api, caller: caller}},
		})
	})
}

func (f registryFlags) remote() (*registrar, error) {
	u, err := url.Parse(strings.TrimSuffix(f.Server, "/"))
	if err != nil || u.Host == "" || u.Path != "" || u.RawQuery != "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, &failure{code: 2, message: fmt.Sprintf("--server %q is not the address of an admin API", f.Server), hint: "scheme, host and port: http://127.0.0.1:9001"}
	}
	r := &registrar{base: u.String(), where: u.String(), token: os.Getenv("ONEDOOR_TOKEN")}
	if f.TokenFile != "" {
		text, err := os.ReadFile(f.TokenFile)
		if err != nil {
			return nil, couldNotLook(err, "")
		}
		r.token = strings.TrimSpace(string(text))
	}
	if r.token == "" {
		return nil, &failure{code: 2, message: "no token is given for " + r.where, hint: "name its file with --token-file, or set ONEDOOR_TOKEN"}
	}
	transport := &http.Transport{ResponseHeaderTimeout: answerTime, TLSHandshakeTimeout: 10 * time.Second, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment}
	if f.CAFile != "" {
		pem, err := os.ReadFile(f.CAFile)
		if err != nil {
			return nil, couldNotLook(err, "")
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, couldNotLook(fmt.Errorf("%s holds no certificate in PEM", f.CAFile), "")
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	// A token goes where it was told to, and is not led elsewhere.
	r.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return r, nil
}

// request is one, with its query behind the path and its body as it is.
type request struct {
	method, path string
	header       map[string]string
	body         []byte
}

// send sends a request, and returns the answer or the problem that it is.
func (r *registrar) send(ctx context.Context, q request) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, r.base+q.path, bytes.NewReader(q.body))
	if err != nil {
		return nil, couldNotLook(err, "")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for name, value := range q.header {
		req.Header.Set(name, value)
	}
	resp, err := r.client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, &failure{code: 2, message: fmt.Sprintf("%s: %v", r.where, err), hint: "is the door running, and does its configuration have admin?", cause: err}
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, r.refusal(resp)
}

// refused is what the API said no with.
type refused struct {
	*admin.Problem
	after time.Duration // Retry-After
}

func (r *registrar) refusal(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	p := &admin.Problem{}
	if err != nil || json.Unmarshal(text, p) != nil || p.Code == "" {
		return couldNotLook(fmt.Errorf("%s answered %s, and not as an admin API does", r.where, resp.Status), "--server names the admin listener, not the door itself")
	}
	seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
	return &refused{p, time.Duration(seconds) * time.Second}
}

// call sends a JSON body and reads a JSON answer; either may be nil.
func (r *registrar) call(ctx context.Context, method, path string, header map[string]string, body, into any) error {
	q := request{method: method, path: path, header: map[string]string{}}
	if body != nil {
		var err error
		if q.body, err = json.Marshal(body); err != nil {
			return couldNotLook(err, "")
		}
		q.header["Content-Type"] = "application/json"
	}
	maps.Copy(q.header, header)
	resp, err := r.send(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return couldNotLook(fmt.Errorf("%s: an answer that is not whole: %v", r.where, err), "")
	}
	return nil
}

// refusal tells a person what the API refused, each mistake on a line of its
// own.
func (t *terminal) refusal(err error) error {
	var no *refused
	if !errors.As(err, &no) {
		return err
	}
	code := 1
	if no.Status == http.StatusUnauthorized || no.Status == http.StatusForbidden || no.Status >= 500 {
		code = 2
	}
	if len(no.Errors) < 2 {
		detail := no.Detail
		if len(no.Errors) == 1 {
			detail = mistakeLine(no.Errors[0])
		}
		return &failure{code: code, message: lower(detail), hint: cmp.Or(hintHere[no.Code], no.Hint), cause: err}
	}
	for _, m := range no.Errors {
		t.complain(mistakeLine(m), "")
	}
	return alreadySaid(code)
}

// hintHere is the API's hint, by its code, in what can be typed here.
var hintHere = map[string]string{
	"no_such_tenant": "onedoor tenant list shows which there are; those of tenants.list stand in the configuration alone",
	"label_resting":  "choose another label, or have that tenant back: onedoor tenant import, with its id beside the label (onedoor audit list has it)",
	"token_invalid":  "name the file of a token that is in force: --token-file, or ONEDOOR_TOKEN_FILE; onedoor token add makes one",
}

// lower makes of a sentence what stands behind "error:".
func lower(text string) string {
	text = strings.TrimSuffix(text, ".")
	if len(text) > 1 && text[1] >= 'a' && text[1] <= 'z' || strings.HasPrefix(text, "A ") {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	return text
}

// mistakeLine is a mistake in the words of the command line, which knows no
// bodies and paths.
func mistakeLine(m admin.Mistake) string {
	where := m.Location
	for _, prefix := range []string{"body.", "path.", "query.", "body", "query"} {
		if rest, ok := strings.CutPrefix(where, prefix); ok {
			where = rest
			break
		}
	}
	if where == "" {
		return m.Detail
	}
	return where + ": " + m.Detail
}

// pathOf is a path of the API with its variable parts.
func pathOf(parts ...string) string {
	var b strings.Builder
	b.WriteString("/v1")
	for _, p := range parts {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(cmp.Or(p, " "))) // an empty one would be another path
	}
	return b.String()
}
