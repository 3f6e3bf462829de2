package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"onedoor/config"
	"onedoor/doctor"
	"onedoor/explain"
)

type doctorCommand struct {
	configFlag
	Issuer      string   `group:"Without a door:" placeholder:"URL" help:"The issuer, as browsers reach it and the app expects it: look at a provider without a door."`
	Discovery   []string `sep:"none" placeholder:"URL" help:"Where the app fetches its document, if elsewhere: an issuer or the full address."`
	ClientID    string   `group:"Without a door:" placeholder:"ID" help:"The app's client_id."`
	RedirectURI []string `group:"Without a door:" name:"redirect-uri" sep:"none" placeholder:"URI" help:"A redirect URI of the app; several times for several."`
	AppOrigin   []string `group:"Without a door:" sep:"none" placeholder:"ORIGIN" help:"A site whose scripts call the provider, for CORS."`
	LoginURL    []string `name:"login-url" sep:"none" placeholder:"URL" help:"An address of the app at which a login begins."`
	Tenant      []string `group:"Before a door:" placeholder:"LABEL" help:"A tenant to look at (default: the first five of tenants.list and of the database)."`
	Token       string   `env:"-" placeholder:"FILE" help:"A file with a token of the provider, whose iss, aud and key are compared; - for standard input. It is sent nowhere."`
	Log         string   `env:"-" placeholder:"FILE" help:"Lines that the app or the provider has written: what they say is held against what is seen; - for standard input."`
	Also        []string `sep:"none" placeholder:"URL" help:"A further origin that may be asked."`
	CAFile      string   `name:"ca-file" placeholder:"FILE" help:"PEM certificates to trust besides the system's."`

	Vantage       []string `env:"-" sep:"none" placeholder:"NAME=COMMAND" help:"Look from another network, too: a command that starts onedoor probe there, as 'app=docker exec -i app onedoor probe'."`
	Report        []string `env:"-" sep:"none" placeholder:"NAME=FILE" help:"The same, with what onedoor probe has written there; - for standard input."`
	Plan          bool     `env:"-" help:"Print the plan for onedoor probe, and do nothing else."`
	Browser       bool     `help:"Look from the browser, too: prints an address to open."`
	BrowserListen string   `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"Where the browser's page is served, on loopback (${default})."`

	Timeout    time.Duration `default:"60s" help:"How long it may take, all told (${default})."`
	JSON       bool          `name:"json" help:"Print JSON."`
	Unredacted bool          `xor:"redact" help:"Show IP addresses in full."`
	Share      bool          `xor:"redact" help:"Give hosts, clients and tenants other names, to show the report to strangers."`
}

// Run finds out why logins fail. Exit code 1: a check failed; 2: it could not
// look.
func (c *doctorCommand) Run(t *terminal) error {
	s, err := c.subject(t)
	if err != nil {
		return err
	}
	if c.Plan {
		return c.plan(t, s)
	}
	vantages, err := c.vantages(t)
	if err != nil {
		return err
	}
	progress := newProgress(t)
	defer progress.stop()
	if c.Browser {
		vantages = append(vantages, doctor.BrowserVantage(c.BrowserListen, func(url string) {
			progress.say("open this in the browser that cannot log in: " + url)
		}))
	}
	report, err := doctor.Examine(t.ctx, s, doctor.Options{Vantages: vantages, Timeout: c.Timeout, Now: time.Now, Progress: progress.waiting})
	if err != nil {
		return couldNotLook(err, "")
	}
	progress.stop()
	report.Redact(c.redaction(), &s)
	if c.JSON {
		if err := t.json(report); err != nil {
			return couldNotLook(err, "")
		}
	} else if err := c.print(t, report); err != nil {
		return couldNotLook(err, "")
	}
	return verdictOf(report)
}

// verdictOf is the exit code: a vantage that was asked for and could not look
// leaves the question open, and so does a check for which there was no time.
func verdictOf(r *doctor.Report) error {
	switch {
	case !r.OK:
		return alreadySaid(1)
	case r.Late, slices.ContainsFunc(r.Vantages, func(v doctor.Seer) bool { return v.Blind != "" }):
		return alreadySaid(2)
	case !slices.ContainsFunc(r.Checks, func(c doctor.Check) bool { return c.Status == doctor.OK }):
		return alreadySaid(2)
	}
	return nil
}

func (c *doctorCommand) redaction() doctor.Redaction {
	switch {
	case c.Unredacted:
		return doctor.RedactNothing
	case c.Share:
		return doctor.RedactNames
	}
	return doctor.RedactAddresses
}

