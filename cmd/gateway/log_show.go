package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateway"
	"gateway/admin"
)

func newLogShow(v *logVerbs) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show OFFSET",
		Short: "Show all of one event, and which forwarders still have it before them",
		Long: `Shows every attribute and the data of the event at an offset, and which forwarders are past it. "settled" means that the
forwarder has delivered it, has set it aside as undeliverable, or does not want it; "waiting" that it has yet to.
Exit code 1 where no event is at the offset: it was lost (then it says when and why), is not kept any more, or has yet to come.`,
		Example:           "  gateway log show 1234\n  gateway log show 1234 --json | jq .event.data",
		Args:              argument("OFFSET"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, args []string) error {
			offset, err := strconv.ParseUint(args[0], 10, 64)
			if err != nil || offset == 0 {
				return &usageError{fmt.Errorf("%q is no offset", args[0]), "offsets are numbers from 1; gateway log list shows them"}
			}
			return v.with(ctx, func(_ *logPlace, log logAccess) error {
				return v.show(ctx, log, gateway.Offset(offset), asJSON)
			})
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func (v *logVerbs) show(ctx context.Context, log logAccess, offset gateway.Offset, asJSON bool) error {
	st, err := log.Status(ctx)
	if err != nil {
		return err
	}
	if gap, ok := gapAt(&st, offset); ok {
		return goneError(gap, offset)
	}
	e, err := log.Event(ctx, offset)
	if errors.Is(err, admin.ErrNoEvent) && offset < st.First {
		return fmt.Errorf("offset %d is not in the log any more, the oldest is %d: every forwarder was past it, or there is none, so its room was used again; "+
			"buffer.keep_delivered says for how long such events are kept", offset, st.First)
	}
	if err != nil {
		return err
	}
	if asJSON {
		_, err = v.std.out.Write(shownJSON(&e, &st))
	} else {
		_, err = v.std.out.Write([]byte(shown(&e, &st, time.Now())))
	}
	return err
}

// gapAt is the hole of the log that has offset.
func gapAt(st *gateway.LogStatus, offset gateway.Offset) (gateway.Gap, bool) {
	i := slices.IndexFunc(st.Gaps, func(g gateway.Gap) bool { return g.From <= offset && offset <= g.To })
	if i < 0 {
		return gateway.Gap{}, false
	}
	return st.Gaps[i], true
}

// goneError says what is known of an event that was lost.
func goneError(g gateway.Gap, offset gateway.Offset) error {
	text := fmt.Sprintf("offset %d was lost with %s, offsets %d to %d: %s", offset, count(g.Count(), "event"), g.From, g.To, lostReason(g.Reason))
	if !g.Since.IsZero() && !g.Until.IsZero() {
		text += fmt.Sprintf("; they were received from %s to %s", clockTime(g.Since), clockTime(g.Until))
	}
	if !g.Noticed.IsZero() {
		text += fmt.Sprintf("; noticed %s", clockTime(g.Noticed))
	}
	return errors.New(text)
}

// lostReason is why events were lost, in a sentence.
func lostReason(reason string) string {
	switch reason {
	case gateway.LostFull:
		return "the log was full and they made room (buffer.when_full: drop_oldest)"
	case gateway.LostAge:
		return "they were older than buffer.max_age"
	case gateway.LostDamage:
		return "they could not be read any more"
	}
	return reason
}

// shownJSON is the entry as a JSON line, with who has settled it.
func shownJSON(e *gateway.Entry, st *gateway.LogStatus) []byte {
	settled := map[string]bool{}
	for name, offset := range st.Cursors {
		settled[name] = offset >= e.Offset
	}
	text, _ := json.Marshal(settled) // a map of strings to truth values always has a form
	line := e.AppendJSON(nil)
	line = append(append(line[:len(line)-1], `,"settled":`...), text...)
	return append(line, '}', '\n')
}

// shown is the entry for people.
func shown(e *gateway.Entry, st *gateway.LogStatus, now time.Time) string {
	var s screen
	ev := &e.Event
	s.line("offset", "%d", e.Offset)
	s.line("received", "%s, %s ago", e.Received.Local().Format("2006-01-02 15:04:05.000000 MST"), ageText(now.Sub(e.Received)))
	if topic := ev.Topic(); topic != ev.Subject {
		s.line("topic", "%s", topic)
	}
	for _, a := range []struct{ name, value string }{
		{"id", ev.ID}, {"source", ev.Source}, {"type", ev.Type}, {"subject", ev.Subject}, {"time", timeText(ev.Time)},
		{"datacontenttype", ev.DataContentType}, {"dataschema", ev.DataSchema},
	} {
		if a.value != "" {
			s.line(a.name, "%s", a.value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(ev.Extensions)) {
		s.line(name, "%s", ev.Extensions[name])
	}
	if err := ev.Validate(); err != nil {
		s.line("note", "no valid CloudEvent: %v", err)
	}
	s.cursors(e.Offset, st)
	s.b.WriteByte('\n')
	s.b.WriteString(dataText(ev.Data))
	return s.b.String()
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// cursors says who has settled the event at offset.
func (s *screen) cursors(offset gateway.Offset, st *gateway.LogStatus) {
	if len(st.Cursors) == 0 {
		s.line("forwarders", "none waits for it")
	}
	label := "forwarders"
	for _, cursor := range slices.Sorted(maps.Keys(st.Cursors)) {
		state, name := "settled", strings.TrimPrefix(cursor, cursorPrefix)
		if at := st.Cursors[cursor]; at < offset {
			state = fmt.Sprintf("waiting, with %s before it", number(uint64(offset-max(at+1, st.First))))
		}
		s.line(label, "%s: %s", name, state)
		label = ""
	}
}

// dataText is an event's data under a line that says what it is.
func dataText(data []byte) string {
	size := count(uint64(len(data)), "byte")
	var pretty bytes.Buffer
	switch {
	case len(data) == 0:
		return "no data\n"
	case bytes.ContainsAny(data[:1], " \t\r\n{[") && json.Indent(&pretty, data, "", "  ") == nil:
		return size + " of JSON:\n\n" + paragraph(strings.TrimSpace(pretty.String()))
	case isText(data):
		return size + " of text:\n\n" + paragraph(string(data))
	}
	return size + ", binary:\n\n" + hex.Dump(data)
}
