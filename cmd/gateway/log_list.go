package main

import (
	"bufio"
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"gateway"
)

// newest is how many events `log list` and `log tail` show where nothing says which.
const newest = 20

const timesHelp = `A time is a duration ago (90s, 2h, 3d), a time today (14:30), a date (2026-01-31), both ("2026-01-31 14:30"), or RFC 3339; it is
compared with when the gateway received the event.`

func newLogList(v *logVerbs) *cobra.Command {
	var q queryFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List events, oldest first",
		Long: `Lists events as a table, oldest first: the newest 20 that match or, where --from, --to, --since or --until say which
part of the log is meant, all that match. Where events were lost the log has one of type gateway.gap in their place.
` + timesHelp + `
--json prints an object a line: "offset", "received" and "event", a CloudEvent; nothing is cut off.`,
		Example: `  gateway log list
  gateway log list --topic 'hall/+/temperature' --since 14:30 --until 15:00
  gateway log list --source '//greenhouse-1/*' --last 100
  gateway log list --from 1200 --limit 50 --json | jq .event.data
  gateway log list --type gateway.gap --last 0            what was lost`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			query, err := q.query(time.Now())
			if err != nil {
				return err
			}
			return v.with(ctx, func(_ *logPlace, log logAccess) error {
				counted := &countingLister{lister: v.newLister(asJSON)}
				err := listEvents(ctx, log, query, counted)
				if err == nil && counted.n == 0 {
					v.std.say("no event matches\n")
				}
				return err
			})
		}),
	}
	q.add(cmd, newest)
	addJSON(cmd, &asJSON)
	return cmd
}

// countingLister counts what it is given.
type countingLister struct {
	lister
	n int
}

func (c *countingLister) add(e *gateway.Entry) error {
	c.n++
	return c.lister.add(e)
}

func newLogTail(v *logVerbs) *cobra.Command {
	var q queryFlags
	var asJSON, follow bool
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "List the newest events, and then each one as it comes",
		Long: `Lists the newest 20 events that match, and then each one as the log of the running gateway gets it, until Ctrl-C. What it
is asked to show it does not hold back from anybody: the log is read, not locked.
` + timesHelp,
		Example: `  gateway log tail
  gateway log tail --topic 'hall/#' --json | jq -c .event.data
  gateway log tail --last 0                               only what comes from now on
  gateway log tail --follow=false                         the newest 20, and that is it`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			query, err := q.query(time.Now())
			if err != nil {
				return err
			}
			return v.with(ctx, func(place *logPlace, log logAccess) error {
				return tail(ctx, place, log, query, &q, follow, v.newLister(asJSON))
			})
		}),
	}
	q.add(cmd, newest)
	cmd.Flags().BoolVarP(&follow, "follow", "f", true, "go on with what comes, until Ctrl-C")
	addJSON(cmd, &asJSON)
	return cmd
}

// tail lists what query asks for, and follows.
func tail(ctx context.Context, place *logPlace, log logAccess, query gateway.Query, q *queryFlags, follow bool, to lister) error {
	if follow && place.running() {
		query.Follow = true
		if q.lastGiven && q.last == 0 && !q.span() { // nothing of what is there
			st, err := log.Status(ctx)
			if err != nil {
				return err
			}
			query.From = st.Last + 1
		}
	}
	err := listEvents(ctx, log, query, to)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil // Ctrl-C is how this ends
	}
	if err == nil && follow && !place.running() {
		return errors.New("no gateway is running with its data in " + place.dir + ": nothing more can come; start it, or give --follow=false")
	}
	return err
}

// listEvents gives what query asks for to a lister.
func listEvents(ctx context.Context, log logAccess, query gateway.Query, to lister) error {
	err := log.Events(ctx, query, func(e gateway.Entry) error {
		err := to.add(&e)
		if err == nil && query.Follow {
			err = to.flush()
		}
		return err
	})
	return errors.Join(to.flush(), err)
}

// lister writes entries somewhere. What was added is written at flush at the latest.
type lister interface {
	add(e *gateway.Entry) error
	flush() error
}

func (v *logVerbs) newLister(asJSON bool) lister {
	if asJSON {
		return &jsonLines{w: bufio.NewWriter(v.std.out)}
	}
	return newEventTable(v.std.out, terminal(v.std.out))
}

// jsonLines writes entries as JSON lines.
type jsonLines struct {
	w    *bufio.Writer
	line []byte
}

func (j *jsonLines) add(e *gateway.Entry) error {
	j.line = append(e.AppendJSON(j.line[:0]), '\n')
	_, err := j.w.Write(j.line)
	return err
}

func (j *jsonLines) flush() error { return j.w.Flush() }

var (
	_ lister = (*jsonLines)(nil)
	_ lister = (*eventTable)(nil)
)
