package config

import (
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"
)

// place is where a value stands in the file.
type place struct{ line, column int }

// remember keeps of what was read what a reload needs: which files to watch, and
// where the values stand of which a change needs a restart.
func (d *decoder) remember(c *Config) {
	c.file, c.files = d.file, d.files
	c.places = map[string]place{}
	for path, n := range d.nodes {
		if !strings.HasPrefix(path, "apps.") && !strings.HasPrefix(path, "tenants.list[") {
			c.places[path] = place{max(n.Line, 1), max(n.Column, 1)}
		}
	}
}

// File is a file at one moment.
type File struct {
	Name string
	Info fs.FileInfo // of what a symlink leads to; nil where it could not be had
}

func lookAt(name string) File {
	info, err := os.Stat(name)
	if err != nil {
		info = nil
	}
	return File{name, info}
}

// Again looks at the file at this moment.
func (f File) Again() File { return lookAt(f.Name) }

// Same says whether nothing has happened to a file between two looks.
func (f File) Same(other File) bool {
	if f.Info == nil || other.Info == nil {
		return f.Name == other.Name && f.Info == nil && other.Info == nil
	}
	return f.Name == other.Name && os.SameFile(f.Info, other.Info) &&
		f.Info.Size() == other.Info.Size() && f.Info.ModTime().Equal(other.Info.ModTime())
}

// Files are the configuration file and those of secrets and authorities that it
// names, as they were just before they were read. Certificates are not among
// them: whoever serves them looks at them.
func (c *Config) Files() []File { return slices.Clone(c.files) }

// Restart names every value of next that a door which runs with c cannot take
// without a restart, with its place in next's file.
func (c *Config) Restart(next *Config) Problems {
	d := differences{next: next}
	d.structs("", reflect.ValueOf(c).Elem(), reflect.ValueOf(next).Elem())
	if len(c.Listeners) != len(next.Listeners) {
		d.say("listeners")
	} else {
		for i, l := range next.Listeners {
			before, path := c.Listeners[i], index("listeners", i)
			if l.Address != before.Address {
				d.say(path + ".address")
			}
			if (l.TLS == nil) != (before.TLS == nil) {
				d.say(path + ".tls")
			}
		}
	}
	if c.Provider.Embedded != nil && next.Provider.Embedded != nil && !slices.Equal(c.Provider.Issuers, next.Provider.Issuers) {
		d.say("provider.issuers")
	}
	if c.Admin.Open != next.Admin.Open {
		d.say("admin")
	}
	d.found.sort()
	return d.found
}

type differences struct {
	next  *Config
	found Problems
}

// structs compares the fields that have the tag.
func (d *differences) structs(path string, a, b reflect.Value) {
	for _, f := range fieldsOf(a.Type()) {
		x, y, at := a.Field(f.index), b.Field(f.index), join(path, f.name)
		switch {
		case f.restart && !reflect.DeepEqual(x.Interface(), y.Interface()):
			d.say(at)
		case x.Kind() == reflect.Struct && x.Type().PkgPath() == a.Type().PkgPath():
			d.structs(at, x, y)
		}
	}
}

func (d *differences) say(path string) {
	p := Problem{File: d.next.file, Line: 1, Column: 1, Path: path, Message: "was changed, and that needs a restart", Hint: "restart the door, or put it back"}
	// A key that is gone, or that is written in another way, has the place of
	// what stands for it.
	for _, at := range []string{path, path + "_file", short(path), parent(path)} {
		if place, ok := d.next.places[at]; ok && at != "" {
			if at == path+"_file" || at == short(path) {
				p.Path = at
			}
			p.Line, p.Column = place.line, place.column
			break
		}
	}
	d.found = append(d.found, p)
}

// short is "listen" for the address of the one listener that it stands for.
func short(path string) string {
	if strings.HasPrefix(path, "listeners") {
		return "listen"
	}
	return path
}
