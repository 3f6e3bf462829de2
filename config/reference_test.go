package config

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/invopop/jsonschema"
)

//go:generate go test -run "^TestTheReferenceIsCurrent$" . -update

// TestTheReferenceIsCurrent compares docs/config.md and the JSON Schema with the
// types and comments of config.go, or writes them with -update.
func TestTheReferenceIsCurrent(t *testing.T) {
	says := comments(t)
	golden(t, "../docs/config.md", reference(t, says))
	golden(t, "../docs/onedoor.schema.json", schema(t, says))
}

// TestEveryKeyIsExplained holds the comments to what a reference needs.
func TestEveryKeyIsExplained(t *testing.T) {
	says := comments(t)
	for _, s := range sections() {
		if says(s.typ, "") == "" {
			t.Errorf("%s has no comment", s.typ)
		}
		for _, f := range fieldsOf(s.typ) {
			name := s.typ.Field(f.index).Name
			if text := says(s.typ, name); !strings.HasSuffix(text, ".") {
				t.Errorf("%s.%s: %q is not a sentence", s.typ, name, text)
			}
		}
	}
}

// section is a struct of the file and where it stands.
type section struct {
	path string
	typ  reflect.Type
}

// sections are the file's structs, each before those inside it.
func sections() []section {
	var out []section
	var walk func(path string, t reflect.Type)
	walk = func(path string, t reflect.Type) {
		out = append(out, section{path, t})
		for _, f := range fieldsOf(t) {
			inner, suffix := elementOf(f.typ)
			if inner.Kind() == reflect.Struct && inner.PkgPath() == t.PkgPath() {
				walk(strings.TrimPrefix(path+"."+f.name, ".")+suffix, inner)
			}
		}
	}
	walk("", reflect.TypeFor[Config]())
	return out
}

// comments reads the sources. Its answer gives the comment of a type, or of a
// type's field, as a sentence without the Go name that it begins with.
func comments(t *testing.T) func(typ reflect.Type, name string) string {
	t.Helper()
	var decls []ast.Decl
	for _, name := range []string{"config.go", "limits.go", "observe.go", "verify.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		decls = append(decls, file.Decls...)
	}
	texts := map[string]string{}
	for _, decl := range decls {
		g, ok := decl.(*ast.GenDecl)
		if !ok || g.Tok != token.TYPE {
			continue
		}
		spec := g.Specs[0].(*ast.TypeSpec)
		texts[spec.Name.Name] = g.Doc.Text()
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				texts[spec.Name.Name+"."+f.Names[0].Name] = f.Doc.Text()
			}
		}
	}
	return func(typ reflect.Type, name string) string {
		if name == "" {
			return sentence(texts[typ.Name()], typ.Name())
		}
		return sentence(texts[typ.Name()+"."+name], name)
	}
}

func sentence(text, name string) string {
	text = strings.Join(strings.Fields(text), " ")
	text = strings.TrimPrefix(text, name+" ")
	for _, verb := range []string{"is ", "are "} {
		text = strings.TrimPrefix(text, verb)
	}
	for i, r := range text {
		return string(unicode.ToUpper(r)) + text[i+len(string(r)):]
	}
	return ""
}

const intro = `<!-- Made from the comments in config/config.go by go generate ./config. -->

# The configuration

onedoor reads one YAML file, ` + "`onedoor.yaml`" + ` unless ` + "`-c FILE`" + ` or ` + "`ONEDOOR_CONFIG`" + ` names another.

    onedoor check -c onedoor.yaml

says what a file means, or every mistake in it at once: file, line, column, what is wrong and what
to do. Unknown keys, keys given twice and values of the wrong type are mistakes.

- **Variables.** ` + "`${VAR}` and `${VAR:-default}`" + ` in a value read the environment; ` + "`$${`" + ` is a literal
  ` + "`${`" + `. A value stays one value whatever the variable holds. A variable that is not set and has no
  default is a mistake. Inside ` + "`[ ]` and `{ }`" + ` put quotes around it.
- **Secrets** can be given by value or, as ` + "`…_file`" + `, as the name of a file that holds them. Where the file
  does neither, the environment is asked: of ` + "`admin.token`, `ONEDOOR_ADMIN_TOKEN`" + `.
- **File names** are relative to the folder of the configuration file.
- **Durations** are numbers with a unit: ` + "`30s`, `2m`, `1h`" + `.
- **Sizes** are numbers of octets, with or without a unit: ` + "`65536`, `64KiB`, `2MiB`" + `.
- **A running door** takes a changed file by itself within some seconds, and at once on SIGHUP: all of it, or nothing
  where anything in it is wrong. See [running the door](deploy/operations.md#changing-the-configuration).
- YAML anchors, aliases, merge keys and tags are not supported, and one file holds one document of
  at most 1 MiB.

Editors that know JSON Schema complete and check the file with [onedoor.schema.json](onedoor.schema.json):
begin it with ` + "`# yaml-language-server: $schema=PATH/onedoor.schema.json`" + `.

## The least that works

` + "```yaml" + `
public_url: https://auth.example.com
listen: :9000
provider: {upstream: http://keycloak:8080, issuers: [/realms/atlas]}
apps:
  atlas:
    client_id: atlas-web
    site: https://{tenant}.example.com
    callbacks: [/api/auth/callback]
tenants: {list: [acme, globex]}
` + "```" + `

Every key is below; [the whole example](#the-whole-example) is at the end.
`

