package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/admin"
	"gateway/devices"
)

func newDevices(std streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "Find pins, buses and probes, watch them, and set outputs by hand",
		Args:  noVerb, RunE: showHelp,
	}
	cmd.AddCommand(newDevicesScan(std), newListDrivers(std), newDevicesWatch(std), newDevicesSet(std))
	return cmd
}

func newDevicesScan(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Find GPIO chips, I2C chips and 1-Wire probes, and print the lines for the configuration",
		Long: `Finds GPIO chips with their lines, the addresses that answer on I2C buses and what they may be, 1-Wire probes and the board's own sensors, and prints the
lines for the configuration. It needs no gateway. On I2C it reads one byte from each address that no driver of the kernel has, and leaves a bus alone that hangs.`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			found := devices.Scan(ctx, devices.HardwareOptions{})
			if asJSON {
				return writeJSON(std.out, found)
			}
			_, err := io.WriteString(std.out, found.Text())
			return err
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func newListDrivers(std streams) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list-drivers", Short: "List the sensors that there are drivers for", Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: action(func(*cobra.Command, []string) error {
			if asJSON {
				return writeJSON(std.out, devices.Drivers())
			}
			_, err := io.WriteString(std.out, driversText())
			return err
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

// driversText is a block of lines for each driver.
func driversText() string {
	var s screen
	for _, d := range devices.Drivers() {
		s.line(d.Name, "%s", d.Title)
		var where []string
		for _, a := range d.Addresses {
			where = append(where, fmt.Sprintf("0x%02x", a))
		}
		if len(where) > 0 {
			s.line("", "%s, address %s", d.Bus, strings.Join(where, ", "))
		} else if d.Bus != devices.BusNone {
			s.line("", "%s", d.Bus)
		}
		for _, q := range d.Quantities {
			s.line("", "%s in %s, %g to %g", q.Name, q.Unit, q.Min, q.Max)
		}
		if len(d.Channels) > 0 {
			s.line("", "channels: %s", strings.Join(d.Channels, ", "))
		}
	}
	return s.b.String()
}

func newDevicesSet(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	cmd := &cobra.Command{
		Use:   "set OUTPUT COMMAND",
		Short: "Have an output of the running gateway carry out a command",
		Long: `Has an output of the running gateway carry out a command, with all its safeguards: on, off, toggle, "pulse 2s", "blink 500ms 500ms 10",
"pwm 40% 1s". It goes past the log: it is no event, but what the output does then is one.`,
		Example: `  gateway devices set pump on
  gateway devices set pump "pulse 5s"`,
		Args: cobra.MinimumNArgs(2), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			command := strings.Join(args[1:], " ")
			if _, err := devices.ParseCommand([]byte(command)); err != nil {
				return &usageError{err, "gateway devices set --help shows what there is"}
			}
			client, err := v.client(ctx)
			if err != nil {
				return err
			}
			if err := client.SetOutput(ctx, args[0], command); err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "%s: %s\n", args[0], command)
			return err
		}),
	}
	v.where.add(cmd.Flags())
	return cmd
}

// deviceControl implements admin.Devices.
type deviceControl struct{ b *board }

// Status implements admin.Devices.
func (c deviceControl) Status() []gateway.DeviceStatus { return c.b.status() }

// Set implements admin.Devices.
func (c deviceControl) Set(ctx context.Context, name, command string) error {
	states := c.b.outputs.Status()
	if !slices.ContainsFunc(states, func(s gateway.DeviceStatus) bool { return s.Name == name }) {
		var names []string
		for _, s := range states {
			names = append(names, s.Name)
		}
		there := "the configuration has none"
		if len(names) > 0 {
			there = "there are " + strings.Join(names, ", ")
		}
		return fmt.Errorf("output %q: %w: %s", name, admin.ErrUnknown, there)
	}
	return c.b.outputs.Set(ctx, name, command)
}

// watchFlags say what is watched where no gateway has it.
type watchFlags struct {
	chip, bus string
	address   string
	pull      string
	interval  time.Duration
	invert    bool
}

