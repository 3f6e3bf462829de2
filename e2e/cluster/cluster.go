//go:build linux

// Package cluster is a stream of real logins through several doors on one
// database behind nginx, while doors are killed and drained, keys rotated,
// tenants added, suspended and removed, and the database is restarted and cut
// off; and the account of what became of each login.
//
// Reading starts at Run. login.go is one login, timeline.go the judge of whether
// a refusal was right, ledger.go the account, chaos.go what goes wrong and when.
package cluster

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"onedoor/e2e/lab"
)

// Bounds that are promised.
const (
	// effective is how long after its acknowledgement a change may take to be
	// known on every replica that has the database. The promise is one second; the
	// rest is for a machine with two cores for everything that runs here, and for
	// others on it. The account says how long it took.
	effective = promised + 2*time.Second
	promised  = time.Second
	// staleAfter is tenants.stale_after of the replicas: how long one that lost
	// the database may answer from what it knew. The default is longer; the test
	// would be, too.
	staleAfter = 10 * time.Second
	// strangeKey is how long a value may wait that names a key which the replica
	// does not know, while the database does not answer.
	strangeKey = 3 * time.Second
	// margin is for what the test's own clock and a busy machine add to
	// staleAfter.
	margin = time.Second
)

// Options say how large the test is.
type Options struct {
	Seed   uint64        // of everything that is chosen
	For    time.Duration // of the stream of logins; longer where faults are left to be made
	People int           // at the fleet of the provider inside
	// KeycloakPeople are those at the fleet before Keycloak.
	KeycloakPeople int
	Replicas       int
	Keycloak       Keycloak

	postgres string // host:port
	sitePort int    // of every tenant's site
}

// Keycloak is a real one, that knows the client with the redirect URI of a door
// at that port.
type Keycloak struct {
	Port               int // of the public origin
	Upstream, Issuer   string
	ClientID, Secret   string
	Username, Password string
}

const (
	clientID = "atlas-web"
	secret   = "a secret of the client's" //nolint:gosec // of a client that lives as long as its test
	password = "correct horse battery"
)

// config is a replica's file.
func (o Options) config(public string, r *replica, provider, database string) string {
	return fmt.Sprintf(`public_url: %s
listeners:
  - {address: "%s", serves: [public, internal], trusted_proxies: [127.0.0.0/8]}
provider: %s
apps:
  atlas:
    client_id: %s
    site: http://{tenant}.localhost:%d
    callbacks: [/callback]
tenants: {stale_after: %s}
database: %s
admin: {listen: "%s", token: %s}
log: {level: info}
`, public, r.address, provider, clientID, o.sitePort, staleAfter, database, r.admin, adminToken)
}

// cluster is everything that stands.
type cluster struct {
	Options
	scope     lab.Scope
	rng       *rand.Rand // the schedule's
	began     time.Time
	db        *lab.Postgres
	fleets    []*fleet
	replicas  []*replica // of all fleets
	line      *timeline
	disturbed *disturbances
	spread    *propagation
	office    *office
	pool      *pool

	reloads int

	mu       sync.Mutex
	happened []string // what the schedule did, in order
	findings []string // what was wrong, beside the ledgers
	marks    map[string]time.Duration
}

// Run runs the test and prints its account; what is wrong fails the scope.
func Run(s lab.Scope, o Options) {
	s.Helper()
	s.Logf("cluster: seed %d", o.Seed)
	c := &cluster{
		Options: o, scope: s, rng: rand.New(rand.NewPCG(o.Seed, 1)), //nolint:gosec // repeatable, that is the point
		line: newTimeline(effective, staleAfter+margin), disturbed: &disturbances{}, marks: map[string]time.Duration{},
	}
	c.spread = &propagation{disturbed: c.disturbed}
	c.build()
	c.began = time.Now()
	accounted := false
	defer func() {
		if !accounted { // something ended the test
			s.Logf("until then:\n  %s", strings.Join(c.happened, "\n  "))
		}
	}()
	c.live()
	c.settle()
	for _, r := range c.replicas { // so that their logs are whole; and before the database, which waits for them
		if err := r.current().Terminate(); err != nil {
			c.wrong("%s ended with %v", r.name, err)
		}
	}
	accounted = true
	c.account()
}

