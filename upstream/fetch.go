package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"onedoor/oidc"
)

// Bounds of a metadata document. Real ones have some 10 KB.
const (
	maxDocument  = 1 << 20
	fetchTimeout = 10 * time.Second
)

const (
	openID = "/.well-known/openid-configuration"
	oauth  = "/.well-known/oauth-authorization-server"
)

// errNone is a document that the provider does not have (404).
var errNone = errors.New("answered 404")

// ConfigurationPath is where the document of an issuer lies (OIDC Discovery
// §4.1: a slash at the issuer's end is removed first).
func ConfigurationPath(issuer string) string { return strings.TrimSuffix(issuer, "/") + openID }

// OAuthPaths are where the OAuth metadata of an issuer may lie: as RFC 8414
// §3.1 has it, inserted before the path, and as many have it, behind it.
func OAuthPaths(issuer string) []string {
	issuer = strings.TrimSuffix(issuer, "/")
	if issuer == "" {
		return []string{oauth}
	}
	return []string{oauth + issuer, issuer + oauth}
}

// refresh fetches everything and swaps the snapshot. What could not be fetched
// stays as it was: a provider that restarts is no reason to forget it.
func (p *Provider) refresh(ctx context.Context) {
	old := p.now.Load()
	s := newSnapshot(p.o.Kind)
	for _, path := range p.o.Issuers {
		if strings.Contains(path, tenantPlaceholder) {
			continue // fetched when a tenant asks
		}
		i, err := p.issuer(ctx, path, old.issuers[path])
		wrong := (*IssuerError)(nil)
		switch {
		case err == nil:
			s.issuers[path] = i
		case old.issuers[path] != nil && !errors.As(err, &wrong):
			s.issuers[path] = old.issuers[path]
			if ctx.Err() == nil {
				p.o.Log.LogAttrs(ctx, slog.LevelWarn, "provider metadata not refreshed", slog.String("issuer", i.id(path)), slog.String("error", err.Error()))
			}
		default:
			s.failed[path] = err
		}
	}
	p.settle(s)
	for _, path := range p.o.Issuers {
		if i := s.issuers[path]; i != nil && old.issuers[path] == nil {
			p.o.Log.LogAttrs(ctx, slog.LevelInfo, "provider metadata fetched", slog.String("issuer", i.ID), slog.String("kind", string(s.kind)))
			p.warn(ctx, i)
		}
	}
}

// id is for the log: the path, where there is no issuer yet.
func (i *Issuer) id(path string) string {
	if i == nil {
		return path
	}
	return i.ID
}

// place notes where the endpoints of an issuer lie.
func (p *Provider) place(s *snapshot, i *Issuer) {
	if s.kind == "" {
		s.kind = recognise(i.Metadata.String(string(Authorization)))
	}
	for _, name := range endpoints {
		path, ok := pathUnder(p.o.PublicOrigin, i.Metadata.String(string(name)))
		if !ok {
			continue
		}
		path = strings.TrimSuffix(path, "/")
		pl := s.at[path]
		if pl.endpoint != "" && pl.endpoint != name {
			continue // one address for two purposes: the first, which matters more, has it
		}
		pl.endpoint, pl.issuers = name, append(slices.Clone(pl.issuers), i)
		s.at[path] = pl
		if s.folded == nil {
			s.folded = map[string]Endpoint{}
		}
		s.folded[strings.ToLower(path)] = pl.endpoint
	}
}

// warn tells of endpoints that go round the door.
func (p *Provider) warn(ctx context.Context, i *Issuer) {
	for _, name := range []Endpoint{Authorization, Token} {
		u := i.Metadata.String(string(name))
		if _, ok := pathUnder(p.o.PublicOrigin, u); !ok {
			p.o.Log.LogAttrs(ctx, slog.LevelWarn, "endpoint is not under the public origin: its requests go round the door",
				slog.String("issuer", i.ID), slog.String("endpoint", string(name)), slog.String("url", u))
		}
	}
}

// issuer fetches and judges the documents of one issuer.
func (p *Provider) issuer(ctx context.Context, path string, old *Issuer) (*Issuer, error) {
	at := ConfigurationPath(path)
	m, err := p.document(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("metadata of issuer %q: %w", p.o.PublicOrigin+strings.TrimSuffix(path, "/"), err)
	}
	i := &Issuer{
		Path: path, ID: m.String("issuer"), Metadata: m, OAuth: map[string]*oidc.Metadata{},
		S256: slices.Contains(m.Strings("code_challenge_methods_supported"), "S256"),
	}
	if err := p.checkIssuer(path, at, i.ID); err != nil {
		return nil, err
	}
	for _, at := range OAuthPaths(path) {
		m, err := p.document(ctx, at)
		if err != nil {
			if old != nil && old.OAuth[at] != nil && !errors.Is(err, errNone) {
				i.OAuth[at] = old.OAuth[at]
			}
			// Many providers have none, and say so in many ways.
			p.o.Log.LogAttrs(ctx, slog.LevelDebug, "no OAuth metadata", slog.String("path", at), slog.String("reason", err.Error()))
			continue
		}
		if m.String("issuer") == i.ID {
			i.OAuth[at] = m
		}
	}
	return i, nil
}

// checkIssuer compares the provider's name for itself with ours, byte for byte
// (OIDC Discovery §4.3). The origin alone has two spellings, and each is taken.
func (p *Provider) checkIssuer(path, at, got string) error {
	want := p.o.PublicOrigin + path
	if got == want || (path == "/" && got == p.o.PublicOrigin) {
		return nil
	}
	if path == "/" {
		want = p.o.PublicOrigin
	}
	return &IssuerError{Want: want, Got: got, At: p.where(at)}
}

func (p *Provider) where(path string) string {
	if p.inside != nil {
		return "the embedded provider's " + path
	}
	return p.base.Scheme + "://" + p.base.Host + path
}

// document fetches one metadata document. No redirect is followed: it would
// lead past the one origin that the operator named (THREATS rule 20).
func (p *Provider) document(ctx context.Context, path string) (*oidc.Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base.Scheme+"://"+p.base.Host, nil)
	if err != nil {
		return nil, err
	}
	r.URL.Opaque = path
	r.Header.Set("Accept", "application/json")
	resp, err := p.RoundTrip(r)
	if err != nil {
		return nil, fmt.Errorf("%s does not answer: %w", p.where(path), err)
	}
	defer resp.Body.Close()
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return nil, fmt.Errorf("%s %w: is the path in provider.issuers right?", p.where(path), errNone)
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, fmt.Errorf("%s answered %d, a redirect to %s, which is not followed", p.where(path), resp.StatusCode, withoutQuery(resp.Header.Get("Location")))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answered %d", p.where(path), resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("%s broke off its answer: %w", p.where(path), err)
	}
	if len(body) > maxDocument {
		return nil, fmt.Errorf("%s answered more than %d octets", p.where(path), maxDocument)
	}
	m, err := oidc.ParseMetadata(body)
	if err != nil {
		return nil, fmt.Errorf("%s answered %q, which is no metadata document: %w", p.where(path), kind, err)
	}
	return m, nil
}

// withoutQuery makes a redirect's target fit for the log.
func withoutQuery(location string) string {
	u, err := url.Parse(location)
	if err != nil {
		return "an address that is none"
	}
	u.RawQuery, u.Fragment, u.User = "", "", nil
	return u.String()
}
