package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/forwarder"
)

func newDeadLetter(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	cmd := &cobra.Command{
		Use:     "deadletter",
		Aliases: []string{"deadletters"},
		Short:   "Look at what could not be delivered, and deliver it after all, or drop it",
		Long: `An event that a sink can never take (refused), that was too old to be worth sending (expired), or that failed time and again while
others got through (poison) is set aside with its cause, so that the rest flows. It stays until it is requeued or dropped, or
forwarders[].dead_letters has no more room. Where the gateway runs it is asked; where it is stopped its directory is opened.`,
		Example: `  gateway deadletter list                                  all of them
  gateway deadletter list --forwarder cloud --class refused
  gateway deadletter show cloud 1234                       all of one, with the event
  gateway deadletter requeue --forwarder cloud --all       once more, after the cause is mended
  gateway deadletter drop --class expired --until 30d
  gateway deadletter export letters.jsonl                  the events, as CloudEvents, one a line`,
		Args: noVerb,
		RunE: showHelp,
	}
	v.where.add(cmd.PersistentFlags())
	cmd.AddCommand(newLetterList(v), newLetterShow(v), newLetterRequeue(v), newLetterDrop(v), newLetterExport(v))
	return cmd
}

// letterFlags say which dead letters a verb is about.
type letterFlags struct {
	queryFlags
	forwarder, class string
	all              bool
}

func (q *letterFlags) add(cmd *cobra.Command) {
	q.cmd = cmd
	f := cmd.Flags()
	f.StringVar(&q.forwarder, "forwarder", "", "the forwarder that set them aside")
	f.StringVar(&q.class, "class", "", "why: refused, expired, poison or unknown")
	f.Uint64Var(&q.from, "from", 0, "the first offset")
	f.Uint64Var(&q.to, "to", 0, "the last offset")
	f.StringVar(&q.since, "since", "", "tried last at this time or later: 2h (ago), 14:30, 2026-01-31")
	f.StringVar(&q.until, "until", "", "tried last before this time")
	f.StringArrayVar(&q.topics, "topic", nil, "a topic filter, such as 'hall/#'; may be repeated: one must match")
	f.StringVar(&q.source, "source", "", "the source, or its beginning and *")
	f.StringVar(&q.typ, "type", "", "the type, or its beginning and *")
}

// addAll adds --all, without which a verb that changes something wants to be told what.
func (q *letterFlags) addAll(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&q.all, "all", false, "all of them, as far as other flags do not say which")
}

var deadClasses = []string{gateway.DeadRefused, gateway.DeadExpired, gateway.DeadPoison, gateway.DeadUnknown}

// letters is what the flags ask for.
func (q *letterFlags) letters(changes bool) (gateway.LetterQuery, error) {
	query, err := q.query(time.Now())
	if err != nil {
		return gateway.LetterQuery{}, err
	}
	if q.class != "" && !slices.Contains(deadClasses, q.class) {
		return gateway.LetterQuery{}, &usageError{fmt.Errorf("--class %s is none", q.class), "there are refused, expired, poison and unknown"}
	}
	narrow := q.span() || q.forwarder != "" || q.class != "" || len(q.topics) > 0 || q.source != "" || q.typ != ""
	if changes && !narrow && !q.all {
		return gateway.LetterQuery{}, &usageError{errors.New("which dead letters are meant?"), "say which, by FORWARDER OFFSET or a flag such as --forwarder, or --all"}
	}
	return gateway.LetterQuery{Query: query, Forwarder: q.forwarder, Class: q.class}, nil
}

// letterAccess is the dead letters of a running gateway, or of an opened directory.
type letterAccess interface {
	Letters(ctx context.Context, q gateway.LetterQuery, fn func(gateway.DeadLetter) error) error
	Requeue(ctx context.Context, q gateway.LetterQuery) (int, error)
	Drop(ctx context.Context, q gateway.LetterQuery) (int, error)
}