// build starts the database and the fleets.
func (c *cluster) build() {
	c.scope.Helper()
	c.db = lab.StartPostgres(quiet{c.scope})
	c.postgres = fmt.Sprintf("127.0.0.1:%d", c.db.Port)
	c.sitePort = serveSite(c.scope)
	database := c.db.Database(c.scope)
	inside := newFleet(c.scope, c.Options, "embedded", lab.FreePort(c.scope), "{embedded: {}}", database, c.Replicas)
	c.fleets = []*fleet{inside}
	r := inside.replicas[0]
	c.command(secret, "client", "add", "-c", r.file, "--app", "atlas", "--secret-stdin")
	for i := range (c.People + 3) / 4 { // four people share an account
		c.command(password, "user", "add", "-c", r.file, "--password-stdin", fmt.Sprintf("person%d", i))
	}
	c.command(lab.Password, "user", "add", "-c", r.file, "--password-stdin", lab.Username) // for the browser
	c.meet(inside, inside.public, clientID, secret, password)
	if k := c.Keycloak; c.KeycloakPeople > 0 {
		before := newFleet(c.scope, c.Options, "keycloak", k.Port, fmt.Sprintf("{upstream: %q, issuers: [%s]}", k.Upstream, k.Issuer), database, c.Replicas)
		c.meet(before, before.public+k.Issuer, k.ClientID, k.Secret, k.Password)
		c.fleets = append(c.fleets, before)
	}
	for _, f := range c.fleets {
		c.replicas = append(c.replicas, f.replicas...)
	}
	c.office = newOffice(c.replicas, c.line)
	c.pool = &pool{}
}

// command runs onedoor.
func (c *cluster) command(stdin string, args ...string) {
	c.scope.Helper()
	cmd := exec.Command(lab.DoorProgram(c.scope), args...)
	cmd.Stdin = strings.NewReader(stdin + "\n")
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.scope.Fatalf("onedoor %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// meet makes the crowd of a fleet.
func (c *cluster) meet(f *fleet, issuer, clientID, secret, password string) {
	c.scope.Helper()
	w := f.crowd
	w.issuer, w.clientID, w.secret, w.password = issuer, clientID, secret, password
	w.site = fmt.Sprintf("http://%%s.localhost:%d", c.sitePort)
	w.line, w.patience, w.thinking = c.line, 20*time.Second, time.Second
	ctx := oidc.ClientContext(context.Background(), lab.HTTPClient(lab.DialTo(lab.Here, f.front)))
	var err error
	if w.provider, err = oidc.NewProvider(ctx, issuer); err != nil {
		c.scope.Fatalf("%s: %v", f.name, err)
	}
}

// say notes what the schedule does.
func (c *cluster) say(format string, args ...any) {
	line := fmt.Sprintf("%6.2f s  ", time.Since(c.began).Seconds()) + fmt.Sprintf(format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.happened = append(c.happened, line)
}

// wrong notes a finding, which fails the test at its end.
func (c *cluster) wrong(format string, args ...any) {
	c.say("WRONG: "+format, args...)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.findings = append(c.findings, fmt.Sprintf(format, args...))
}

// mark keeps the longest of a time that is worth a line in the account.
func (c *cluster) mark(what string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.marks[what] = max(c.marks[what], took)
}

// pool are the tenants that people log in to.
type pool struct {
	mu      sync.Mutex
	steady  []string // active from beginning to end
	passing []string // those that come and go, the newest last
}

const passingKept = 6

func (p *pool) add(tenant string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passing = append(p.passing, tenant)
	p.passing = p.passing[max(0, len(p.passing)-passingKept):]
}

// pick is the tenant of a person's next login.
func (p *pool) pick(rng *rand.Rand) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.steady
	if len(p.passing) > 0 && rng.IntN(5) < 2 {
		from = p.passing
	}
	return from[rng.IntN(len(from))]
}
