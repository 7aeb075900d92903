package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gateway/configs"
)

// stopTimeout bounds a stop: the broker and the forwarders take 5 s each at most. systemd kills after 90 s.
const stopTimeout = 30 * time.Second

// runOptions are the flags of `gateway run`.
type runOptions struct {
	config    string
	listen    []string
	forget    []string
	readyFile string
}

func newRun(std streams) *cobra.Command {
	o := runOptions{}
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the gateway until SIGTERM or Ctrl-C",
		Long: `Runs the gateway. Without --config: the log in ./data, the broker on 127.0.0.1:1883, no upstream.
SIGTERM or Ctrl-C stops intake, finishes or gives back what is in flight, and closes the log; a second one cuts that
short. Nothing acknowledged is lost either way. Under systemd it reports readiness, status and a watchdog.`,
		Example: `  gateway run
  gateway run --config /etc/gateway/gateway.yaml
  gateway run --config gateway.yaml --listen 127.0.0.1:1884 --listen 192.168.1.5:1883`,
		Args: cobra.NoArgs,
		RunE: action(func(*cobra.Command, []string) error { return runGateway(std, o) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "the configuration file; see gateway config example")
	flags.StringArrayVar(&o.listen, "listen", nil, "an address for the broker, instead of mqtt.listen; may be repeated")
	flags.StringArrayVar(&o.forget, "forget", nil, "forget the place in the log of a forwarder that was removed from the file, with what waits for it; may be repeated")
	flags.StringVar(&o.readyFile, "ready-file", "", "write the addresses of the broker, one a line, to this file when it accepts connections")
	_ = flags.MarkHidden("ready-file") // fails for a flag that does not exist only
	return cmd
}

func runGateway(std streams, o runOptions) error {
	cfg, p, err := o.plan("")
	if err != nil {
		return err
	}
	logger := newLogger(std.err, cfg.Log)
	for _, w := range cfg.Warnings {
		logger.Warn("configuration", "key", w.Path, "warning", w.Text, "file", w.File, "line", w.Line)
	}
	limitMemory()
	notify, err := openNotifier(os.Getenv)
	if err != nil {
		logger.Warn("systemd is not told how this goes", "error", err)
	}
	defer notify.close()
	ctx, second, end := stopSignals()
	defer end()
	g, err := p.start(cfg, o, logger, notify)
	if err != nil {
		return err
	}
	if o.config == "" {
		std.say("%s\n", welcome(cfg, p))
	}
	defer g.reloadOnHangup()()
	if err = g.ready(o); err == nil {
		err = g.serve(ctx, notify)
	}
	logger.Info("stopping", "cause", causeOf(err))
	notify.send("STOPPING=1", "STATUS=finishing what is in flight")
	stopping, cancel := context.WithTimeoutCause(context.Background(), stopTimeout, fmt.Errorf("it took more than %s", stopTimeout))
	defer cancel()
	err = errors.Join(err, g.stop(cutShort(stopping, second)))
	if err == nil {
		logger.Info("stopped")
	}
	return err
}

func causeOf(err error) string {
	if err != nil {
		return "failure"
	}
	return "signal"
}

// errSecondSignal is why a stop that was cut short was.
var errSecondSignal = errors.New("a second signal came")

// cutShort returns a context that ends with ctx or the second signal.
func cutShort(ctx context.Context, second <-chan struct{}) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-second:
			cancel(errSecondSignal)
		case <-ctx.Done():
			cancel(nil)
		}
	}()
	return ctx
}

// plan makes the plan of the flags. id is the gateway's, "" for that of the configuration: one that runs keeps its own.
func (o *runOptions) plan(id string) (*configs.Config, *plan, error) {
	cfg := configs.Default()
	if o.config != "" {
		loaded, err := configs.Load(o.config, planProblems)
		if err != nil {
			return nil, nil, asUsage(err)
		}
		cfg = loaded
	}
	if len(o.listen) > 0 {
		cfg.MQTT.Listen = o.listen
		for _, address := range o.listen {
			if err := configs.ValidAddress(address); err != nil {
				return nil, nil, &usageError{fmt.Errorf("--listen %s: %w", address, err), ""}
			}
		}
	}
	for _, name := range o.forget {
		for i := range cfg.Forwarders {
			if cfg.Forwarders[i].Name == name {
				return nil, nil, &usageError{fmt.Errorf("--forget %s: this forwarder is in the configuration", name), "take it out of the file first, or leave --forget out"}
			}
		}
	}
	planned := *cfg
	planned.ID = cmp.Or(id, cfg.ID)
	p, err := newPlan(&planned)
	if err == nil && p.movedToLoopback(o.listen) {
		cfg.Warnings = append(cfg.Warnings, configs.Problem{
			File: "command line", Path: "--listen",
			Text: "no user is configured, so the broker listens on loopback only; set mqtt.users_file and add a user: gateway user add NAME --users-file FILE",
		})
	}
	return cfg, p, err
}

// movedToLoopback says whether one of the addresses is not listened on because no user is configured.
func (p *plan) movedToLoopback(addresses []string) bool {
	for _, a := range addresses {
		if p.broker.Policy.Anonymous() && !configs.Loopback(a) {
			return true
		}
	}
	return false
}

// ready does what is due once the gateway accepts connections.
func (g *instance) ready(o runOptions) error {
	if len(o.forget) > 0 {
		if err := g.forget(o.forget); err != nil {
			return err
		}
	}
	for _, name := range g.fleet.orphans() {
		g.logger.Warn("the log keeps events for a forwarder that is not in the configuration: they take its space and will fill it",
			"forwarder", name, "hint", "put the forwarder back, or run: gateway forwarder forget "+name)
	}
	g.logger.Info("gateway is ready", "version", currentVersion().Version, "addresses", g.addresses(), "forwarders", len(g.fleet.all()))
	if o.readyFile == "" {
		return nil
	}
	return writeReadyFile(o.readyFile, g.addresses())
}

func (g *instance) forget(names []string) error {
	for _, name := range names {
		err := g.fleet.forget(context.Background(), name)
		if errors.Is(err, errNoPlace) {
			g.logger.Warn("the log has no place of the forwarder to forget", "forwarder", name)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// welcome is what a person reads who starts the gateway without a configuration.
func welcome(cfg *configs.Config, p *plan) string {
	address := "nowhere"
	if len(p.broker.Listeners) > 0 {
		address = p.broker.Listeners[0].Address
	}
	return fmt.Sprintf(`No configuration was given, so the defaults hold:
  - events are kept in ./%s
  - the broker listens on %s: on this machine only, because no user is configured
  - there is no upstream: events are kept until the log is full, then the oldest make room

To deliver them, write gateway.yaml and start with: gateway run --config gateway.yaml

  id: %s
  data_dir: ./data
  forwarders:
    - name: cloud
      sink: {type: mqtt, url: "tcp://broker.example.com:1883", topic_prefix: "%s/"}

To let devices of the network in, add a user and, to that file, a listener:

  gateway user add esp32 --users-file users
  mqtt: {listen: "0.0.0.0:1883", users_file: users}

All keys: gateway config example
`, cfg.DataDir, address, cfg.ID, cfg.ID)
}

// newLogger writes to w what the configuration asks for.
func newLogger(w interface{ Write([]byte) (int, error) }, c configs.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // the configuration was checked: this is for a zero Log
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
