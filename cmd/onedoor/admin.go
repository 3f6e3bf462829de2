package main

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"time"

	"onedoor/admin"
	"onedoor/config"
	"onedoor/domains"
	"onedoor/gateway"
	"onedoor/store"
	"onedoor/tenant"
)

// newChecker looks for the proofs of tenants' own sites.
func newChecker(cfg *config.Config, db *store.DB, log *slog.Logger, now func() time.Time) *domains.Checker {
	return domains.New(domains.Options{
		Store: db, Resolver: domains.NewResolver(cfg.Domains.Resolver), Recheck: cfg.Domains.Recheck, Grace: cfg.Domains.Grace,
		Local: tenant.Local(hostOf(cfg.PublicURL)), Log: log, Now: now,
	})
}

// hostOf is the host of an origin that config accepted.
func hostOf(origin string) string {
	_, authority, _ := strings.Cut(origin, "://")
	return strings.Trim(hostname(authority), "[]")
}

// operate makes the listener for operators part of the door. It stays while
// configurations change.
func (d *door) operate(cfg *config.Config, socket net.Listener) error {
	api := admin.New(admin.Options{
		Store: d.db, Domains: d.checker, Metrics: d.meter.Handler(), OpenMetrics: cfg.Admin.OpenMetrics(), Version: thisBuild().Version, Log: d.log, Now: d.now,
		Rules:    func() *tenant.Directory { return d.current.Load().directory },
		Token:    func() string { return string(d.current.Load().cfg.Admin.Token) },
		KeyTimes: func() admin.KeyTimes { return keyTimesOf(d.current.Load().cfg).shown() },
		Hosts:    adminHosts(cfg.Admin), Rate: float64(cfg.Admin.Rate),
	})
	s := &server{Server: gateway.NewServer(api, d.log, limitsOf(cfg)), listener: -1}
	s.socket = gateway.NewConnections(operators, limitsOf(cfg)).Bound(s.Server, socket)
	if err := s.secure(cfg.Admin.TLS, d.log); err != nil {
		return err
	}
	if s.certificate != nil {
		d.measureCertificate(cfg.Admin.Listen, s.TLSConfig)
	}
	d.servers = append(d.servers, s)
	d.log.Info("listening", slog.String("address", socket.Addr().String()), slog.String("serves", "admin"), slog.Bool("tls", s.certificate != nil))
	return nil
}

// adminHosts are the configured names, and that of the listener itself unless it
// stands for every address.
func adminHosts(a config.Admin) []string {
	var hosts []string
	for _, host := range a.Hosts {
		hosts = append(hosts, strings.Trim(host, "[]"))
	}
	host, _, err := net.SplitHostPort(a.Listen)
	if ip, bad := netip.ParseAddr(host); err == nil && host != "" && (bad != nil || !ip.IsUnspecified()) {
		hosts = append(hosts, strings.ToLower(host))
	}
	return hosts
}

// checkDomains looks at tenants' own sites in the background.
func (d *door) checkDomains(cfg *config.Config) {
	d.checker = newChecker(cfg, d.db, d.log, d.now)
	d.background(func(ctx context.Context) error { return d.checker.Run(ctx) })
}
