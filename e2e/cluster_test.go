//go:build e2e && linux

package e2e

import (
	"crypto/rand"
	"encoding/binary"
	"flag"
	"testing"
	"time"

	"onedoor/e2e/cluster"
	"onedoor/e2e/lab"
)

// Sizes of the cluster test; make cluster CLUSTERFLAGS="…" sets others.
var (
	clusterFor      = flag.Duration("cluster.for", 0, "how long logins go on; at least until every fault was made once")
	clusterSeed     = flag.Uint64("cluster.seed", 0, "of everything that is chosen; 0: another each time")
	clusterPeople   = flag.Int("cluster.people", 12, "people who log in to the provider inside, at one time")
	clusterKeycloak = flag.Int("cluster.keycloak", 4, "people who log in to Keycloak, at one time")
)

// TestNoLoginIsLostAndNobodyRefusedGetsInWhileEverythingAroundFails is three
// replicas on one PostgreSQL behind nginx, and once more three before Keycloak,
// under a stream of logins while replicas are killed and drained, keys rotated,
// tenants added, suspended and removed, and the database is restarted and cut
// off. What is counted, and why, is in e2e/cluster.
func TestNoLoginIsLostAndNobodyRefusedGetsInWhileEverythingAroundFails(t *testing.T) {
	seed := *clusterSeed
	if seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		seed = binary.LittleEndian.Uint64(b[:]) >> 32
	}
	o := cluster.Options{Seed: seed, For: *clusterFor, People: *clusterPeople, KeycloakPeople: *clusterKeycloak, Replicas: 3}
	if o.KeycloakPeople > 0 {
		w := shared(t)
		o.Keycloak = cluster.Keycloak{
			Port: w.port, Upstream: w.keycloak.Origin, Issuer: "/realms/" + realm,
			ClientID: transparentClient, Secret: clientSecret, Username: lab.Username, Password: lab.Password,
		}
	}
	began := time.Now()
	cluster.Run(t, o)
	t.Logf("%.0f s in all", time.Since(began).Seconds())
}
