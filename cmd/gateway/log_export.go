package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"gateway"
)

func newLogExport(v *logVerbs) *cobra.Command {
	var q queryFlags
	cmd := &cobra.Command{
		Use:   "export [FILE]",
		Short: "Write events as CloudEvents, one a line",
		Long: `Writes the events that match, all of them without filters, as CloudEvents in JSON, one a line, to FILE or to standard output.
A file appears when it is complete, and replaces one of that name. Events keep their ids, so a receiver that drops repeated ones may get them twice, and
gateway log import takes them back. Gaps are not events, and are only counted.
` + timesHelp,
		Example: `  gateway log export backup.jsonl
  gateway log export --topic 'hall/#' --since 2026-01-01 | gzip > hall.jsonl.gz
  gateway log export --from 1200 --to 1300 | mosquitto_pub -h other.example.com -l -t replay -q 1`,
		Args: cobra.MaximumNArgs(1),
		RunE: v.action(func(ctx context.Context, args []string) error {
			query, err := q.query(time.Now())
			if err != nil {
				return err
			}
			return v.with(ctx, func(_ *logPlace, log logAccess) error {
				if len(args) == 0 || args[0] == "-" {
					return v.exportTo(ctx, log, query, v.std.out)
				}
				return writeWhole(args[0], func(w io.Writer) error { return v.exportTo(ctx, log, query, w) })
			})
		}),
	}
	q.add(cmd, 0)
	return cmd
}

func (v *logVerbs) exportTo(ctx context.Context, log logAccess, query gateway.Query, w io.Writer) error {
	out := bufio.NewWriterSize(w, 64<<10)
	p := v.progress("exported", "event")
	var line []byte
	var lost, refused, n uint64
	err := log.Events(ctx, query, func(e gateway.Entry) error {
		if e.Event.Type == gateway.TypeGap && e.Event.Subject == gateway.TopicGap {
			lost++
			return nil
		}
		var err error
		if line, err = e.Event.AppendJSON(line[:0]); err != nil {
			refused++
			v.std.say("gateway: offset %d is left out, it is no valid CloudEvent: %v; gateway log show %d shows it\n", e.Offset, err, e.Offset)
			return nil
		}
		n++
		p.at(n, 0)
		_, err = out.Write(append(line, '\n'))
		return err
	})
	p.end()
	err = errors.Join(err, out.Flush())
	if err == nil && lost > 0 {
		v.std.say("gateway: events are missing in %s of the log; gateway log list --type gateway.gap --last 0 shows which\n", count(lost, "place"))
	}
	if err == nil && refused > 0 {
		return errReported
	}
	return err
}

// writeWhole writes a file that appears when it is complete.
func writeWhole(name string, write func(w io.Writer) error) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("export to %s: it exists already: choose another name, or delete it", name)
	}
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return fmt.Errorf("export to %s: %w", name, err)
	}
	err = write(f)
	if err == nil || errors.Is(err, errReported) {
		err = errors.Join(err, f.Chmod(0o600), f.Sync())
	}
	err = errors.Join(err, f.Close())
	if err != nil && !errors.Is(err, errReported) {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return errors.Join(err, os.Rename(f.Name(), name))
}
