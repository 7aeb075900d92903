package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/buffer"
)

// queryFlags say which events a verb is about.
type queryFlags struct {
	from, to     uint64
	since, until string
	topics       []string
	source, typ  string
	limit, last  int
	lastGiven    bool
	cmd          *cobra.Command
}

// add registers the flags. last is how many of the newest events are meant where nothing says which part of the log is; 0: all.
func (q *queryFlags) add(cmd *cobra.Command, last int) {
	q.cmd = cmd
	f := cmd.Flags()
	f.Uint64Var(&q.from, "from", 0, "the first offset")
	f.Uint64Var(&q.to, "to", 0, "the last offset")
	f.StringVar(&q.since, "since", "", "events received at this time or later: 2h (ago), 14:30, 2026-01-31")
	f.StringVar(&q.until, "until", "", "events received before this time")
	f.StringArrayVar(&q.topics, "topic", nil, "a topic filter, such as 'hall/#'; may be repeated: one must match")
	f.StringVar(&q.source, "source", "", "the source, or its beginning and *")
	f.StringVar(&q.typ, "type", "", "the type, or its beginning and *")
	f.IntVar(&q.limit, "limit", 0, "at most so many, the oldest; 0: all")
	f.IntVar(&q.last, "last", last, "at most so many, the newest; 0: all")
	cmd.MarkFlagsMutuallyExclusive("limit", "last")
}

// span says that the flags name a part of the log.
func (q *queryFlags) span() bool {
	return q.from != 0 || q.to != 0 || q.since != "" || q.until != ""
}

// query is what the flags ask for.
func (q *queryFlags) query(now time.Time) (gateway.Query, error) {
	var none gateway.Query
	since, err := whenFlag("--since", q.since, now)
	if err != nil {
		return none, err
	}
	until, err := whenFlag("--until", q.until, now)
	if err != nil {
		return none, err
	}
	for _, topic := range q.topics {
		if err := gateway.ValidFilter(topic); err != nil {
			return none, &usageError{fmt.Errorf("--topic %s: %w", topic, err), "+ stands for one level, # at the end for all that follow"}
		}
	}
	switch {
	case q.limit < 0 || q.last < 0:
		return none, &usageError{errors.New("a number of events must not be negative"), "give 0 for all"}
	case q.to != 0 && q.to < q.from:
		return none, &usageError{fmt.Errorf("--from %d is behind --to %d", q.from, q.to), "the log goes from small offsets to large ones"}
	case !since.IsZero() && !until.IsZero() && !since.Before(until):
		return none, &usageError{fmt.Errorf("--since %s is not before --until %s", q.since, q.until), "the log goes from old events to new ones"}
	}
	query := gateway.Query{
		From: gateway.Offset(q.from), To: gateway.Offset(q.to), Since: since, Until: until,
		Topics: q.topics, Source: q.source, Type: q.typ, Limit: q.limit,
	}
	q.lastGiven = q.cmd.Flags().Changed("last")
	if q.last > 0 && q.limit == 0 && (q.lastGiven || !q.span()) {
		query.Limit, query.Last = q.last, true
	}
	return query, nil
}

func whenFlag(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := parseWhen(text, now)
	if err != nil {
		return t, &usageError{fmt.Errorf("%s %s is not a time", flag, strconv.Quote(text)), err.Error()}
	}
	return t, nil
}

// readOnly are options that change nothing.
func readOnly(o buffer.Options) buffer.Options {
	o.ReadOnly = true
	return o
}
