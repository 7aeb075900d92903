package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gateway/configs"
)

func newConfig(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Check a configuration, print an example, explain the keys",
		Example: `  gateway config example > gateway.yaml
  gateway config check gateway.yaml
  gateway config describe mqtt.tls`,
		Args: noVerb,
		RunE: showHelp,
	}
	cmd.AddCommand(newConfigCheck(std), newConfigExample(std), newConfigDescribe(std))
	return cmd
}

func newConfigCheck(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Report every mistake in a configuration file, each with its line",
		Long: `Reports every mistake in a configuration file in one run, each as file:line:column: key: what is wrong, and what
is allowed. It looks at the files that the configuration names too, so run it where the gateway runs. FILE may be -
for standard input. Exit code 0: it can be used; 2: it cannot.`,
		Example: `  gateway config check /etc/gateway/gateway.yaml
  gateway config example | gateway config check -
  gateway config check --json gateway.yaml`,
		Args: argument("FILE"),
		RunE: action(func(_ *cobra.Command, args []string) error {
			return checkConfig(std, args[0], asJSON)
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

// checked is what `config check --json` prints.
type checked struct {
	OK       bool              `json:"ok"`
	Problems []configs.Problem `json:"problems"`
	Warnings []configs.Problem `json:"warnings"`
}

func checkConfig(std streams, file string, asJSON bool) error {
	cfg, _, err := loadPlan(file)
	var problems configs.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	var warnings []configs.Problem
	if cfg != nil {
		warnings = cfg.Warnings
	}
	if asJSON {
		return reportJSON(std, err, problems, warnings)
	}
	for _, w := range warnings {
		std.say("warning: %s\n", w.Explain())
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(std.out, "%s is fine: %s\n", cfg.File, summary(cfg))
	return err
}

// reportJSON prints the outcome and ends with its exit code, without a word for people.
func reportJSON(std streams, err error, problems, warnings []configs.Problem) error {
	result := checked{OK: err == nil, Problems: problems, Warnings: warnings}
	if result.Problems == nil {
		result.Problems = []configs.Problem{}
	}
	if result.Warnings == nil {
		result.Warnings = []configs.Problem{}
	}
	if failed := writeJSON(std.out, result); failed != nil {
		return failed
	}
	return err
}

func summary(cfg *configs.Config) string {
	text := fmt.Sprintf("gateway %s, broker on %v", cfg.ID, listenAddresses(cfg))
	switch n := len(cfg.Forwarders); n {
	case 0:
		return text + ", no forwarder"
	case 1:
		return text + ", one forwarder"
	default:
		return fmt.Sprintf("%s, %d forwarders", text, n)
	}
}

func listenAddresses(cfg *configs.Config) []string {
	addresses := cfg.MQTT.Listen
	if cfg.MQTT.TLS != nil {
		addresses = append(addresses[:len(addresses):len(addresses)], cfg.MQTT.TLS.Listen+" (TLS)")
	}
	return addresses
}

func newConfigExample(std streams) *cobra.Command {
	return &cobra.Command{
		Use:     "example",
		Short:   "Print a commented configuration with every key",
		Example: "  gateway config example > gateway.yaml",
		Args:    cobra.NoArgs,
		RunE:    action(func(*cobra.Command, []string) error { return configs.WriteExample(std.out) }),
	}
}

func newConfigDescribe(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "describe [PART]",
		Short:   "Explain every key, or those whose path has PART in it",
		Example: "  gateway config describe\n  gateway config describe sink.tls\n  gateway config describe --json",
		Args:    cobra.MaximumNArgs(1),
		RunE: action(func(_ *cobra.Command, args []string) error {
			if asJSON {
				return writeJSON(std.out, configs.Keys())
			}
			filter := ""
			if len(args) > 0 {
				filter = args[0]
			}
			n, err := configs.Describe(std.out, filter)
			if err == nil && n == 0 {
				return &usageError{fmt.Errorf("no key has %q in its path", filter), "gateway config describe lists all keys"}
			}
			return err
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}
