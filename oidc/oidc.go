// Package oidc holds the words of the protocol: parameters, error codes and
// provider metadata. It does no I/O and takes no decisions.
//
// Reading starts at [ParseParams].
package oidc
