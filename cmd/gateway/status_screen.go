package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"gateway"
)

// screenWidth is how many columns a line has at most.
const screenWidth = 80

// screen gathers lines of a label and a text, which is broken at the width.
type screen struct{ b strings.Builder }

// labelWidth is where texts begin.
const labelWidth = 12

func (s *screen) line(label, format string, args ...any) {
	text := printable(fmt.Sprintf(format, args...))
	label = printable(label)
	if len([]rune(label)) >= labelWidth { // a long name has a line of its own
		s.b.WriteString(label + "\n")
		label = ""
	}
	used := labelWidth
	fmt.Fprintf(&s.b, "%-*s", labelWidth, label)
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case used+1+n > screenWidth:
			s.b.WriteString("\n" + strings.Repeat(" ", labelWidth))
			used = labelWidth
		default:
			s.b.WriteByte(' ')
			used++
		}
		s.b.WriteString(word)
		used += n
	}
	s.b.WriteByte('\n')
}

// printable keeps what others wrote from steering the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// statusScreen is what a person reads.
func statusScreen(a *statusAnswer, now time.Time) string {
	var s screen
	s.line("gateway", "%s, version %s, process %d", a.ID, a.Version, a.PID)
	s.line("", "runs since %s (%s); counts are since then", clockTime(a.Started), ageText(now.Sub(a.Started)))
	s.line("data", "%s", a.DataDir)
	s.b.WriteByte('\n')
	s.log(a)
	s.damage(&a.Report)
	s.clock(&a.Log.Clock)
	s.wear(&a.Log.Wear)
	s.b.WriteByte('\n')
	s.broker(&a.Broker)
	for i := range a.Sources {
		s.source(&a.Sources[i], now)
	}
	s.devices(a.Devices, now)
	s.b.WriteByte('\n')
	if len(a.Forwarders) == 0 {
		s.line("forwarders", "none, so a full log drops its oldest events")
	}
	for i := range a.Forwarders {
		s.forwarder(&a.Forwarders[i], now)
	}
	return s.b.String()
}

func (s *screen) log(a *statusAnswer) {
	l := &a.Log
	if l.First > l.Last {
		s.line("log", "no events; the next has offset %s", number(uint64(l.Last)+1))
	} else {
		s.line("log", "%s, offsets %s to %s", count(uint64(l.Last-l.First)+1, "event"), number(uint64(l.First)), number(uint64(l.Last)))
		s.line("", "received %s to %s", clockTime(a.OldestReceived), clockTime(a.NewestReceived))
	}
	s.line("", "%s appended in %s, %s trimmed", number(l.Appended), count(l.Commits, "commit"), number(l.Trimmed))
	s.line("disk", "%s %s of %s", bar(l.Bytes, l.MaxBytes), sizeText(float64(l.Bytes)), sizeText(float64(l.MaxBytes)))
	switch {
	case l.Failed != "":
		s.line("", "FAILED, nothing is accepted: %s", l.Failed)
		s.line("", "check the disk, then restart the gateway")
	case !l.Full:
		s.line("", "not full: events are accepted")
	case l.FullReason == gateway.FullDisk:
		s.line("", "FULL, nothing is accepted: the file system has less than buffer.reserve left; free space on it")
	default:
		s.line("", "FULL, nothing is accepted: the log has reached buffer.max_size; see what the forwarders wait for, or set buffer.when_full")
	}
	var lost some
	for _, reason := range slices.Sorted(maps.Keys(l.Lost)) {
		lost.add(l.Lost[reason], "by "+reason)
	}
	if len(lost) > 0 {
		s.line("lost", "%s", strings.Join(lost, ", "))
	}
	s.gaps(l.Gaps)
}

// gapsShown is how many gaps fit on a screen with the rest.
const gapsShown = 3

func (s *screen) gaps(gaps []gateway.Gap) {
	for i, g := range gaps {
		if i == gapsShown {
			s.line("", "and %s more: gateway log list --type %s", count(uint64(len(gaps)-gapsShown), "gap"), gateway.TypeGap)
			return
		}
		s.line("gap", "%s to %s, %s, lost by %s", number(uint64(g.From)), number(uint64(g.To)), count(g.Count(), "event"), g.Reason)
	}
}

func (s *screen) damage(r *gateway.LogReport) {
	if r.Sound() {
		return
	}
	gone := uint64(0)
	for _, g := range r.Gone {
		gone += g.Count()
	}
	s.line("damage", "at the start: %s, %s missing; see gateway log verify", count(uint64(len(r.Problems)), "problem"), count(gone, "event"))
	if r.Quarantine != "" {
		s.line("", "damaged files: %s", r.Quarantine)
	}
}

