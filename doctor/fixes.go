package doctor

import (
	"fmt"
	"net/url"
	"strings"
)

// What to do, as lines of text; what can be pasted is in configuration.go.

// nameFix is for a name that leads nowhere in the app's network.
func (c *examination) nameFix(p place, v Visit) []string {
	name := hostname(v.URL)
	switch {
	case p.vantage == Here && private(name) && !local(name):
		return []string{
			name + " is a name of the private network: browsers do not know it either",
			"the issuer must be an address that browsers can open; the app may fetch its document elsewhere: --issuer PUBLIC --discovery " + documentURL(p.seen.Base.URL),
		}
	case p.vantage == Here:
		return []string{"enter " + name + " into the DNS, or for a test into /etc/hosts"}
	case c.Door != nil:
		return []string{
			"let the app fetch the document at one of internal_urls; clients that insist on the public name: make " + name + " an alias of the door in the app's network (docs/README.md, the public name inside)",
		}
	}
	return []string{
		"make " + name + " lead to the provider's proxy in that network too: a network alias (compose), a CoreDNS rewrite or hostAliases (Kubernetes), its internal address in /etc/hosts",
		"or put a door before the provider, whose document names addresses that each side can reach",
	}
}

// loopbackFix is for a name that leads to the caller itself.
func (c *examination) loopbackFix(p place, v Visit) []string {
	name := hostname(v.URL)
	fix := []string{fmt.Sprintf("inside a container %s is the container itself: do not map it to 127.0.0.1 there (/etc/hosts, extra_hosts)", name)}
	if name == "localhost" || isLoopback(name) {
		fix = []string{"inside a container " + name + " is the container itself: tell the app the provider's name in that network, as http://keycloak:8080"}
	}
	return append(fix, c.nameFix(p, v)...)
}

func (c *examination) refusedFix(p place, v Visit) []string {
	if other := c.elsewhere(p, v); other != "" {
		return []string{"the same address answers " + other + ": a firewall rejects " + c.whose(p) + ", or the port is published for one interface alone"}
	}
	return []string{"start what should listen at " + hostOf(v.URL) + ", or correct the port"}
}

func (c *examination) upstreamFix(v Visit) []string {
	fix := []string{"correct provider.upstream in " + c.Door.File + ": the address at which the door's machine reaches the provider"}
	switch {
	case isLoopback(hostname(v.URL)) || hostname(v.URL) == "localhost":
		fix = append(fix, "in a container, localhost is the container itself: use the provider's service name")
	case v.Failure == failRefused:
		fix = append(fix, "or start the provider: nothing listens at "+hostOf(v.URL))
	}
	return fix
}

// frontFix is for an address that browsers are sent to and can't open.
func (c *examination) frontFix(at string) []string {
	switch {
	case c.Door != nil:
		return []string{"the provider must know its public name: " + c.hostnameSetting(c.Door.Public[0])}
	case private(hostname(at)):
		return []string{
			"browsers cannot open " + originOf(at) + ": give the provider its public name (" + c.hostnameSetting(originOf(c.Issuer)) + ")",
			"or put a door before it, whose document names the public origin for browsers and the internal one for servers",
		}
	}
	return []string{"browsers must be able to open " + originOf(at)}
}

// hostnameSetting is how a provider is told its public name.
func (c *examination) hostnameSetting(origin string) string {
	switch c.Kind {
	case "keycloak":
		return "Keycloak: --hostname=" + origin
	case "authentik":
		return "authentik has no such setting and follows the Host: only ever ask it under " + origin
	}
	return "its setting for the public or external URL: " + origin
}

// forwardedSetting is how a provider is told to believe its proxy.
func (c *examination) forwardedSetting() string {
	switch c.Kind {
	case "keycloak":
		return "Keycloak: --proxy-headers=xforwarded"
	case "authentik":
		return "authentik: AUTHENTIK_LISTEN__TRUSTED_PROXY_CIDRS with the proxy's network"
	}
	return "its setting for trusted proxies"
}

const nginxHeaders = "nginx: proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;"

// lastSegment is the end of a path: a realm's or an application's name.
func lastSegment(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return text
	}
	path := strings.TrimSuffix(strings.TrimSuffix(u.Path, wellKnown), "/")
	return path[strings.LastIndexByte(path, '/')+1:]
}
