package config

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// Verify tries every tenant's login again and again, without an account: one of
// the doors asks the provider with prompt=none, follows the answer to the
// tenant's site, and visits that. `onedoor tenant verify` does the same once.
type Verify struct {
	// Every is how long once around all tenants takes; 0s is never. Where `rate`
	// does not allow for it, it takes longer, and the log says so.
	Every time.Duration `yaml:"every" default:"0s" min:"0s" max:"168h" restart:"true" example:"10m"`

	// Rate is how many tenants are tried in a second at most. Each is one
	// authorization request to the provider and a visit to its site. Where the
	// provider becomes slow, it is fewer by itself.
	Rate float64 `yaml:"rate" default:"20" min:"0.01" max:"1000" restart:"true"`

	// Concurrency is how many are tried at one time at most.
	Concurrency int `yaml:"concurrency" default:"4" min:"1" max:"100" restart:"true"`

	// Timeout is how long one may take.
	Timeout time.Duration `yaml:"timeout" default:"20s" min:"1s" max:"5m" restart:"true"`

	// Connect says where sites are found from here, in the place of what the DNS
	// says: `NAME=HOST:PORT`, where NAME is a host, or `*.` and the end of one. The
	// certificate must still be the site's.
	Connect []string `yaml:"connect" restart:"true" example:"['*.example.com=10.0.0.5:443']"`

	// CAFile is a PEM file with certificate authorities that sites' certificates
	// may be of, besides the system's.
	CAFile string `yaml:"ca_file" restart:"true"`
}

func (d *decoder) verify(v *Verify) {
	if v.CAFile != "" {
		v.CAFile = d.resolve(v.CAFile)
		d.certificates("verify.ca_file", v.CAFile)
	}
	for i, text := range v.Connect {
		if _, _, err := ParseConnect(text); err != nil {
			d.wrong(index("verify.connect", i), err.Error(), "for example '*.example.com=10.0.0.5:443'")
		}
	}
}

// ParseConnect reads NAME=HOST:PORT.
func ParseConnect(text string) (name, address string, err error) {
	name, address, ok := strings.Cut(text, "=")
	if !ok || name == "" || strings.Contains(strings.TrimPrefix(name, "*."), "*") && name != "*" {
		return "", "", fmt.Errorf("%q is not NAME=HOST:PORT", text)
	}
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return "", "", fmt.Errorf("%q is not HOST:PORT", address)
	}
	return strings.ToLower(name), address, nil
}

// Connections are where connections to a host are made, by those texts, which
// ParseConnect has read: the first that fits; "" for what its name says.
func Connections(texts []string) func(host, port string) string {
	return func(host, _ string) string {
		host = strings.ToLower(host)
		for _, text := range texts {
			name, address, _ := strings.Cut(text, "=")
			end, wild := strings.CutPrefix(strings.ToLower(name), "*")
			if host == strings.ToLower(name) || wild && strings.HasSuffix(host, end) {
				return address
			}
		}
		return ""
	}
}
