package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/configs"
	"gateway/internal/demo"
)

func newDemo(std streams) *cobra.Command {
	o := demo.Options{}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See the gateway work against a line that fails, and check that nothing is lost",
		Long: `Starts the real gateway, five sensors that publish to it over TCP, a second broker as the upstream, and between
the two a line that is cut, reset and silent in turn. It ends with Ctrl-C or --for: the rest is delivered, and a ledger
compares what the sensors were told is kept with what arrived. A second Ctrl-C cuts that short.
Exit code 0: nothing lost, nothing out of order, no duplicate left; 1 otherwise.`,
		Example: "  gateway demo\n  gateway demo --for 30s\n  gateway demo --for 30s --seed 7     the same readings and the same trouble again",
		Args:    cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			if o.For < 0 {
				return &usageError{fmt.Errorf("--for %s is less than nothing", o.For), "give a duration such as 30s, or leave it out to run until Ctrl-C"}
			}
			if !cmd.Flags().Changed("seed") {
				o.Seed = rand.Uint64N(1_000_000)
			}
			return runDemo(std, o, asJSON)
		}),
	}
	cmd.Flags().DurationVar(&o.For, "for", 0, "how long the sensors publish, such as 30s (default: until Ctrl-C)")
	cmd.Flags().Uint64Var(&o.Seed, "seed", 0, "repeats a run: its readings and what happens to the line (default: another each time)")
	addJSON(cmd, &asJSON)
	return cmd
}

func runDemo(std streams, o demo.Options, asJSON bool) error {
	limitMemory()
	ctx, abort, end := stopSignals()
	defer end()
	o.StartGateway, o.Abort, o.Getenv = startDemoGateway, abort, os.Getenv
	if !asJSON {
		o.Out = std.out
	}
	ledger, err := demo.Run(ctx, o)
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(std.out, ledger)
	} else {
		_, err = io.WriteString(std.out, ledger.String())
	}
	if err != nil {
		return err
	}
	if !ledger.OK() {
		return errReported
	}
	return nil
}

// demoGateway is an instance as the demo sees it.
type demoGateway struct{ *instance }

// Addr is where the broker listens.
func (d demoGateway) Addr() string { return d.addresses()[0] }

// Status is a snapshot of all parts.
func (d demoGateway) Status() (gateway.LogStatus, gateway.BrokerStatus, []gateway.ForwarderStatus) {
	return d.status()
}

// Stop stops the gateway as SIGTERM does.
func (d demoGateway) Stop(ctx context.Context) error { return d.stop(ctx) }

// startDemoGateway starts the gateway by the same way as `gateway run`, with a configuration as a file would give it.
func startDemoGateway(_ context.Context, dataDir, listen, upstreamURL string) (demo.Gateway, error) {
	text := fmt.Sprintf("id: demo\ndata_dir: %q\nmqtt: {listen: %q}\nforwarders:\n"+
		"  - name: upstream\n    sink: {type: mqtt, url: %q, ack_timeout: 2s}\n    retry: {min: 50ms, max: 1s}\n", dataDir, listen, upstreamURL)
	cfg, err := configs.Parse("demo", dataDir, []byte(text), func(string) (string, bool) { return "", false })
	if err != nil {
		return nil, err
	}
	p, err := newPlan(cfg)
	if err != nil {
		return nil, err
	}
	g, err := p.start(cfg, runOptions{}, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return nil, err
	}
	return demoGateway{g}, nil
}
