package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"html"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"onedoor/oidc"
)

// Visit is one request, step by step, as far as it got.
type Visit struct {
	For       string     `json:"for"` // what the address is: "discovery", "token_endpoint", …
	URL       string     `json:"url"`
	As        string     `json:"as,omitempty"` // the origin that the request said it was for, as a proxy's
	Lookup    *Lookup    `json:"lookup,omitempty"`
	Dials     []Dial     `json:"dials,omitempty"`
	Handshake *Handshake `json:"tls,omitempty"`
	Answer    *Answer    `json:"answer,omitempty"`
	Failure   string     `json:"failure,omitempty"` // one of fail…; "" where there was an answer
	Error     string     `json:"error,omitempty"`   // its words
	Millis    int64      `json:"millis"`
}

// Lookup is what the resolver said.
type Lookup struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses,omitempty"`
	Failure   string   `json:"failure,omitempty"`
}

// Dial is one address, and whether it took the connection.
type Dial struct {
	Address string `json:"address"`
	Failure string `json:"failure,omitempty"`
	Millis  int64  `json:"millis"`
}

// Handshake is what the server showed for a certificate.
type Handshake struct {
	Names      []string `json:"names,omitempty"`
	Issuer     string   `json:"issuer,omitempty"`
	Subject    string   `json:"subject,omitempty"`
	NotBefore  int64    `json:"not_before,omitempty"` // unix seconds
	NotAfter   int64    `json:"not_after,omitempty"`
	Sent       int      `json:"sent,omitempty"` // certificates that came along
	ServerTime int64    `json:"server_time,omitempty"`
	Failure    string   `json:"failure,omitempty"`
}

// Answer is what matters of an HTTP response. It holds no cookie's value and no
// query.
type Answer struct {
	Status      int       `json:"status"`
	ContentType string    `json:"content_type,omitempty"`
	Location    string    `json:"location,omitempty"` // without its query
	Date        int64     `json:"date,omitempty"`     // the server's clock, unix seconds
	Server      string    `json:"server,omitempty"`
	Said        string    `json:"said,omitempty"` // the beginning of a page's text
	Document    *Document `json:"document,omitempty"`
	Keys        []Key     `json:"keys"` // nil: no key set
	NotJSON     bool      `json:"not_json,omitempty"`
	AllowOrigin string    `json:"allow_origin,omitempty"`

	reference string // of the door's own page, where it is one
}

// Why there was no answer.
const (
	failNotNamed    = "not named"
	failUnknownName = "unknown name"
	failDNS         = "name service failed"
	failRefused     = "refused"
	failTimeout     = "timeout"
	failUnreachable = "unreachable"
	failBlocked     = "blocked"
	failNotTLS      = "not tls"
	failTLS         = "tls"
	failExpired     = "expired"
	failNotYet      = "not yet valid"
	failAuthority   = "unknown authority"
	failChain       = "incomplete chain"
	failName        = "wrong name"
	failClosed      = "closed"
	failSilent      = "no answer"
	failCut         = "not enough time"
	failBrowser     = "browser"
	failOwn         = "own address"
)

const (
	maxBody = 1 << 20
	maxSaid = 200
)

// request is a request to make.
type request struct {
	method, url string
	as          string // origin to claim, as a reverse proxy does; "" for the URL's own
	origin      string // Origin header, as a script's
	form        url.Values
	header      map[string]string
	what        string
	once        bool // the connection is not kept
}

// visit makes a request and notes every step.
func (g *gate) visit(ctx context.Context, q request) Visit {
	v := Visit{For: q.what, URL: q.url, As: q.as}
	began := time.Now()
	t := &trail{}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, trailKey{}, t), stepTimeout)
	defer cancel()
	r, err := q.make(ctx)
	if err == nil {
		r.Header.Set("User-Agent", g.agent)
		r.Close = q.once
		var resp *http.Response
		if resp, err = g.RoundTrip(r); err == nil {
			v.Answer, err = readAnswer(resp)
		}
	}
	v.Millis = time.Since(began).Milliseconds()
	t.mu.Lock()
	defer t.mu.Unlock()
	v.Lookup, v.Dials, v.Handshake = t.lookup, slices.Clone(t.dials), t.tls
	if err != nil {
		v.Answer = nil
		v.Failure, v.Error = v.classify(ctx, err, t), bounded(oneLine(err.Error()), maxSaid)
	}
	return v
}

// claim makes r a request that a reverse proxy of that origin would send.
func claim(r *http.Request, origin string) {
	u, err := url.Parse(origin)
	if err != nil {
		return
	}
	r.Host = u.Host
	r.Header.Set("X-Forwarded-Host", u.Host)
	r.Header.Set("X-Forwarded-Proto", u.Scheme)
	r.Header.Set("X-Forwarded-Port", portOf(u))
}

