// Command towpath is the bot, the agent and the person's tool in one binary.
// Floor 5: the only place that wires. One file per subcommand; a subcommand
// reads flags, builds what it needs from the floors below, and prints. It
// decides nothing itself.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every subcommand.
const (
	exitDone     = 0
	exitFindings = 1 // findings or differences
	exitUsage    = 2
	exitFailed   = 3 // could not finish
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process as if nobody had listened
	s := std{in: os.Stdin, out: os.Stdout, err: os.Stderr}
	quiet()
	code := run(ctx, os.Args[1:], s)
	stop()
	os.Exit(code)
}

// quiet keeps libraries off standard error: kustomize prints warnings there past
// every logger, which would break --log-format json. Called before anything runs.
func quiet() {
	log.SetOutput(io.Discard)
	if null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0); err == nil {
		os.Stderr = null
	}
}

// std is what a command talks to: data goes to out, progress and logs to err.
type std struct {
	in       io.Reader
	out, err io.Writer
}

// errFindings ends a command with exitFindings after it printed its findings.
var errFindings = errors.New("there are findings")

// usageError is a mistake in flags or arguments.
type usageError struct{ err error }

func (u usageError) Error() string { return u.err.Error() }
func (u usageError) Unwrap() error { return u.err }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func run(ctx context.Context, args []string, s std) int {
	root := rootCommand(s)
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.As(err, &usage) || isCobraUsage(err):
		fmt.Fprintf(s.err, "towpath: %v\nrun \"towpath %s--help\" for usage\n", err, commandPath(root, args))
		return exitUsage
	default:
		fmt.Fprintf(s.err, "towpath: %v\n", err)
		return exitFailed
	}
}

// isCobraUsage recognises the mistakes that cobra reports itself; it has no
// type for them.
func isCobraUsage(err error) bool {
	msg := err.Error()
	for _, p := range []string{"unknown command", "unknown flag", "unknown shorthand", "invalid argument", "flag needs an argument", "required flag", "accepts ", "requires at least", "bad flag syntax"} {
		if strings.HasPrefix(msg, p) {
			return true
		}
	}
	return false
}

func commandPath(root *cobra.Command, args []string) string {
	if c, _, err := root.Find(args); err == nil && c != root {
		return strings.TrimPrefix(c.CommandPath(), "towpath ") + " "
	}
	return ""
}

const exitCodes = `
Exit codes: 0 done, 1 findings or differences, 2 usage, 3 could not finish.`

func rootCommand(s std) *cobra.Command {
	root := &cobra.Command{
		Use:   "towpath",
		Short: "carry image versions through Git, environment by environment, into clusters",
		Long: `Towpath scans registries against policies kept in your Git repository, writes new
versions into the first environment's directory, carries them by pull request
through the next ones, and keeps each cluster equal to its directory.
` + exitCodes,
		SilenceUsage: true, SilenceErrors: true, Version: readVersion().Version, SuggestionsMinimumDistance: 2,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
					return usagef("unknown command %q; did you mean %s?", args[0], strings.Join(like, " or "))
				}
				return usagef("unknown command %q", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(adoptCommand(s), demoCommand(s), doctorCommand(s), runCommand(s), agentCommand(s), planCommand(s), selectCommand(s), setCommand(s),
		lintCommand(s), migrateCommand(s), renderCommand(s), statusCommand(s), whyCommand(s), approveCommand(s), holdCommand(s), pullsCommand(s),
		releaseCommand(s), rejectCommand(s), schemaCommand(s), versionCommand(s))
	return root
}

// command fills what every subcommand has alike.
func command(use, short, long, example string, args cobra.PositionalArgs, run func(cmd *cobra.Command, args []string) error) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Long: long + "\n" + exitCodes, Example: example, RunE: run,
		Args: func(cmd *cobra.Command, a []string) error {
			if args(cmd, a) != nil {
				return usagef("wrong number of arguments, %d; the form is: towpath %s", len(a), use)
			}
			return nil
		}}
}

// now is the one clock of the binary.
func now() time.Time { return time.Now() }
