package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/admin"
)

func newReplay(std streams) *cobra.Command {
	v := &logVerbs{std: std}
	var q queryFlags
	var r admin.ReplayRequest
	var detach bool
	cmd := &cobra.Command{
		Use:   "replay --forwarder NAME [--from OFFSET|--since TIME] [--to OFFSET|--until TIME] [--topic FILTER]",
		Short: "Deliver events of the log once more",
		Long: `Has a forwarder of the running gateway deliver events that the log still has once more, beside what comes and within its budget. They
are marked with the attribute replay, and keep their IDs, so that a receiver that knows them drops them; --new-ids gives them others. It is a
job of the gateway: it goes on where this command ends or the gateway is restarted. How long events are kept after their delivery says
buffer.keep_delivered.
` + timesHelp,
		Example: `  gateway replay --forwarder cloud --since 2026-11-20 --until 2026-11-21
  gateway replay --forwarder cloud --from 1200 --to 9000 --topic 'hall/#' --rate 100
  gateway replay list
  gateway replay pause cloud 1`,
		Args: noVerb,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			if r.Forwarder == "" {
				return &usageError{errors.New("--forwarder is missing"), "gateway status shows the forwarders"}
			}
			var err error
			if r.Query, err = q.query(time.Now()); err != nil {
				return err
			}
			return v.replay(ctx, r, detach)
		}),
	}
	v.where.add(cmd.PersistentFlags())
	f := cmd.Flags()
	q.cmd = cmd
	f.Uint64Var(&q.from, "from", 0, "the first offset")
	f.Uint64Var(&q.to, "to", 0, "the last offset")
	f.StringVar(&q.since, "since", "", "events received at this time or later: 2h (ago), 14:30, 2026-01-31")
	f.StringVar(&q.until, "until", "", "events received before this time")
	f.StringArrayVar(&q.topics, "topic", nil, "a topic filter, such as 'hall/#'; may be repeated: one must match")
	f.StringArrayVar(&q.topics, "match", nil, "the same as --topic")
	f.IntVar(&q.last, "last", 0, "")
	_ = f.MarkHidden("last") // fails for a flag that does not exist only
	f.StringVar(&r.Forwarder, "forwarder", "", "the forwarder that delivers them")
	f.StringVar(&r.Where, "where", "", "a condition, as of a route: docs/expressions.md")
	f.Int64Var(&r.Rate, "rate", 0, "at most so many events a second; 0: as the forwarder's budget allows")
	f.BoolVar(&r.NewIDs, "new-ids", false, "give the events other IDs")
	f.BoolVar(&detach, "detach", false, "do not wait for the end")
	cmd.AddCommand(newReplayList(v),
		newReplayTurn(v, admin.ReplayPause, "Stop a replay for a while"),
		newReplayTurn(v, admin.ReplayResume, "Go on with a replay that was paused"),
		newReplayTurn(v, admin.ReplayCancel, "End a replay"))
	return cmd
}

// client is that of the running gateway; an error says that none runs.
func (v *logVerbs) client(ctx context.Context) (*admin.Client, error) {
	place, err := v.find(ctx)
	if err != nil {
		return nil, err
	}
	if !place.running() {
		return nil, notRunning(place.dir, admin.ErrNotRunning)
	}
	return place.client, nil
}

func (v *logVerbs) replay(ctx context.Context, r admin.ReplayRequest, detach bool) error {
	client, err := v.client(ctx)
	if err != nil {
		return err
	}
	s, err := client.Replay(ctx, r)
	if err != nil {
		return err
	}
	v.std.say("replay %s of forwarder %s: offsets %s to %s\n", s.ID, s.Forwarder, number(uint64(s.From)), number(uint64(s.To)))
	if detach {
		return nil
	}
	p := v.progress("replayed", "offset")
	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			p.end()
			return fmt.Errorf("the replay goes on without this command; gateway replay cancel %s %s ends it", s.Forwarder, s.ID)
		}
		st, err := client.Status(ctx)
		if err != nil {
			return err
		}
		now, ok := replayOf(&st, s.Forwarder, s.ID)
		switch {
		case !ok:
			return fmt.Errorf("replay %s of forwarder %s is not known any more", s.ID, s.Forwarder)
		case now.Ended.IsZero():
			p.at(uint64(max(now.At, now.From-1)-(now.From-1)), uint64(now.To-now.From+1))
			if now.State == gateway.ReplayPaused {
				p.end()
				return fmt.Errorf("replay %s of forwarder %s was paused: gateway replay resume %s %s goes on", s.ID, s.Forwarder, s.Forwarder, s.ID)
			}
		default:
			p.end()
			v.std.say("%s\n", replayText(&now))
			if now.State != gateway.ReplayDone {
				return errReported
			}
			return nil
		}
	}
}

func replayOf(st *admin.Status, forwarder, id string) (gateway.ReplayStatus, bool) {
	for i := range st.Forwarders {
		for _, r := range st.Forwarders[i].Replays {
			if st.Forwarders[i].Name == forwarder && r.ID == id {
				return r, true
			}
		}
	}
	return gateway.ReplayStatus{}, false
}

// replayText says how far a replay is.
func replayText(r *gateway.ReplayStatus) string {
	text := fmt.Sprintf("replay %s %s: offsets %s to %s", r.ID, r.State, number(uint64(r.From)), number(uint64(r.To)))
	if len(r.Match) > 0 {
		text += " of " + strings.Join(r.Match, ", ")
	}
	if r.Ended.IsZero() {
		text += ", at " + number(uint64(r.At))
	}
	var counts some
	counts.add(r.Duplicates, "of them known to the receiver")
	counts.add(r.Skipped, "not matching")
	counts.add(r.DeadLettered, "set aside")
	return strings.Join(append([]string{text + "; " + number(r.Delivered) + " delivered"}, counts...), ", ")
}

func newReplayList(v *logVerbs) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List replays, and how far they are", Args: cobra.NoArgs, ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			client, err := v.client(ctx)
			if err != nil {
				return err
			}
			st, err := client.Status(ctx)
			if err != nil {
				return err
			}
			list := []gateway.ReplayStatus{}
			for i := range st.Forwarders {
				list = append(list, st.Forwarders[i].Replays...)
			}
			if asJSON {
				return writeJSON(v.std.out, list)
			}
			for i := range list {
				if _, err := fmt.Fprintf(v.std.out, "%s: %s\n", list[i].Forwarder, replayText(&list[i])); err != nil {
					return err
				}
			}
			if len(list) == 0 {
				v.std.say("there is no replay\n")
			}
			return nil
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func newReplayTurn(v *logVerbs, action, short string) *cobra.Command {
	return &cobra.Command{
		Use: action + " FORWARDER ID", Short: short, Args: cobra.ExactArgs(2), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			client, err := v.client(ctx)
			if err != nil {
				return err
			}
			s, err := client.TurnReplay(ctx, args[0], args[1], action)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(v.std.out, replayText(&s))
			return err
		}),
	}
}
