// Package docs holds the pages that a program quotes, so that what it says and
// what people read are one text. It knows nothing of their meaning.
package docs

import _ "embed"

// Troubleshooting is docs/troubleshooting.md.
//
//go:embed troubleshooting.md
var Troubleshooting string