// Letters implements letterAccess.
func (l *stoppedLog) Letters(ctx context.Context, q gateway.LetterQuery, fn func(gateway.DeadLetter) error) error {
	return wantedLetters(l.log, q, func(letter gateway.DeadLetter) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fn(letter)
	})
}

// Requeue implements letterAccess.
func (l *stoppedLog) Requeue(ctx context.Context, q gateway.LetterQuery) (int, error) {
	return eachForwarder(ctx, l.log, q, forwarder.RequeueLetters, func(string) {})
}

// Drop implements letterAccess.
func (l *stoppedLog) Drop(ctx context.Context, q gateway.LetterQuery) (int, error) {
	return eachForwarder(ctx, l.log, q, forwarder.DropLetters, func(string) {})
}

func newLetterList(v *logVerbs) *cobra.Command {
	var q letterFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List dead letters, by forwarder and offset", Args: cobra.NoArgs,
		Long:              "Lists dead letters as a table. " + timesHelp,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			query, err := q.letters(false)
			if err != nil {
				return err
			}
			return v.with(ctx, func(_ *logPlace, log logAccess) error {
				return v.listLetters(ctx, log.(letterAccess), query, asJSON)
			})
		}),
	}
	q.add(cmd)
	addJSON(cmd, &asJSON)
	return cmd
}

func (v *logVerbs) listLetters(ctx context.Context, log letterAccess, q gateway.LetterQuery, asJSON bool) error {
	out := bufio.NewWriter(v.std.out)
	table := tabwriter.NewWriter(out, 0, 0, columnGap, ' ', 0)
	n := 0
	err := log.Letters(ctx, q, func(l gateway.DeadLetter) error {
		if asJSON {
			_, err := out.Write(append(l.AppendJSON(nil), '\n'))
			return err
		}
		if n++; n == 1 {
			_, _ = fmt.Fprintln(table, "FORWARDER\tOFFSET\tCLASS\tATTEMPTS\tLAST TRY\tTOPIC\tSIZE\tCAUSE") // Flush tells of errors
		}
		_, err := fmt.Fprintf(table, "%s\t%d\t%s\t%d\t%s\t%s\t%d\t%s\n", oneLine(l.Forwarder, 0), l.Offset, oneLine(l.Class, 0), l.Attempts,
			clockTime(l.Last), oneLine(l.Event.Topic(), 40), len(l.Event.Data), oneLine(l.Cause, 100))
		return err
	})
	if err = errors.Join(err, table.Flush(), out.Flush()); err == nil && n == 0 && !asJSON {
		v.std.say("no dead letter matches\n")
	}
	return err
}

func newLetterShow(v *logVerbs) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show FORWARDER OFFSET", Short: "Show all of one dead letter",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			q, err := oneLetterQuery(args)
			if err != nil {
				return err
			}
			return v.with(ctx, func(_ *logPlace, log logAccess) error {
				return v.showLetter(ctx, log.(letterAccess), q, asJSON)
			})
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

// oneLetterQuery is of a forwarder and an offset.
func oneLetterQuery(args []string) (q gateway.LetterQuery, err error) {
	if len(args) != 2 {
		return q, &usageError{errors.New("a dead letter is a forwarder and an offset"), "gateway deadletter list shows them"}
	}
	offset, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil || offset == 0 {
		return q, &usageError{fmt.Errorf("%q is no offset", args[1]), "offsets are numbers from 1; gateway deadletter list shows them"}
	}
	at := gateway.Offset(offset)
	return gateway.LetterQuery{Forwarder: args[0], Query: gateway.Query{From: at, To: at}}, nil
}

