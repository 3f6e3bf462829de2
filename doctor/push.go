package doctor

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"onedoor/oidc"
)

// push pushes a request as a public client does, which has no secret
// (RFC 9126 §2), and makes of it the one with which a browser goes on (§4). Where
// it is not taken, the answer says why, and there is none.
func (s *Scout) push(ctx context.Context, q Question, request *url.URL, a *AnswerTo) (*url.URL, error) {
	at, err := url.Parse(q.Push)
	if err != nil {
		return nil, fmt.Errorf("the endpoint for pushed requests %q is not a URL", q.Push)
	}
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	a.At = bare(at)
	a.Hops = append(a.Hops, a.At)
	if !s.named(at) { // no secret is pushed, but nothing goes to a stranger
		a.Outcome, a.Said = Unclear, "was not named, so it is not asked"
		return nil, nil
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at.String(), strings.NewReader(request.RawQuery))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("User-Agent", s.gate.agent)
	if err := s.detour(r, at); err != nil {
		return nil, err
	}
	resp, err := s.gate.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return nil, err
	}
	a.Status = resp.StatusCode
	m, err := oidc.ParseMetadata(body)
	if err != nil {
		m = &oidc.Metadata{}
	}
	if handle := m.String("request_uri"); a.Status == http.StatusCreated && handle != "" {
		next := *request
		next.RawQuery = url.Values{"client_id": {q.ClientID}, "request_uri": {handle}}.Encode()
		return &next, nil
	}
	a.refusedPush(m, body)
	return nil, nil
}

// refusedPush judges an answer without a request_uri (RFC 9126 §2.3).
func (a *AnswerTo) refusedPush(m *oidc.Metadata, body []byte) {
	a.Error = bounded(oneLine(m.String("error")), 60)
	if a.Said = bounded(long.ReplaceAllString(oneLine(m.String("error_description")), "…"), maxSaid); a.Said == "" && a.Error == "" {
		a.Said = words(body)
	}
	switch {
	case a.Status >= 500, a.Status == http.StatusTooManyRequests:
		a.Outcome = Down
	case a.Error == "invalid_client", a.Error == "unauthorized_client", a.Status == http.StatusUnauthorized:
		a.Outcome = RefusedClient
	case a.Error == "invalid_redirect_uri", saysRedirect.MatchString(a.Said):
		a.Outcome = RefusedRedirect
	default:
		a.Outcome = RefusedPush
	}
}