// subject is what the flags, or the configuration, say.
func (c *doctorCommand) subject(t *terminal) (doctor.Subject, error) {
	s := doctor.Subject{Discovery: c.Discovery, LoginURLs: c.LoginURL, Also: c.Also}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return s, couldNotLook(err, "--ca-file names PEM certificates")
		}
		s.CA = pem
	}
	if c.Token != "" {
		token, err := readInput(t, c.Token, 64<<10)
		if token = strings.TrimPrefix(strings.TrimSpace(token), "Bearer "); err == nil && token == "" {
			err = errors.New("no token was given")
		}
		if err != nil {
			return s, couldNotLook(err, "--token FILE, or --token - and the token on standard input")
		}
		s.Token = token
	}
	if c.Log != "" {
		log, err := readInput(t, c.Log, explain.MaxText)
		if err != nil {
			return s, couldNotLook(err, "--log FILE, or --log - and the lines on standard input")
		}
		s.Log = log
	}
	var err error
	if c.Issuer != "" {
		err = c.direct(&s)
	} else {
		err = c.door(t.ctx, &s)
	}
	if err != nil {
		return s, err
	}
	if _, err := s.Plan(doctor.Here); err != nil {
		return s, couldNotLook(err, "for example: onedoor doctor --issuer https://auth.example.com/realms/atlas")
	}
	return s, nil
}

// readInput reads a file, or standard input for "-".
func readInput(t *terminal, name string, limit int64) (string, error) {
	in := t.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, limit))
	return string(text), err
}

// direct is a provider without a door.
func (c *doctorCommand) direct(s *doctor.Subject) error {
	s.Issuer = c.Issuer
	if i := strings.Index(s.Issuer, "/.well-known/"); i >= 0 {
		s.Issuer = s.Issuer[:i]
	}
	if len(c.RedirectURI) > 0 && c.ClientID == "" {
		return couldNotLook(errors.New("--redirect-uri needs --client-id"), "whose redirect URI is it?")
	}
	if len(c.Tenant) > 0 {
		return couldNotLook(errors.New("--tenant is for a door"), "name the tenant's redirect URI: --redirect-uri")
	}
	s.Origins = c.AppOrigin
	if c.ClientID != "" {
		s.Clients = []doctor.Client{{ID: c.ClientID, RedirectURIs: c.RedirectURI, Through: true}}
	}
	return nil
}

// door is the configuration of one.
func (c *doctorCommand) door(ctx context.Context, s *doctor.Subject) error {
	if c.ClientID != "" || len(c.RedirectURI) > 0 {
		return couldNotLook(errors.New("--client-id and --redirect-uri are for a provider without a door; a door's are in its configuration"), "onedoor doctor --issuer URL --client-id ID --redirect-uri URI")
	}
	cfg, err := config.Load(c.Config, os.LookupEnv)
	if err != nil {
		var problems config.Problems
		if errors.As(err, &problems) && problems.Unreadable() {
			return couldNotLook(errors.New(problems[0].Error()), "name the door's configuration, -c onedoor.yaml; or a provider without a door, --issuer https://auth.example.com/realms/atlas")
		}
		return unread(err)
	}
	s.Kind = cfg.Provider.Kind
	s.Origins = c.AppOrigin
	d := &doctor.Door{File: c.Config, Public: append([]string{cfg.PublicURL}, cfg.PublicAliases...), Internal: cfg.InternalURLs, Upstream: cfg.Provider.Upstream}
	if cfg.Provider.CAFile != "" {
		pem, err := os.ReadFile(cfg.Provider.CAFile)
		if err != nil {
			return couldNotLook(err, "")
		}
		s.CA = append(append(s.CA, '\n'), pem...)
	}
	tenants := c.Tenant
	if len(tenants) == 0 {
		if tenants, err = sample(ctx, cfg); err != nil {
			d.Unasked = "the database of the configuration was not read: onedoor tenant list -c " + c.Config + " says why"
		}
	}
	s.Names = tenants
	d.Issuers = issuersFor(cfg, tenants)
	s.Door = d
	s.Clients = clientsFor(cfg, tenants)
	if len(s.Discovery) == 0 {
		for _, origin := range cfg.InternalURLs {
			for _, issuer := range d.Issuers {
				s.Discovery = append(s.Discovery, origin+strings.TrimPrefix(issuer, cfg.PublicURL))
			}
		}
	}
	return nil
}

// unread is the failure of a command that answers a question by its exit code,
// where the configuration has mistakes: it could not look.
func unread(err error) error {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	return &failure{code: 2, message: problems.Error()} // without it as its cause, which would be a finding
}

// issuersFor are the issuers, and those of the tenants that are looked at.
func issuersFor(cfg *config.Config, tenants []string) (all []string) {
	for _, path := range cfg.Provider.Issuers {
		if !strings.Contains(path, "{tenant}") {
			all = append(all, cfg.IssuerURL(path))
			continue
		}
		for _, label := range tenants {
			all = append(all, cfg.IssuerURL(strings.ReplaceAll(path, "{tenant}", label)))
		}
	}
	return all
}

