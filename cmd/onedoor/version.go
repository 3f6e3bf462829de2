package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

type versionCommand struct {
	JSON bool `name:"json" help:"Print JSON."`
}

// build is what the toolchain wrote into the program.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Version: "(devel)", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// Run prints the version on one line.
func (v *versionCommand) Run(t *terminal) error {
	b := thisBuild()
	if v.JSON {
		return t.json(b)
	}
	fmt.Fprintf(t.out, "onedoor %s", b.Version)
	if b.Revision != "" {
		fmt.Fprintf(t.out, " (%.12s, %s)", b.Revision, b.Time)
	}
	fmt.Fprintf(t.out, " %s %s\n", b.Go, b.Platform)
	return nil
}
