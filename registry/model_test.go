package registry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"onedoor/tenant"
)

// The registry answers as the database would, whatever happens to both, as soon
// as it has followed; and while it cannot follow, as when it last could.
func TestTheRegistryIsTheDatabase(t *testing.T) {
	labels := []string{"a", "b", "c", "acme", "globex"}
	origins := []string{"https://one.example", "https://two.example"}
	apps := []string{"shop", "crm"}
	rapid.Check(t, func(t *rapid.T) {
		db := newDatabase()
		r := New(Options{Source: db})
		var truth map[string]tenant.Tenant // of the last time that it could follow
		restore := db.backup()
		nextID := 0
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				label := rapid.SampledFrom(labels).Draw(t, "label")
				was, there := db.labelled(label)
				in := someTenant(rapid.Just(label)).Draw(t, "tenant")
				in.Sites = nil
				if in.ID = was.ID; !there {
					nextID++
					in.ID = fmt.Sprint("id", nextID)
				}
				for _, app := range apps {
					origin := rapid.SampledFrom(append(origins, "")).Draw(t, app)
					taken := false // one origin is one tenant's, for each app
					for _, other := range db.rows {
						taken = taken || (!other.Removed && other.Tenant.Label != label && other.Tenant.Sites[app] == origin)
					}
					if origin != "" && !taken {
						if in.Sites == nil {
							in.Sites = map[string]string{}
						}
						in.Sites[app] = origin
					}
				}
				db.put(in)
			},
			"remove": func(t *rapid.T) {
				if gone, ok := db.labelled(rapid.SampledFrom(labels).Draw(t, "label")); ok {
					db.remove(gone)
				}
			},
			"another change": func(*rapid.T) {
				db.revision++
				db.made++
				db.past[db.revision] = fmt.Sprint("change ", db.made)
			},
			"back up":  func(*rapid.T) { restore = db.backup() },
			"restore":  func(*rapid.T) { restore(); r.doubtful = true }, // nobody restores under a connection
			"go down":  func(*rapid.T) { db.err = errDown },
			"come up":  func(*rapid.T) { db.err = nil },
			"in pages": func(t *rapid.T) { db.pageMax = rapid.IntRange(0, 3).Draw(t, "page") },
			"follow": func(t *rapid.T) {
				err := r.follow(t.Context())
				if (err != nil) != (db.err != nil) {
					t.Fatalf("following: %v", err)
				}
				if err == nil {
					truth = map[string]tenant.Tenant{}
					for _, c := range db.rows {
						if !c.Removed {
							truth[c.Tenant.Label] = c.Tenant
						}
					}
					if r.Revision() != db.revision || r.Size() != int64(len(truth)) {
						t.Fatalf("revision %d, %d tenants; want %d, %d", r.Revision(), r.Size(), db.revision, len(truth))
					}
				}
			},
			"": func(t *rapid.T) { compare(t, r, truth, labels, apps, origins) },
		})
	})
}

func compare(t *rapid.T, r *Registry, truth map[string]tenant.Tenant, labels, apps, origins []string) {
	if truth == nil {
		return
	}
	owner := map[string]string{}
	for _, label := range labels {
		want, there := truth[label]
		got, err := r.ByLabel(t.Context(), label)
		switch {
		case !there && !errors.Is(err, tenant.ErrUnknown):
			t.Fatalf("%s is %+v, %v; want nobody", label, got, err)
		case there && (err != nil || !cmp.Equal(got, want)):
			t.Fatalf("%s: %v\n%s", label, err, cmp.Diff(want, got))
		}
		for app, origin := range want.Sites {
			owner[app+" "+origin] = label
		}
	}
	sites := 0
	for _, app := range apps {
		for _, origin := range origins {
			got, err := r.BySite(t.Context(), app, origin)
			if want := owner[app+" "+origin]; got.Label != want || (want == "" && !errors.Is(err, tenant.ErrUnknown)) {
				t.Fatalf("%s for %s is %q, %v; want %q; all: %v", origin, app, got.Label, err, want, slices.Collect(maps.Values(truth)))
			}
			if owner[app+" "+origin] != "" {
				sites++
			}
		}
	}
	if n := r.tables.Load().sites.count.Load(); n != int64(sites) {
		t.Fatalf("%d sites are kept, want %d", n, sites)
	}
}
