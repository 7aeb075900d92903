package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newLogCompact(v *logVerbs) *cobra.Command {
	return &cobra.Command{
		Use:   "compact",
		Short: "Give the space of deleted events back now",
		Long: `Has deleted events merged away at once. The gateway does that by itself, when it is worth the wear of the card: this is for who needs the room
now. It may write some tens of MiB.`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			return v.withWritable(ctx, func(_ *logPlace, log logAccess) error {
				before, after, err := log.Compact(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(v.std.out, "the log took %s and takes %s now\n", sizeText(float64(before)), sizeText(float64(after)))
				return err
			})
		}),
	}
}
