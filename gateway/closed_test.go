package gateway

import (
	"net/http"
	"testing"

	"onedoor/upstream"
)

// TestRegistrationIsClosedBesideItsEndpointToo: Keycloak takes new clients in
// formats that its document does not name, and names are as operators spell
// them.
func TestRegistrationIsClosedBesideItsEndpointToo(t *testing.T) {
	upper := openDoor(t, setup{upstream: fakeProvider("/Auth/realms/Atlas"), issuers: []string{"/Auth/realms/Atlas"}, kind: upstream.Keycloak})
	for _, path := range []string{
		"/Auth/realms/Atlas/clients-registrations/default", "/Auth/realms/Atlas/Clients-Registrations/install/x",
		"/Auth/realms/Atlas/register/some-client", "/Auth/admin", "/Auth/Admin/realms", "/Auth/realms/master", "/auth/admin",
	} {
		if a := upper.get("auth.example.com", path); a.status != http.StatusForbidden {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	tenants := openRealms(t)
	for _, path := range []string{
		"/realms/acme/clients-registrations/default", "/realms/acme/clients-registrations/openid-connect/some-client",
		"/realms/acme/clients-registrations%2fdefault", "/realms/acme/register/some-client",
	} {
		if a := tenants.get(realmHost, path); a.status != http.StatusForbidden || tenants.last != nil {
			t.Errorf("%s: %d, provider asked: %v", path, a.status, tenants.last != nil)
		}
	}
}

// TestAnEndpointInAnotherCaseIsNotPassed: ASP.NET's providers do not mind the
// case, and the request would reach their endpoint unchecked.
func TestAnEndpointInAnotherCaseIsNotPassed(t *testing.T) {
	one := openDoor(t, setup{upstream: fakeProvider("/realms/Atlas"), issuers: []string{"/realms/Atlas"}})
	for _, path := range []string{"/realms/Atlas/protocol/openid-connect/AUTH", "/realms/atlas/protocol/openid-connect/token", "/REALMS/ATLAS/LOGOUT/", "/realms/Atlas/Register"} {
		if a := one.get("auth.example.com", path+"?client_id=x"); a.status < 400 || a.status > 499 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	tenants := openRealms(t)
	for _, path := range []string{"/realms/acme/AUTH", "/Realms/acme/token", "/REALMS/acme/auth"} {
		if a := tenants.get(realmHost, path+"?client_id=shop"); a.status < 400 || a.status > 499 || tenants.last != nil {
			t.Errorf("%s: %d, provider asked: %v", path, a.status, tenants.last != nil)
		}
	}
}
