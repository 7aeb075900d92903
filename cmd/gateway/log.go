package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// logVerbs is what the verbs below `gateway log` share.
type logVerbs struct {
	std   streams
	where dataDirFlags
}

func newLog(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Look into the log, copy it, check it and repair it",
		Long: `Looks into the log of the gateway on this machine. Where the gateway runs it is asked, through the socket in its data
directory; where it is stopped the directory is opened, and only import, compact and repair change anything in it.
The directory is for the gateway's user and root: use sudo, or sudo -u gateway.`,
		Example: `  gateway log list                                        the newest 20 events
  gateway log list --topic 'hall/#' --since 2h            what came from the hall in the last two hours
  gateway log show 1234                                   all of one event, and who still waits for it
  gateway log tail --type 'gateway.*'                     what comes, as it comes
  gateway log export backup.jsonl                         CloudEvents, one a line; import takes them back
  gateway log verify                                      is every event there, and as it was?`,
		Args: noVerb,
		RunE: showHelp,
	}
	v.where.add(cmd.PersistentFlags())
	_ = cmd.MarkPersistentFlagDirname("data-dir") // these fail for flags that do not exist only
	_ = cmd.MarkPersistentFlagFilename("config", "yaml", "yml")
	cmd.AddCommand(newLogStatus(v), newLogList(v), newLogTail(v), newLogShow(v), newLogExport(v), newLogImport(v),
		newLogVerify(v), newLogRepair(v), newLogCompact(v))
	return cmd
}

// action is action for the verbs of the log: Ctrl-C ends their context, so that they tidy up, and a reader of their output
// who has enough, such as head, is no failure.
func (v *logVerbs) action(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return action(func(cmd *cobra.Command, args []string) error {
		pipes := make(chan os.Signal, 1) // with it a write to a closed pipe is an error, not the end of the process
		signal.Notify(pipes, syscall.SIGPIPE)
		defer signal.Stop(pipes)
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		defer context.AfterFunc(ctx, stop)() // a second signal ends the process
		err := do(ctx, args)
		switch {
		case hasEnough(err):
			return nil
		case ctx.Err() != nil && errors.Is(err, context.Canceled):
			return errors.New("interrupted")
		}
		return err
	})
}

// hasEnough says whether err is that nobody reads our output any more.
func hasEnough(err error) bool {
	var write *fs.PathError
	return errors.As(err, &write) && write.Op == "write" && errors.Is(write.Err, syscall.EPIPE)
}

// terminal is the width of the terminal that w is, 0 if it is none.
func terminal(w any) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 {
		return screenWidth // such as a serial console
	}
	return width
}

// giveToOwner gives what root made in dir to whom dir belongs: the gateway of that user has to open it again.
func giveToOwner(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 || owner.Uid == 0 {
		return nil
	}
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		have, err := d.Info()
		if err != nil {
			return err
		}
		if s, ok := have.Sys().(*syscall.Stat_t); !ok || s.Uid != 0 {
			return nil
		}
		return os.Lchown(path, int(owner.Uid), int(owner.Gid))
	})
}
