// Command onedoor gives every tenant and every network one door to an OpenID
// Provider. Reading starts in package gateway; this package only puts the parts
// together, one file for each command.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"onedoor/admin"
	"onedoor/config"
)

// commands is the command line. A new command is a file with its type, whose
// fields are its flags and whose Run method does the work, and a line here.
// Run may ask for *terminal, and returns a *failure where it knows what to do.
type commands struct {
	Demo        demoCommand        `cmd:"" help:"Run the whole thing on this machine, with nothing to configure."`
	Serve       serveCommand       `cmd:"" help:"Run the door."`
	Check       checkCommand       `cmd:"" help:"Validate the configuration and say what it means."`
	Doctor      doctorCommand      `cmd:"" help:"Find out why logins fail, with a door or without one."`
	Probe       probeCommand       `cmd:"" help:"Look from another network, for onedoor doctor."`
	Tenant      tenantCommand      `cmd:"" help:"Which tenants there are."`
	Trace       traceCommand       `cmd:"" help:"What happened to logins."`
	Token       tokenCommand       `cmd:"" help:"Who may use the admin API."`
	Audit       auditCommand       `cmd:"" help:"Who changed what."`
	User        userCommand        `cmd:"" help:"Who can log in at the embedded provider."`
	Client      clientCommand      `cmd:"" help:"Which OAuth clients the embedded provider has."`
	Key         keyCommand         `cmd:"" help:"The keys that logins in progress are sealed with."`
	Database    databaseCommand    `cmd:"" help:"The database as a whole."`
	Explain     explainCommand     `cmd:"" help:"Say what an error line means and what to do; asks no network."`
	Healthcheck healthcheckCommand `cmd:"" help:"Ask a running door whether it is ready."`
	Version     versionCommand     `cmd:"" help:"Print the version."`
}

// configFlag is embedded by every command that reads the configuration.
type configFlag struct {
	Config string `short:"c" default:"onedoor.yaml" placeholder:"FILE" help:"The configuration file (${default})."`
}

func main() {
	// The first signal asks for an orderly end; after it the default applies
	// again, so that a second one kills.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole program; the result is the exit code: 0, 1 for "found
// problems", 2 for wrong usage or "could not look".
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	t := newTerminal(ctx, stdin, stdout, stderr)
	exited := -1
	parser, err := kong.New(&commands{},
		kong.Name("onedoor"),
		kong.Description("One door to an OpenID Provider, for every tenant and every network."),
		kong.DefaultEnvars("ONEDOOR"), // flags, environment and file share names
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(stdout, stderr),
		kong.Bind(t),
		kong.Vars{"scopes": strings.Join(admin.Scopes(), ", ")},
		kong.Exit(func(code int) { exited = code }),
	)
	if err != nil {
		return t.report(err)
	}
	args = helpFirst(args)
	if f := unknownCommand(parser.Model.Node, args); f != nil {
		return t.report(f)
	}
	kctx, err := parser.Parse(args)
	if exited >= 0 { // --help has been printed
		return exited
	}
	if err != nil {
		return t.report(usage(err))
	}
	return t.report(kctx.Run())
}

// helpFirst makes "onedoor", "onedoor help COMMAND" and "onedoor --version" what
// people mean by them.
func helpFirst(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(slices.Clone(args[1:]), "--help")
	case args[0] == "--version":
		return append([]string{"version"}, args[1:]...)
	}
	return args
}

// unknownCommand finds a word where a command should be.
func unknownCommand(node *kong.Node, args []string) error {
	said := []string{}
	for _, arg := range args {
		if len(node.Children) == 0 || strings.HasPrefix(arg, "-") {
			return nil
		}
		i := slices.IndexFunc(node.Children, func(c *kong.Node) bool { return c.Name == arg })
		if i < 0 {
			return unknown(strings.Join(append(said, arg), " "), arg, said, node.Children)
		}
		node, said = node.Children[i], append(said, arg)
	}
	return nil
}

func unknown(whole, word string, said []string, children []*kong.Node) error {
	names := make([]string, len(children))
	for i, c := range children {
		names[i] = c.Name
	}
	help := strings.Join(append([]string{"onedoor help"}, said...), " ")
	hint := "try: " + help
	if near := config.Nearest(word, names); near != "" {
		hint = "did you mean " + near + "? otherwise try: " + help
	}
	return &failure{code: 2, message: `unknown command "` + whole + `"`, hint: hint}
}
