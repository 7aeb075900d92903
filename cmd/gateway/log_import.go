package main

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func newLogImport(v *logVerbs) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Append events that export wrote",
		Long: `Appends the CloudEvents of FILE, or of standard input where it is "-", one in JSON a line, in their order. They get new offsets and keep their ids;
every forwarder delivers them as it does others. What is imported twice is there twice. It stops at a line that is no
CloudEvent; what came before it stays, and the error says which line that is. A log that is full refuses: nothing is dropped for an import.
Into the log of a stopped gateway give --config, so that its bound holds.`,
		Example: "  gateway log import backup.jsonl\n  zcat hall.jsonl.gz | gateway log import -",
		Args:    argument("FILE"),
		RunE: v.action(func(ctx context.Context, args []string) error {
			in := v.std.in
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = v.progress("read", "byte").reader(f)
			}
			return v.withWritable(ctx, func(_ *logPlace, log logAccess) error {
				n, err := log.Import(ctx, in)
				if err != nil {
					return fmt.Errorf("import %s: %w; %s before that are in the log for good", args[0], err, count(uint64(n), "event"))
				}
				_, err = fmt.Fprintf(v.std.out, "%s imported\n", count(uint64(n), "event"))
				return err
			})
		}),
	}
	return cmd
}
