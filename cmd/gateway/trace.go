package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gateway"
)

func newTrace(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "trace ID",
		Short: "Say where an event is: when it was stored, who delivers it, what came of it",
		Long: `Looks for an event of the running gateway by its ID or offset, and says for each forwarder whether a route takes it, each attempt of this run
and its answer, and whether it is delivered, waits (for what, and behind how many), was set aside (why) or is not wanted.
An ID that a device gave is looked for in all of the log, which takes some seconds for a large one.`,
		Example:           "  gateway trace 1234\n  gateway trace 94615ff10e2d107e.1-1234 --json",
		Args:              argument("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			client, err := v.client(ctx)
			if err != nil {
				return err
			}
			t, err := client.Trace(ctx, args[0])
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(std.out, t)
			}
			_, err = std.out.Write([]byte(traceText(&t, time.Now())))
			return err
		}),
	}
	v.where.add(cmd.Flags())
	addJSON(cmd, &asJSON)
	return cmd
}

func traceText(t *gateway.Trace, now time.Time) string {
	var s screen
	e := &t.Entry
	s.line("event", "%s", e.Event.ID)
	s.line("source", "%s", e.Event.Source)
	s.line("topic", "%s, %s of type %s", e.Event.Topic(), count(uint64(len(e.Event.Data)), "byte"), e.Event.Type)
	s.line("stored", "%s (%s ago) at offset %s", clockTime(e.Received), ageText(now.Sub(e.Received)), number(uint64(e.Offset)))
	if len(t.Forwarders) == 0 {
		s.line("forwarders", "there is none")
	}
	for i := range t.Forwarders {
		s.b.WriteByte('\n')
		s.trace(&t.Forwarders[i])
	}
	return s.b.String()
}

// attemptsShown are the newest attempts on a screen.
const attemptsShown = 8

func (s *screen) trace(f *gateway.ForwarderTrace) {
	text := f.State
	if f.Route > 0 {
		text += fmt.Sprintf(", by route %d", f.Route)
	}
	if f.State == gateway.TraceWaiting {
		text += fmt.Sprintf(", %s, behind %s", f.Lane, count(f.Ahead, "offset"))
	}
	s.line(f.Forwarder, "%s", text)
	if f.Why != "" {
		s.line("", "because: %s", f.Why)
	}
	if l := f.Letter; l != nil {
		s.line("", "set aside as %s after %s, last at %s: %s", l.Class, count(uint64(l.Attempts), "attempt"), clockTime(l.Last), l.Cause)
	}
	first := max(0, len(f.Attempts)-attemptsShown)
	if first > 0 {
		s.line("", "%s before these", count(uint64(first), "attempt"))
	}
	for _, a := range f.Attempts[first:] {
		answer := "delivered"
		if a.Answer != "" {
			answer = a.Answer
		}
		s.line("", "%s, in %s with %s: %s", a.At.Local().Format("2006-01-02 15:04:05.000"), a.Took.Round(10*time.Microsecond),
			count(uint64(a.Events-1), "other"), answer)
	}
	if len(f.Attempts) == 0 && f.State == gateway.TraceDelivered {
		s.line("", "before the gateway started, or too long ago: its attempts are not kept")
	}
}
