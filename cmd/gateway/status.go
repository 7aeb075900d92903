package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/admin"
)

func newStatus(std streams) *cobra.Command {
	var where dataDirFlags
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show on one screen how a running gateway is",
		Long: `Asks the gateway that runs on this machine, through the socket in its data directory, and shows its log, clock, card,
broker and forwarders. The socket is for the gateway's user and root. Counts are since the gateway started.
Exit code 0: it runs; 1: it does not, or its log has failed; 2: the command line or the configuration is wrong.`,
		Example: `  gateway status
  sudo gateway status --data-dir /var/lib/gateway
  gateway status --watch
  gateway status --json | jq .log.bytes`,
		Args: cobra.NoArgs,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			dir, err := where.resolve()
			if err != nil {
				return err
			}
			if watch {
				return watchStatus(cmd.Context(), std, dir)
			}
			return showStatus(cmd.Context(), std, dir, asJSON)
		}),
	}
	where.add(cmd.Flags())
	addJSON(cmd, &asJSON)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second, until Ctrl-C")
	cmd.MarkFlagsMutuallyExclusive("json", "watch")
	return cmd
}

// statusAnswer is what `gateway status --json` prints. Where no gateway runs it has the first two only.
type statusAnswer struct {
	Running bool   `json:"running"`
	DataDir string `json:"data_dir"`
	*admin.Status
	// OldestReceived and NewestReceived are when the first and the last event of the log came.
	OldestReceived time.Time `json:"oldest_received,omitzero"`
	NewestReceived time.Time `json:"newest_received,omitzero"`
}

func showStatus(ctx context.Context, std streams, dir string, asJSON bool) error {
	client := admin.NewClient(filepath.Join(dir, admin.SocketName))
	st, err := client.Status(ctx)
	if errors.Is(err, admin.ErrNotRunning) && asJSON {
		return errors.Join(writeJSON(std.out, statusAnswer{DataDir: dir}), errReported)
	}
	if err != nil {
		return notRunning(dir, err)
	}
	a := statusAnswer{Running: true, DataDir: dir, Status: &st}
	a.OldestReceived, a.NewestReceived = receivedAt(ctx, client, st.Log.First), receivedAt(ctx, client, st.Log.Last)
	if asJSON {
		err = writeJSON(std.out, a)
	} else {
		_, err = fmt.Fprint(std.out, statusScreen(&a, time.Now()))
	}
	if err == nil && st.Log.Failed != "" {
		err = errReported
	}
	return err
}

// receivedAt is when the event at offset came; zero if it is not there (any more), or cannot be read.
func receivedAt(ctx context.Context, client *admin.Client, offset gateway.Offset) time.Time {
	e, err := client.Event(ctx, offset)
	if err != nil {
		return time.Time{}
	}
	return e.Received
}

// notRunning says what to do where no gateway answers.
func notRunning(dir string, err error) error {
	if !errors.Is(err, admin.ErrNotRunning) {
		return err
	}
	if _, missing := os.Stat(dir); errors.Is(missing, fs.ErrNotExist) {
		return fmt.Errorf("no gateway is running with its data in %s, which does not exist: say where its data is with --data-dir or --config", dir)
	}
	return fmt.Errorf("no gateway is running with its data in %s: start it with sudo systemctl start gateway, or gateway run; "+
		"gateway log status --data-dir %s reads the directory of one that is stopped", dir, dir)
}

// watchEvery is how often the screen changes.
const watchEvery = time.Second

// watchStatus shows the status again and again until ctx ends or the gateway does. On a terminal each takes the place of the one before.
func watchStatus(ctx context.Context, std streams, dir string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	onTerminal := terminal(std.out) > 0
	for {
		screen := std
		var text strings.Builder
		screen.out = &text
		err := showStatus(ctx, screen, dir, false)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if onTerminal {
			_, err = fmt.Fprint(std.out, clearScreen+text.String())
		} else {
			_, err = fmt.Fprint(std.out, text.String()+"\n")
		}
		if err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// clearScreen moves to the upper left and clears what is below.
const clearScreen = "\x1b[H\x1b[J"
