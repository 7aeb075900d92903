package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/forwarder"
)

func newReload(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the running gateway read its configuration again",
		Long: `Has the running gateway read its configuration file again, as SIGHUP and systemctl reload gateway do. Forwarders and sources are started,
restarted and stopped as the file says; each keeps its place in the log, also one that is gone. A file with a mistake changes nothing. What holds from
the next start on only is named.`,
		Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			client, err := v.client(ctx)
			if err != nil {
				return err
			}
			r, err := client.Reload(ctx)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(std.out, reloadText(&r))
			return err
		}),
	}
	v.where.add(cmd.Flags())
	return cmd
}

func reloadText(r *gateway.Reloaded) string {
	var s screen
	for _, l := range []struct {
		label string
		names []string
	}{{"started", r.Added}, {"restarted", r.Changed}, {"stopped", r.Removed}, {"at restart", r.Restart}} {
		for i, name := range l.names {
			if i > 0 {
				l.label = ""
			}
			s.line(l.label, "%s", name)
		}
	}
	if s.b.Len() == 0 {
		s.line("unchanged", "the configuration says what it said before")
	}
	if slices.ContainsFunc(r.Removed, func(name string) bool { return !strings.Contains(name, " ") }) { // a forwarder: others have their kind before their name
		s.line("", "the log keeps the places of forwarders that were stopped; gateway forwarder forget NAME gives one up")
	}
	return s.b.String()
}

func newForwarder(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	cmd := &cobra.Command{
		Use:   "forwarder",
		Short: "List the places of forwarders in the log, and give up that of one that is gone",
		Args:  noVerb, RunE: showHelp,
	}
	v.where.add(cmd.PersistentFlags())
	list := &cobra.Command{
		Use: "list", Short: "List the places that the log keeps", Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			return v.with(ctx, func(_ *logPlace, log logAccess) error {
				st, err := log.Status(ctx)
				if err == nil {
					_, err = fmt.Fprint(std.out, placesText(&st))
				}
				return err
			})
		}),
	}
	forget := &cobra.Command{
		Use: "forget NAME", Short: "Give up the place of a forwarder that is not in the configuration, with what waits for it",
		Long: "Gives up the place of a forwarder that was removed from the configuration: what waits for it alone is deleted. Its dead letters stay: gateway deadletter drop --forwarder NAME.",
		Args: argument("NAME"), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			if err := v.where.notConfigured(args[0]); err != nil {
				return err
			}
			return v.withWritable(ctx, func(_ *logPlace, log logAccess) error {
				waiting := ""
				if st, err := log.Status(ctx); err == nil {
					waiting = waitingFor(&st, args[0])
				}
				err := log.(interface {
					Forget(ctx context.Context, name string) error
				}).Forget(ctx, args[0])
				if err == nil {
					_, err = fmt.Fprintf(std.out, "the log has no place of forwarder %s any more%s\nits dead letters stay: gateway deadletter drop --forwarder %s --all\n", args[0], waiting, args[0])
				}
				return err
			})
		}),
	}
	cmd.AddCommand(list, forget)
	return cmd
}

// waitingFor says what was kept for the named forwarder.
func waitingFor(st *gateway.LogStatus, name string) string {
	at := st.Last
	for cursor, offset := range st.Cursors {
		if owner, ok := forwarder.OwnerOf(cursor); ok && owner == name && !strings.HasSuffix(cursor, "/to") {
			at = min(at, offset)
		}
	}
	if at = max(at, st.First-1); at >= st.Last {
		return "; nothing waited for it"
	}
	return fmt.Sprintf("; %s behind it are given up, as far as no other forwarder waits for them", count(uint64(st.Last-at), "offset"))
}

// placesText lists, for each forwarder that the log keeps a place for, how far it is.
func placesText(st *gateway.LogStatus) string {
	oldest := map[string]gateway.Offset{}
	for cursor, at := range st.Cursors {
		name, ok := forwarder.OwnerOf(cursor)
		if !ok || len(cursor) > 3 && cursor[len(cursor)-3:] == "/to" {
			continue
		}
		if have, known := oldest[name]; !known || at < have {
			oldest[name] = at
		}
	}
	var s screen
	for _, name := range slices.Sorted(maps.Keys(oldest)) {
		at := oldest[name]
		s.line(name, "settled up to offset %s, %s behind it", number(uint64(at)), count(uint64(st.Last-min(st.Last, max(at, st.First-1))), "offset"))
	}
	if len(oldest) == 0 {
		s.line("forwarders", "none has a place in the log")
	}
	return s.b.String()
}

// Forget gives up the place of a forwarder of a gateway that does not run.
func (l *stoppedLog) Forget(ctx context.Context, name string) error {
	err := forget(ctx, l.log, name)
	if errors.Is(err, errNoPlace) {
		return fmt.Errorf("forwarder %q: %w: gateway forwarder list shows those that it has", name, err)
	}
	return err
}