// clientsFor are the apps, each twice: as the provider knows them, and, through
// the door, as their tenants' sites log in.
func clientsFor(cfg *config.Config, tenants []string) (all []doctor.Client) {
	for _, a := range meaningOf(cfg).Apps {
		app := cfg.Apps[a.Name]
		labels := tenants
		if !strings.Contains(app.Issuer, "{tenant}") {
			labels = []string{""}
		}
		direct := doctor.Client{Name: a.Name, ID: a.ClientID, RedirectURIs: []string{app.RegisteredRedirectURI}, Public: app.Type != "confidential", Pushes: app.RequirePushedAuthorizationRequests}
		through := doctor.Client{Name: a.Name, ID: a.ClientID, Through: true, Ends: map[string]string{}, Public: direct.Public, Pushes: direct.Pushes}
		site := func(label string) string {
			if app.Site == "" || len(app.Callbacks) == 0 {
				return ""
			}
			return strings.ReplaceAll(app.Site, "{tenant}", label) + app.Callbacks[0]
		}
		if app.Mode == "relay" {
			for _, label := range tenants {
				uri := cfg.PublicURL + relayPath(cfg, app) + "/" + label + "/callback"
				through.RedirectURIs = append(through.RedirectURIs, uri)
				through.Ends[uri] = site(label)
			}
			through.Issuer = cfg.IssuerURL(app.Issuer)
			all = append(all, through)
			continue
		}
		for _, label := range labels {
			d := direct
			d.Issuer = cfg.IssuerURL(strings.ReplaceAll(app.Issuer, "{tenant}", label))
			if label != "" {
				d.RedirectURIs = []string{strings.ReplaceAll(app.RegisteredRedirectURI, "{tenant}", label)}
			}
			if cfg.Provider.Embedded == nil {
				all = append(all, d)
			}
			th := through
			th.Issuer, th.Registered = d.Issuer, d.RedirectURIs[0]
			for _, tenant := range tenants {
				if uri := site(tenant); uri != "" && (label == "" || label == tenant) {
					th.RedirectURIs = append(slices.Clone(th.RedirectURIs), uri)
				}
			}
			th.RedirectURIs = append(th.RedirectURIs, app.RedirectURIs...)
			if len(th.RedirectURIs) > 0 {
				all = append(all, th)
			}
		}
	}
	return all
}

// vantages are those that flags name.
func (c *doctorCommand) vantages(t *terminal) (all []doctor.Vantage, err error) {
	seen := map[string]bool{doctor.Here: true, doctor.Browser: true}
	named := func(flag, text string) (name, rest string, err error) {
		name, rest, ok := strings.Cut(text, "=")
		switch {
		case !ok || name == "" || rest == "":
			return "", "", couldNotLook(fmt.Errorf("%s %q is not NAME=…", flag, text), "for example --vantage 'app=docker exec -i app onedoor probe'")
		case strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' }):
			return "", "", couldNotLook(fmt.Errorf("%s: %q cannot be a name", flag, name), "lower-case letters, digits and hyphens")
		case seen[name]:
			return "", "", couldNotLook(fmt.Errorf("%s: the name %q is taken", flag, name), "give each vantage its own name")
		}
		seen[name] = true
		return name, rest, nil
	}
	for _, text := range c.Vantage {
		name, line, err := named("--vantage", text)
		if err != nil {
			return nil, err
		}
		all = append(all, doctor.Command(name, line))
	}
	for _, text := range c.Report {
		name, file, err := named("--report", text)
		if err != nil {
			return nil, err
		}
		all = append(all, doctor.Written(name, func() (io.ReadCloser, error) {
			if file == "-" {
				return io.NopCloser(t.in), nil
			}
			return os.Open(file)
		}))
	}
	if c.Browser {
		host, _, _ := strings.Cut(c.BrowserListen, ":")
		if a, err := netip.ParseAddr(host); err != nil || !a.IsLoopback() {
			return nil, couldNotLook(fmt.Errorf("--browser-listen %s is not a loopback address", c.BrowserListen), "the page is for a browser on this machine: 127.0.0.1:PORT; from another one use ssh -L")
		}
	}
	return all, nil
}

// plan prints what a probe is to look at, for all vantages alike.
func (c *doctorCommand) plan(t *terminal, s doctor.Subject) error {
	name := "app"
	if len(c.Report) > 0 {
		name, _, _ = strings.Cut(c.Report[0], "=")
	}
	p, err := s.Plan(name)
	if err != nil {
		return couldNotLook(err, "")
	}
	text, err := json.Marshal(p)
	if err != nil {
		return couldNotLook(err, "")
	}
	fmt.Fprintf(t.out, "%s\n", text)
	return nil
}

func contextFor(t *terminal, timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.ctx, timeout)
}