func (s *screen) clock(c *gateway.ClockStatus) {
	switch {
	case c.Ahead > 0:
		s.line("clock", "WRONG: it is %s behind the newest event, so events get the time %s", ageText(c.Ahead), clockTime(c.Now))
	case !c.Synced:
		s.line("clock", "not synchronised: times of events are put right once it is")
	default:
		s.line("clock", "synchronised")
	}
}

func (s *screen) wear(w *gateway.WearStatus) {
	if w.Written == 0 {
		s.line("card", "nothing written yet, as far as the kernel tells")
		return
	}
	s.line("card", "%s written: %s an event, %.1f bytes a byte of payload", sizeText(float64(w.Written)), sizeText(w.PerEvent), w.PerPayloadByte)
	switch {
	case w.PerDay == 0:
		s.line("", "how long it lasts is not known yet")
	case w.Endurance == 0:
		s.line("", "%s a day; years unknown: set buffer.card_endurance", sizeText(w.PerDay))
	case w.Years == 0:
		s.line("", "%s a day", sizeText(w.PerDay))
	case w.Years > 100:
		s.line("", "%s a day: at this rate it lasts more than 100 years", sizeText(w.PerDay))
	default:
		s.line("", "%s a day: at this rate it lasts %.1f years", sizeText(w.PerDay), w.Years)
	}
}

func (s *screen) broker(b *gateway.BrokerStatus) {
	s.line("broker", "%s; %s, %s", cmp.Or(strings.Join(b.Addresses, ", "), "listens nowhere"),
		count(uint64(max(0, b.Clients)), "client"), count(b.Connections, "connection"))
	outcomes := some{number(b.Stored) + " stored"}
	outcomes.add(b.Unlogged, "outside capture")
	outcomes.add(b.Looped, "of them here before")
	outcomes.add(b.Duplicates, "sent twice")
	outcomes.add(b.Refused, "refused")
	outcomes.add(b.Dropped, "dropped (QoS 0)")
	outcomes.add(b.Disconnected, "not acknowledged")
	s.line("", "%s received: %s", number(b.Received), strings.Join(outcomes, ", "))
	var trouble some
	trouble.add(b.AuthFailures, "refused at login")
	trouble.add(b.Overflows, "closed for not reading")
	trouble.add(b.RouteDropped, "not routed to local subscribers")
	trouble.add(b.Panics, "recovered from a panic")
	if len(trouble) > 0 {
		s.line("", "trouble: %s", strings.Join(trouble, ", "))
	}
}

// source shows how a source is.
func (s *screen) source(f *gateway.SourceStatus, now time.Time) {
	state := f.State
	if state == "refused" {
		state = "REFUSED"
	}
	s.line(f.Name, "source, %s since %s (%s); %s", state, clockTime(f.Since), ageText(now.Sub(f.Since)), f.URL)
	counts := some{number(f.Stored) + " stored"}
	counts.add(f.Duplicates, "stored before")
	counts.add(f.Looped, "here before")
	counts.add(f.Ignored, "ignored")
	counts.add(f.Refused, "too large")
	s.line("", "%s received: %s", number(f.Received), strings.Join(counts, ", "))
	if f.Full {
		s.line("", "its messages wait: the log is full")
	}
	if f.LastError != "" {
		s.line("", "the last error: %s", f.LastError)
	}
}

// devicesShown is how many devices fit on a screen with the rest: where there are more, those that work are counted.
const devicesShown = 8

// devices shows a line for each, and what is wrong with those that do not work.
func (s *screen) devices(list []gateway.DeviceStatus, now time.Time) {
	if len(list) == 0 {
		return
	}
	s.b.WriteByte('\n')
	if len(list) > devicesShown {
		all := len(list)
		list = slices.DeleteFunc(slices.Clone(list), func(d gateway.DeviceStatus) bool { return d.State == gateway.DeviceOK })
		s.line("devices", "%d of %d work; --json has them all", all-len(list), all)
		if more := len(list) - devicesShown; more > 0 {
			list = list[:devicesShown]
			s.line("", "%d that do not are not shown", more)
		}
	}
	for i := range list {
		d := &list[i]
		what := d.Value
		if d.State != gateway.DeviceOK {
			what = fmt.Sprintf("%s since %s (%s)", strings.ToUpper(d.State), clockTime(d.Since), ageText(now.Sub(d.Since)))
		}
		s.line(d.Name, "%s at %s: %s", d.Type, cmp.Or(d.Where, "the board"), cmp.Or(what, "nothing read yet"))
		if d.Fault != "" {
			s.line("", "%s", d.Fault)
		}
		var counts some
		if d.Faults > 0 {
			counts = append(counts, count(d.Faults, "fault"))
		}
		counts.add(d.Missed, "missed")
		if len(counts) > 0 {
			s.line("", "%s", strings.Join(counts, ", "))
		}
	}
}

// some are counts that are worth a word.
type some []string

func (s *some) add(n uint64, text string) {
	if n > 0 {
		*s = append(*s, number(n)+" "+text)
	}
}