func newDevicesWatch(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	var w watchFlags
	cmd := &cobra.Command{
		Use:   "watch DEVICE|PIN|DRIVER|PROBE",
		Short: "Show the values of a device live, until Ctrl-C",
		Long: `Shows the values of a device live, until Ctrl-C: of a device of the running gateway by its name; of a pin that nobody uses by its name or number, each
edge; or of a sensor that is not configured yet, by its driver or the id of its 1-Wire probe.`,
		Example: `  gateway devices watch climate
  gateway devices watch GPIO17 --pull up
  gateway devices watch bme280 --address 0x77
  gateway devices watch 28-0000a1b2c300`,
		Args: argument("DEVICE"), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
			defer stop()
			err := w.watch(ctx, v, args[0])
			if ctx.Err() != nil {
				return nil
			}
			return err
		}),
	}
	v.where.add(cmd.Flags())
	f := cmd.Flags()
	f.StringVar(&w.chip, "chip", "", "the label of a pin's chip; left out: the only one that has a line of that name")
	f.StringVar(&w.pull, "pull", devices.PullAsIs, "the resistor of a pin: none, up, down or as_is")
	f.BoolVar(&w.invert, "invert", false, "a low level counts as on")
	f.StringVar(&w.bus, "bus", "1", "the number of a chip's I2C bus")
	f.StringVar(&w.address, "address", "", "the chip's address; left out: its usual one")
	f.DurationVar(&w.interval, "interval", 0, "the time between two readings; left out: a second, or what the sensor needs")
	return cmd
}

// watch shows a device of the running gateway if it has one of that name, or else opens it.
func (w *watchFlags) watch(ctx context.Context, v *logVerbs, name string) error {
	client, err := v.client(ctx)
	if err == nil {
		st, err := client.Status(ctx)
		if err == nil && slices.ContainsFunc(st.Devices, func(d gateway.DeviceStatus) bool { return d.Name == name }) {
			return watchRunning(ctx, client, v.std, name)
		}
	}
	spec, err := w.spec(name)
	if err != nil {
		return err
	}
	lines := devices.KernelLines{Dev: "/dev"}
	hardware := devices.NewHardware(devices.HardwareOptions{Lines: lines})
	d, err := openDevice(spec, lines, hardware, devices.Common{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		err = d.Run(ctx, printingAppender{v.std.out})
	}
	return errors.Join(err, hardware.Close())
}

// spec is what a name stands for that no gateway has.
func (w *watchFlags) spec(name string) (devices.Spec, error) {
	d, known := devices.FindDriver(name)
	probe := strings.HasPrefix(name, "28-")
	if probe {
		d, known = devices.FindDriver("ds18b20")
	}
	if !known {
		s := devices.DefaultSpec(devices.TypeInput)
		s.Name, s.Pin, s.Chip, s.Pull, s.Invert = name, name, w.chip, w.pull, w.invert
		return s, nil
	}
	s := devices.DefaultSpec(d.Name)
	s.Name, s.Bus, s.Interval = name, w.bus, max(w.interval, d.MinInterval)
	if w.interval == 0 {
		s.Interval = max(time.Second, d.MinInterval)
	}
	if probe {
		s.Probe = name
	}
	if w.address != "" {
		if _, err := fmt.Sscanf(w.address, "0x%x", &s.Address); err != nil {
			return s, &usageError{fmt.Errorf("--address %s: wanted is an address such as 0x76", w.address), ""}
		}
	}
	return s, d.Check(&s)
}

// watchRunning prints what the device of the running gateway says, whenever it says something.
func watchRunning(ctx context.Context, client *admin.Client, std streams, name string) error {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	last := ""
	for {
		st, err := client.Status(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(st.Devices, func(d gateway.DeviceStatus) bool { return d.Name == name })
		if i < 0 {
			return fmt.Errorf("the gateway has no device %q any more", name)
		}
		d := &st.Devices[i]
		line := fmt.Sprintf("%s  %s", d.State, printable(d.Value))
		if d.Fault != "" {
			line = fmt.Sprintf("%s  %s", d.State, printable(d.Fault))
		}
		if now := line + d.At.String(); now != last {
			last = now
			if _, err := fmt.Fprintf(std.out, "%s  %s\n", time.Now().Format("15:04:05.000"), line); err != nil {
				return err
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// printingAppender shows events in place of keeping them.
type printingAppender struct{ out io.Writer }

// Append implements gateway.Appender.
func (p printingAppender) Append(_ context.Context, events ...gateway.Event) (gateway.Offset, error) {
	for i := range events {
		at := events[i].Time
		if at.IsZero() {
			at = time.Now()
		}
		if _, err := fmt.Fprintf(p.out, "%s  %s  %s\n", at.Local().Format("15:04:05.000"), strings.TrimPrefix(events[i].Type, "device."), printable(string(events[i].Data))); err != nil {
			return 0, err
		}
	}
	return 0, nil
}
