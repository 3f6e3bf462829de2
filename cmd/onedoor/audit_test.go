package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onedoor/admin"
	"onedoor/store"
	"onedoor/tenant"
)

func TestADoorRemovesOldEntriesOfTheAuditLog(t *testing.T) {
	file := write(t, "public_url: http://auth.localhost:9000\nlisten: 127.0.0.1:0\nprovider: {embedded: {}}\naudit: {keep: 1h}\n")
	long := func() time.Time { return time.Now().Add(-72 * time.Hour) } // the last two days stay in any case
	db, err := store.Open(t.Context(), string(parse(t, file).Database), store.Options{Now: long})
	if err != nil {
		t.Fatal(err)
	}
	acme := store.TenantPut{Tenant: store.Tenant{Tenant: tenant.Tenant{Label: "acme"}}}
	if _, err := db.PutTenants(t.Context(), operator(), []store.TenantPut{acme}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	r := startReplica(t, file, time.Now)
	until(t, "the entry to go", func() bool {
		entries, err := r.db.Audit(t.Context(), store.AuditQuery{Tenant: "acme"})
		if err != nil {
			t.Fatal(err)
		}
		return len(entries) == 0
	})
}

func TestAnAuditLogThatIsKeptForEverIsNotLookedAt(t *testing.T) {
	tasks := func(keep string) int {
		file := write(t, "public_url: http://auth.localhost:9000\nlisten: 127.0.0.1:0\nprovider: {embedded: {}}\naudit: {keep: "+keep+"}\n")
		cfg := parse(t, file)
		db, err := openStore(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		d, err := newDoor(t.Context(), cfg, db, slog.New(slog.DiscardHandler), doorOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.close() })
		return len(d.tasks)
	}
	if year, ever := tasks("8760h"), tasks("0s"); ever != year-1 {
		t.Errorf("%d tasks, and %d where it is kept for ever", year, ever)
	}
}

func TestTheAuditLogIsReadThroughTheAPIToo(t *testing.T) {
	operators, dir := freePort(t), t.TempDir()
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte(adminToken), 0o600); err != nil {
		t.Fatal(err)
	}
	r := startServe(t, fmt.Sprintf("public_url: http://auth.localhost:9000\nlisten: 127.0.0.1:0\nprovider: {embedded: {}}\ndatabase: %s\nadmin: {listen: \"127.0.0.1:%d\", token: %s}\n",
		filepath.Join(dir, "onedoor.db"), operators, adminToken))
	until(t, "the admin API", func() bool { return strings.Contains(r.err.String(), `"serves":"admin"`) })
	where := []string{"--server", fmt.Sprintf("http://127.0.0.1:%d", operators), "--token-file", token}
	ask := func(args ...string) string {
		t.Helper()
		code, out, errs := command(t, append(args, where...)...)
		if code != 0 {
			t.Fatalf("%v: %s", args, errs)
		}
		return out
	}
	ask("tenant", "add", "acme")
	var list []admin.Entry
	if err := json.Unmarshal([]byte(ask("audit", "list", "--actor", "admin.token", "--json")), &list); err != nil || len(list) != 1 || list[0].Subject != "tenant/acme" {
		t.Fatalf("%+v %v", list, err)
	}
	if out := ask("audit", "show", fmt.Sprint(list[0].ID)); !strings.Contains(out, "admin.token, by api") || !strings.Contains(out, `"acme"`) {
		t.Error(out)
	}
}
