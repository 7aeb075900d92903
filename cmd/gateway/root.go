package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gateway/configs"
)

// Exit codes that scripts may rely on.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// usageError is a mistake in the command line, or in what it names, that another call would not make.
type usageError struct {
	err  error
	hint string
}

func (u *usageError) Error() string { return u.err.Error() }
func (u *usageError) Unwrap() error { return u.err }

// runError marks what a verb itself returned. Every other error is cobra's, about the command line.
type runError struct{ err error }

func (r *runError) Error() string { return r.err.Error() }
func (r *runError) Unwrap() error { return r.err }

// errReported ends a verb with exit code 1 when all was said already.
var errReported = errors.New("reported")

// execute runs a command line and returns the exit code.
func execute(args []string, std streams) int {
	root := newRoot(std)
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	return report(std, cmd, err)
}

// report says what went wrong in a sentence, with what to do about it.
func report(std streams, cmd *cobra.Command, err error) int {
	var run *runError
	var usage *usageError
	var problems configs.Problems
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errReported):
		return exitError
	case errors.As(err, &problems):
		std.say("%s\ngateway: %s\n", problems, mistakes(len(problems)))
		return exitUsage
	case errors.As(err, &usage):
		std.say("gateway: %v\n", err)
		if usage.hint != "" {
			std.say("hint: %s\n", usage.hint)
		}
		return exitUsage
	case errors.As(err, &run):
		std.say("gateway: %v\n", err)
		return exitError
	}
	std.say("gateway: %s\nhint: see %s --help\n", strings.TrimSpace(err.Error()), cmd.CommandPath())
	return exitUsage
}

func mistakes(n int) string {
	if n == 1 {
		return "the configuration has a mistake; gateway config describe explains every key"
	}
	return fmt.Sprintf("the configuration has %d mistakes; gateway config describe explains every key", n)
}

// action makes what a verb does into what cobra calls.
func action(do func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := do(cmd, args); err != nil {
			return &runError{err}
		}
		return nil
	}
}

func newRoot(std streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "gateway",
		Short: "An edge event gateway: what it acknowledged, it keeps; what it keeps, it delivers",
		Long: `An edge event gateway. Sensors publish MQTT to its embedded broker; every event is on flash before its
sender is told so, and reaches the upstream, in order, whenever there is a link.`,
		Example: `  gateway demo                                  see it work, against a line that fails
  gateway run                                   broker on 127.0.0.1:1883, data in ./data, no upstream
  gateway config example > gateway.yaml         a commented configuration to start from
  gateway config check gateway.yaml             every mistake in it, with its line
  gateway user add esp32 --users-file users     a user for a device on the network
  gateway run --config gateway.yaml             for real`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noVerb,
		RunE:          showHelp,
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.AddCommand(newRun(std), newDemo(std), newConfig(std), newUser(std), newStatus(std), newLog(std),
		newTrace(std), newReplay(std), newDeadLetter(std), newForwarder(std), newDevices(std), newReload(std), newVersion(std))
	return root
}
