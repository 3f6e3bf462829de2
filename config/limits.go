package config

import "time"

// Limits bound what callers, and a slow provider, can take of the door. The
// defaults suit one door of some thousand logins a minute; whoever meets one of
// them gets an answer that says so, never a hanging connection.
type Limits struct {
	// Connections is how many may be open at one time on all listeners
	// together. Beyond it the connection that has been idle longest is closed to
	// make room; while none is idle, further ones wait to be accepted. Each takes
	// up to some 20 KiB of memory and a file descriptor.
	Connections int `yaml:"connections" default:"16384" min:"16" max:"1000000" restart:"true"`

	// HeaderSize bounds the request line and the header fields of a request
	// together (431).
	HeaderSize Size `yaml:"header_size" default:"64KiB" min:"8KiB" max:"1MiB" restart:"true"`

	// URLLength bounds the path and query of a request (414). Above `header_size`
	// it has no effect.
	URLLength Size `yaml:"url_length" default:"16KiB" min:"2KiB" max:"64KiB"`

	// FormSize bounds the bodies that the door reads itself: form posts at the
	// authorization, PAR, token and logout endpoints (413).
	FormSize Size `yaml:"form_size" default:"64KiB" min:"16KiB" max:"1MiB"`

	// BodySize bounds the bodies that are passed to the provider unread (413).
	BodySize Size `yaml:"body_size" default:"64MiB" min:"64KiB" max:"16GiB"`

	// HeaderTimeout is how long a request's header may take from its first
	// octet; on a new connection from its beginning.
	HeaderTimeout time.Duration `yaml:"header_timeout" default:"10s" min:"1s" max:"5m" restart:"true"`

	// FormTimeout is how long a body that the door reads itself may take.
	FormTimeout time.Duration `yaml:"form_timeout" default:"20s" min:"1s" max:"5m"`

	// ReadTimeout is how long a caller may send nothing in the middle of a body
	// that is passed on. A body that keeps coming may take as long as it takes.
	ReadTimeout time.Duration `yaml:"read_timeout" default:"1m" min:"1s" max:"1h"`

	// WriteTimeout is how long a caller may take nothing of an answer that
	// waits to be sent. Streams and WebSockets with nothing to send are not
	// bounded by it.
	WriteTimeout time.Duration `yaml:"write_timeout" default:"1m" min:"1s" max:"1h" restart:"true"`

	// IdleTimeout is how long a connection is kept without a request. Longer
	// than the balancer before the door keeps it, so that the balancer closes
	// first.
	IdleTimeout time.Duration `yaml:"idle_timeout" default:"3m" min:"1s" max:"1h" restart:"true"`

	// ProviderRequests is how many requests may wait for the provider's answer
	// at one time; further ones get 503 at once. An answer that has begun does
	// not count any more.
	ProviderRequests int `yaml:"provider_requests" default:"512" min:"1" max:"100000"`

	// ProviderTimeout is how long the provider may take to begin an answer
	// (504). The provider inside keeps the time that it was started with.
	ProviderTimeout time.Duration `yaml:"provider_timeout" default:"1m" min:"1s" max:"10m"`
}

// Size is a number of octets.
type Size int64