func (v *logVerbs) showLetter(ctx context.Context, log letterAccess, q gateway.LetterQuery, asJSON bool) error {
	found := false
	err := log.Letters(ctx, q, func(l gateway.DeadLetter) error {
		found = true
		text := append(l.AppendJSON(nil), '\n')
		if !asJSON {
			text = []byte(shownLetter(&l, time.Now()))
		}
		_, err := v.std.out.Write(text)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("forwarder %s has no dead letter of offset %d: gateway deadletter list shows those that there are", q.Forwarder, q.From)
	}
	return err
}

func shownLetter(l *gateway.DeadLetter, now time.Time) string {
	var s screen
	s.line("forwarder", "%s, to %s", l.Forwarder, l.Sink)
	s.line("class", "%s", l.Class)
	s.line("cause", "%s", l.Cause)
	s.line("attempts", "%d, from %s to %s", l.Attempts, clockTime(l.First), clockTime(l.Last))
	s.b.WriteByte('\n')
	e := gateway.Entry{Offset: l.Offset, Received: l.Last, Event: l.Event}
	s.b.WriteString(shown(&e, &gateway.LogStatus{}, now))
	return s.b.String()
}

func newLetterRequeue(v *logVerbs) *cobra.Command {
	return v.letterVerb("requeue", "Have dead letters delivered once more",
		"Has the dead letters that match delivered once more, by the forwarder that set them aside, marked with the attribute backfill, whatever their age. One that is refused again is a dead letter again.",
		"to be delivered once more", letterAccess.Requeue)
}

func newLetterDrop(v *logVerbs) *cobra.Command {
	return v.letterVerb("drop", "Delete dead letters", "Deletes the dead letters that match, for good.", "dropped", letterAccess.Drop)
}

func (v *logVerbs) letterVerb(name, short, long, done string, do func(letterAccess, context.Context, gateway.LetterQuery) (int, error)) *cobra.Command {
	var q letterFlags
	cmd := &cobra.Command{
		Use: name + " [FORWARDER OFFSET]", Short: short, Long: long + " Which ones say the flags, or a forwarder and an offset.", Args: cobra.MaximumNArgs(2), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			query, err := q.letters(len(args) == 0)
			if len(args) > 0 && err == nil {
				query, err = oneLetterQuery(args)
			}
			if err != nil {
				return err
			}
			return v.withWritable(ctx, func(_ *logPlace, log logAccess) error {
				n, err := do(log.(letterAccess), ctx, query)
				if err == nil || n > 0 {
					_, _ = fmt.Fprintf(v.std.out, "%s %s\n", count(uint64(n), "dead letter"), done)
				}
				return err
			})
		}),
	}
	q.add(cmd)
	q.addAll(cmd)
	return cmd
}

func newLetterExport(v *logVerbs) *cobra.Command {
	var q letterFlags
	cmd := &cobra.Command{
		Use: "export [FILE]", Short: "Write the events of dead letters as CloudEvents, one a line", Args: cobra.MaximumNArgs(1),
		Long: "Writes the events of the dead letters that match, as CloudEvents in JSON, one a line, to FILE or to standard output. gateway log import takes them in as new events.",
		RunE: v.action(func(ctx context.Context, args []string) error {
			query, err := q.letters(false)
			if err != nil {
				return err
			}
			return v.with(ctx, func(_ *logPlace, log logAccess) error {
				if len(args) == 0 || args[0] == "-" {
					return v.exportLetters(ctx, log.(letterAccess), query, v.std.out)
				}
				return writeWhole(args[0], func(w io.Writer) error { return v.exportLetters(ctx, log.(letterAccess), query, w) })
			})
		}),
	}
	q.add(cmd)
	return cmd
}

func (v *logVerbs) exportLetters(ctx context.Context, log letterAccess, q gateway.LetterQuery, w io.Writer) error {
	out := bufio.NewWriter(w)
	n, refused := uint64(0), uint64(0)
	err := log.Letters(ctx, q, func(l gateway.DeadLetter) error {
		line, err := l.Event.AppendJSON(nil)
		if err != nil {
			refused++
			return nil
		}
		n++
		_, err = out.Write(append(line, '\n'))
		return err
	})
	if err = errors.Join(err, out.Flush()); err == nil {
		v.std.say("exported %s\n", count(n, "event"))
	}
	if err == nil && refused > 0 {
		v.std.say("%s no CloudEvent, and left out: gateway deadletter list --json has them\n", count(refused, "event"))
	}
	return err
}