func (q request) make(ctx context.Context) (*http.Request, error) {
	method := q.method
	if method == "" {
		method = http.MethodGet
	}
	var body io.Reader
	if q.form != nil {
		body = strings.NewReader(q.form.Encode())
	}
	r, err := http.NewRequestWithContext(ctx, method, q.url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	if q.form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if q.origin != "" {
		r.Header.Set("Origin", q.origin)
	}
	for name, value := range q.header {
		r.Header.Set(name, value)
	}
	if q.as != "" {
		claim(r, q.as)
	}
	return r, nil
}

const agent = "onedoor-doctor"

func readAnswer(resp *http.Response) (*Answer, error) {
	defer resp.Body.Close()
	a := &Answer{
		Status: resp.StatusCode, Server: bounded(oneLine(resp.Header.Get("Server")), 60),
		AllowOrigin: bounded(resp.Header.Get("Access-Control-Allow-Origin"), 200),
	}
	a.ContentType, _, _ = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		a.Date = at.Unix()
	}
	if to, err := resp.Location(); err == nil {
		a.Location = bare(to)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, err
	}
	if id := resp.Header.Get("X-Request-Id"); len(id) >= 8 && bytes.Contains(body, []byte(id)) {
		a.reference = bounded(oneLine(id), 60)
	}
	if m, err := oidc.ParseMetadata(body); err == nil && m.Has("issuer") {
		a.Document = newDocument(m)
		return a, nil
	} else if err == nil && m.Has("keys") {
		if a.Keys = readKeys(body); a.Keys != nil {
			return a, nil
		}
	} else if err != nil {
		a.NotJSON = true
	}
	a.Said = words(body)
	return a, nil
}

// bare is an address without what may be a secret.
func bare(u *url.URL) string {
	c := *u
	c.RawQuery, c.Fragment, c.User = "", "", nil
	return bounded(c.String(), 500)
}

var (
	hidden = regexp.MustCompile(`(?is)<(script|style|head)\b.*?</(script|style|head)>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
	long   = regexp.MustCompile(`[A-Za-z0-9_\-.~+/=]{40,}`) // a token, or as good as one
)

// words is the beginning of a page's text, on one line and without anything
// that looks like a token.
func words(body []byte) string {
	if len(body) > 64<<10 {
		body = body[:64<<10]
	}
	text := html.UnescapeString(tags.ReplaceAllString(hidden.ReplaceAllString(string(body), " "), " "))
	return bounded(long.ReplaceAllString(oneLine(text), "…"), maxSaid)
}

func oneLine(text string) string {
	text = strings.ToValidUTF8(text, "")
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(text), " ")
}

func (v *Visit) classify(ctx context.Context, err error, t *trail) string {
	var unnamed *NotNamedError
	switch {
	case errors.As(err, &unnamed):
		return failNotNamed
	case t.lookup != nil && t.lookup.Failure != "":
		return t.lookup.Failure
	case t.reached == "" && len(t.dials) > 0:
		return t.dials[0].Failure
	case t.tls != nil && t.tls.Failure != "":
		return t.tls.Failure
	case t.reached == "":
		return failCut
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() || ctx.Err() != nil {
		return failSilent
	}
	return failClosed
}

func classifyDNS(err error) string {
	var dns *net.DNSError
	if errors.Is(err, errOwn) {
		return failOwn
	}
	if errors.As(err, &dns) && dns.IsNotFound {
		return failUnknownName
	}
	return failDNS
}

func classifyDial(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return failUnreachable
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return failBlocked
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return failTimeout
	}
	return failRefused
}

func classifyTLS(err error) string {
	var (
		record  tls.RecordHeaderError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
	)
	switch {
	case errors.As(err, &record):
		return failNotTLS
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		if strings.Contains(invalid.Detail, "is before") {
			return failNotYet
		}
		return failExpired
	case errors.As(err, &unknown):
		return failAuthority
	case errors.As(err, &name):
		return failName
	}
	return failTLS
}

func newHandshake(s tls.ConnectionState) *Handshake {
	h := &Handshake{Sent: len(s.PeerCertificates)}
	if h.Sent == 0 {
		return h
	}
	leaf := s.PeerCertificates[0]
	for _, name := range leaf.DNSNames[:min(len(leaf.DNSNames), 20)] {
		h.Names = append(h.Names, bounded(oneLine(name), 253))
	}
	for _, ip := range leaf.IPAddresses[:min(len(leaf.IPAddresses), 20)] {
		h.Names = append(h.Names, ip.String())
	}
	h.Issuer, h.Subject = bounded(oneLine(leaf.Issuer.String()), 200), bounded(oneLine(leaf.Subject.String()), 200)
	h.NotBefore, h.NotAfter = leaf.NotBefore.Unix(), leaf.NotAfter.Unix()
	return h
}

// lonely says whether a server sent its own certificate alone although another
// stands between it and the authority: it says where that can be fetched, or an
// authority was named to us and is not the one that signed it.
func (h *Handshake) lonely(leaf *x509.Certificate, named bool) bool {
	return h.Sent == 1 && h.Issuer != h.Subject && (len(leaf.IssuingCertificateURL) > 0 || named)
}
