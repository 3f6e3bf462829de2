//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
)

// curl are the header fields of a small client; browser those that Chromium
// sends with a navigation, a session cookie among them. A server that takes
// each field apart pays for each.
const (
	curl    = "User-Agent: bench\r\nAccept: */*\r\n"
	browser = "Connection: keep-alive\r\n" +
		"Cache-Control: max-age=0\r\n" +
		"Upgrade-Insecure-Requests: 1\r\n" +
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8\r\n" +
		"Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nSec-Fetch-Dest: document\r\n" +
		"Referer: http://auth.example.test/\r\n" +
		"Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-GB,en;q=0.9\r\n" +
		"Cookie: AUTH_SESSION_ID=0f6c1b9e-4a57-4a0e-9d0b-6a3f6f0c2f10.node-1; KEYCLOAK_SESSION=atlas/5d1f4f3e-9f0b-4d55-8d8e-0a2c1c9e6b7a\r\n"
)

func get(s *subject, target, headers string) []byte {
	host := strings.TrimPrefix(s.origin, "http://")
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", target, host, headers)
}

// query is a response of Keycloak's: 128 bits of code and session, a state of
// the app's, the issuer. Its octets are to arrive as they are.
const query = "state=Zm9vYmFy%2Bc3RhdGU-0123456789abcdef&session_state=5d1f4f3e-9f0b-4d55-8d8e-0a2c1c9e6b7a" +
	"&iss=https%3A%2F%2Fauth.example.com%2Frealms%2Fatlas&code=0f6c1b9e-4a57-4a0e-9d0b-6a3f6f0c2f10.5d1f4f3e-9f0b-4d55-8d8e-0a2c1c9e6b7a.b0c1d2e3"

func relayed(s *subject, tenant, headers string) exchange {
	return exchange{
		request:  get(s, "/tenants/"+tenant+"/callback?"+query, headers),
		status:   http.StatusFound,
		location: "https://" + tenant + ".example.com/api/auth/callback?" + query,
	}
}

func firstRelay(s *subject) exchange { return relayed(s, s.tenants[0], curl) }

// relays is the work of a relay: tenants in no order, so that a large table is
// not answered from a small cache.
func relays(s *subject, headers string) []exchange {
	const most = 1 << 14
	var work []exchange
	for _, i := range rand.Perm(len(s.tenants))[:min(most, len(s.tenants))] {
		work = append(work, relayed(s, s.tenants[i], headers))
	}
	return work
}

func proxied(s *subject) exchange {
	return exchange{request: get(s, "/realms/atlas/account/", curl), status: http.StatusOK, length: bodySize}
}
