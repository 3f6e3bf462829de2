package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// maxFile bounds the file: some fifty thousand tenants in `list`.
const maxFile = 1 << 20

// Load reads the configuration file and validates all of it. getenv answers
// ${VAR} (os.LookupEnv; nil: no variable is set).
//
// The error is a Problems list with every mistake of the file.
func Load(path string, getenv func(string) (string, bool)) (*Config, error) {
	seen := lookAt(path)
	data, err := readBounded(path, maxFile)
	if err != nil {
		p := Problem{File: path, Message: reason(err), cause: err}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			p.Message = "there is no such file"
			p.Hint = "write one (onedoor.example.yaml is a start) or name it with -c FILE"
		case errors.Is(err, fs.ErrPermission):
			p.Hint = "make it readable for the user that runs onedoor"
		case errors.Is(err, errTooLarge):
			p.Message = fmt.Sprintf("is larger than %d bytes", maxFile)
			p.Hint = "list fewer tenants, or admit any label that fits (tenants.admit: any)"
		}
		return nil, Problems{p}
	}
	c, err := Parse(path, data, getenv)
	if err == nil {
		c.files = append([]File{seen}, c.files...)
	}
	return c, err
}

// Parse is Load for a file that is already in memory. Its name is the File of
// every problem, and its folder the one that relative file names start from.
func Parse(name string, data []byte, getenv func(string) (string, bool)) (*Config, error) {
	if getenv == nil {
		getenv = func(string) (string, bool) { return "", false }
	}
	d := &decoder{file: name, getenv: getenv, nodes: map[string]*yaml.Node{}, said: map[string]bool{}}
	c := &Config{}
	if root := d.parse(data); root != nil {
		d.refuseIndirection(root)
		d.value(root, "", structOf(c), field{})
		d.validate(c)
	}
	if len(d.problems) > 0 {
		d.problems.sort()
		return nil, d.problems
	}
	d.remember(c)
	return c, nil
}

// parse gives the root of the file's one document, or nil after a problem.
func (d *decoder) parse(data []byte) *yaml.Node {
	// The YAML reader reports bad octets without a place: look first.
	if line, column, ok := firstBadOctet(data); !ok {
		d.at(line, column, "", "is not UTF-8 text", "save the file as UTF-8")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithUniqueKeys(false))
	if err != nil {
		d.at(1, 1, "", err.Error(), "")
		return nil
	}
	var doc yaml.Node
	if err := loader.Load(&doc); err != nil {
		d.notYAML(err)
		return nil
	}
	var second yaml.Node
	if err := loader.Load(&second); err == nil {
		d.at(max(second.Line, 1), max(second.Column, 1), "", "a second document begins here", "keep one document in the file: remove the line ---")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.notYAML(err)
		return nil
	}
	if len(doc.Content) != 1 || doc.Content[0].Tag == "!!null" {
		d.at(1, 1, "", "the file says nothing", "at least public_url, listen and provider are needed; see onedoor.example.yaml")
		return nil
	}
	return doc.Content[0]
}

func (d *decoder) notYAML(err error) {
	if errors.Is(err, io.EOF) {
		d.at(1, 1, "", "the file is empty", "at least public_url, listen and provider are needed; see onedoor.example.yaml")
		return
	}
	var bad *yaml.LoadError
	if !errors.As(err, &bad) {
		d.at(1, 1, "", "is not YAML: "+err.Error(), "")
		return
	}
	message := "is not YAML: " + bad.Message
	if bad.ContextMsg != "" {
		message += " " + bad.ContextMsg
	}
	hint := ""
	switch {
	case strings.Contains(bad.Message, "cannot start any token"):
		hint = "indent with spaces, not tabs, and quote texts that begin with @, ` or %"
	case strings.Contains(bad.Message, "mapping values are not allowed"):
		hint = `put quotes around a text that holds ": "`
	case strings.Contains(bad.Message, "',' or"):
		hint = `close the bracket, and put quotes around "${VAR}" and "{tenant}" inside [ ] and { }`
	case strings.Contains(bad.Message, "anchor"):
		// It names the anchor, which may be a secret that wants quotes.
		message, hint = "the anchor or alias is not supported", noAnchors
	}
	d.at(max(bad.Mark.Line, 1), max(bad.Mark.Column, 1), "", message, hint)
}

// firstBadOctet gives the place of the first octet that is not UTF-8.
func firstBadOctet(data []byte) (line, column int, ok bool) {
	line, column = 1, 1
	for len(data) > 0 {
		r, n := utf8.DecodeRune(data)
		switch {
		case r == utf8.RuneError && n == 1:
			return line, column, false
		case r == '\n':
			line, column = line+1, 1
		default:
			column++
		}
		data = data[n:]
	}
	return line, column, true
}

var errTooLarge = errors.New("file is too large")

// readBounded reads a file of at most limit octets. A device or pipe that never
// ends is read no further than that.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, errTooLarge
	}
	return data, nil
}

// resolve gives a file name of the configuration relative to its folder, so
// that the file means the same wherever the command is started.
func (d *decoder) resolve(name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(d.file), name)
}
