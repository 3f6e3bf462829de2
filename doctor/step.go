package doctor

import (
	"context"
	"net/http"
	"net/url"
	"slices"
)

// stepped is the answer to one step.
type stepped struct {
	*Answer
	to       *url.URL // where a redirect leads, nil for none
	location string   // as it was written
	cookies  []*http.Cookie
}

// step makes one step, and reads the answer: whoever sends that octet by octet
// does not take the time of all others.
func (s *Scout) step(ctx context.Context, at *url.URL, jar http.CookieJar, a *AnswerTo) (got stepped, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	resp, err := s.get(ctx, at, jar, a)
	if err != nil {
		return got, err
	}
	if got.Answer, err = readAnswer(resp); err != nil {
		return got, err
	}
	if to, err := resp.Location(); err == nil && got.Status >= 300 && got.Status <= 399 {
		got.to, got.location = to, resp.Header.Get("Location")
	}
	got.cookies = resp.Cookies()
	return got, nil
}

// get makes a request as a browser does. The jar takes http under localhost for as good as https,
// as browsers do, and notes Secure cookies that a browser would drop.
func (s *Scout) get(ctx context.Context, at *url.URL, jar http.CookieJar, a *AnswerTo) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("User-Agent", s.gate.agent)
	for _, c := range jar.Cookies(asHTTPS(at)) {
		r.AddCookie(c)
	}
	if err := s.detour(r, at); err != nil {
		return nil, err
	}
	resp, err := s.gate.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.Request != nil { // Location is relative to what the browser asked
		resp.Request = resp.Request.Clone(ctx)
		resp.Request.URL = at
	}
	cookies := resp.Cookies()
	if at.Scheme == "http" && !local(at.Hostname()) {
		for _, c := range cookies {
			if c.Secure && !slices.Contains(a.Insecure, c.Name) {
				a.Insecure = append(a.Insecure, bounded(c.Name, 100))
			}
		}
	}
	jar.SetCookies(asHTTPS(at), cookies)
	return resp, nil
}

// detour sends a request for an origin where it really goes, as a proxy does.
func (s *Scout) detour(r *http.Request, at *url.URL) error {
	origin := originOf(at.String())
	to := s.via[origin]
	if to == "" {
		return nil
	}
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	claim(r, origin)
	r.URL.Scheme, r.URL.Host = u.Scheme, u.Host
	return nil
}

func asHTTPS(u *url.URL) *url.URL {
	c := *u
	c.Scheme = "https"
	return &c
}