func reference(t *testing.T, says func(reflect.Type, string) string) string {
	var b strings.Builder
	b.WriteString(intro)
	for _, s := range sections() {
		if s.path == "" {
			b.WriteString("\n## The top of the file\n")
		} else {
			fmt.Fprintf(&b, "\n## `%s`\n\n%s\n", s.path, says(s.typ, ""))
		}
		fields := fieldsOf(s.typ)
		if len(fields) == 0 {
			b.WriteString("\nIt has no keys yet: `{}`.\n")
			continue
		}
		b.WriteString("\n| key | type | default | meaning |\n|---|---|---|---|\n")
		for _, f := range fields {
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.name, typeName(s.path, f), defaultText(f),
				strings.ReplaceAll(meaningText(says(s.typ, s.typ.Field(f.index).Name), f), "|", `\|`))
		}
	}
	example, err := os.ReadFile("../onedoor.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&b, "\n## The whole example\n\n```yaml\n%s```\n", example)
	return b.String()
}

func typeName(path string, f field) string {
	inner, suffix := elementOf(f.typ)
	name := map[reflect.Type]string{
		reflect.TypeFor[string](): "text", reflect.TypeFor[Secret](): "text, secret", reflect.TypeFor[bool](): "true or false",
		reflect.TypeFor[time.Duration](): "duration", reflect.TypeFor[netip.Prefix](): "network",
		reflect.TypeFor[int](): "number", reflect.TypeFor[float64](): "number", reflect.TypeFor[Size](): "size",
	}[inner]
	if name == "" {
		at := strings.TrimPrefix(path+"."+f.name, ".") + suffix
		anchor := strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) || r == '_' || r == '-' {
				return unicode.ToLower(r)
			}
			return -1
		}, at)
		name = fmt.Sprintf("[section](#%s)", anchor)
	}
	switch {
	case strings.HasPrefix(suffix, "[]"):
		return "list: " + name
	case suffix != "":
		return "table: " + name
	}
	return name
}

func defaultText(f field) string {
	switch {
	case f.required:
		return "required"
	case f.fallback != "":
		return "`" + f.fallback + "`"
	case f.typ.Kind() == reflect.Bool:
		return "`false`"
	}
	return ""
}

func meaningText(text string, f field) string {
	if slices.ContainsFunc(f.enum, func(e string) bool { return !strings.Contains(text, "`"+e+"`") }) {
		text += " One of `" + strings.Join(f.enum, "`, `") + "`."
	}
	if f.min != "" {
		text += fmt.Sprintf(" From %s to %s.", f.min, f.max)
	}
	if f.restart {
		text += " A change needs a restart."
	}
	if f.example != "" {
		text += " Example: `" + f.example + "`."
	}
	return text
}

// variable is what a value may be in place of what its key demands.
const variable = `\$\{`

func schema(t *testing.T, says func(reflect.Type, string) string) string {
	reflector := jsonschema.Reflector{
		FieldNameTag: "yaml", DoNotReference: true, ExpandedStruct: true, RequiredFromJSONSchemaTags: true, Anonymous: true,
		LookupComment: says,
		Mapper: func(typ reflect.Type) *jsonschema.Schema {
			switch typ {
			case reflect.TypeFor[time.Duration]():
				return &jsonschema.Schema{Type: "string", Pattern: `^([0-9.]+(ms|s|m|h))+$|` + variable}
			case reflect.TypeFor[int]():
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer"}, {Type: "string", Pattern: variable}}}
			case reflect.TypeFor[float64]():
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "number"}, {Type: "string", Pattern: variable}}}
			case reflect.TypeFor[Size]():
				return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{{Type: "integer"}, {Type: "string", Pattern: `^[0-9]+([KMG]iB)?$|` + variable}}}
			case reflect.TypeFor[netip.Prefix](), reflect.TypeFor[Secret]():
				return &jsonschema.Schema{Type: "string"}
			}
			return nil
		},
	}
	root := reflector.ReflectFromType(reflect.TypeFor[Config]())
	root.Title, root.Description = "onedoor.yaml", "The configuration of onedoor. docs/config.md says the same for people."
	refine(root, reflect.TypeFor[Config]())
	root.OneOf = exactlyOne("listen", "listeners")
	provider, _ := root.Properties.Get("provider")
	provider.OneOf = exactlyOne("upstream", "embedded")
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

func exactlyOne(a, b string) []*jsonschema.Schema {
	return []*jsonschema.Schema{{Required: []string{a}}, {Required: []string{b}}}
}

// refine adds what this package's own tags say.
func refine(s *jsonschema.Schema, t reflect.Type) {
	for _, f := range fieldsOf(t) {
		p, ok := s.Properties.Get(f.name)
		if !ok {
			panic("the schema has no " + f.name)
		}
		if f.required {
			s.Required = append(s.Required, f.name)
		}
		inner, _ := elementOf(f.typ)
		switch value := leaf(p); {
		case inner.Kind() == reflect.Struct && inner.PkgPath() == t.PkgPath():
			refine(value, inner)
		case len(f.enum) > 0:
			enum := make([]any, len(f.enum))
			for i, e := range f.enum {
				enum[i] = e
			}
			value.AnyOf = []*jsonschema.Schema{{Enum: enum}, {Pattern: variable}}
		case inner.Kind() == reflect.Bool:
			value.Type, value.AnyOf = "", []*jsonschema.Schema{{Type: "boolean"}, {Type: "string", Pattern: variable}}
		}
		switch {
		case f.fallback != "" && f.typ.Kind() == reflect.Bool:
			p.Default = f.fallback == "true"
		case f.fallback != "":
			p.Default = f.fallback
		}
	}
}

// leaf walks through lists and tables to the schema of the value inside.
func leaf(s *jsonschema.Schema) *jsonschema.Schema {
	switch {
	case s.Items != nil:
		return leaf(s.Items)
	case s.Type == "object" && s.Properties.Len() == 0 && s.AdditionalProperties != nil && s.AdditionalProperties.Type != "":
		return leaf(s.AdditionalProperties)
	}
	return s
}
