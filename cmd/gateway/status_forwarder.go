package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gateway"
)

// forwarder shows how a forwarder is: its state, what waits in each lane, what came of attempts, and what is left of its budget.
func (s *screen) forwarder(f *gateway.ForwarderStatus, now time.Time) {
	state := f.State
	if state == gateway.StateBlocked || state == gateway.StateStopped {
		state = strings.ToUpper(state)
	}
	waiting := "nothing waits"
	if f.Waiting > 0 {
		waiting = waitingText(f.Waiting, 0, f.Lag)
	}
	s.line(f.Name, "%s since %s (%s); %s", state, clockTime(f.Since), ageText(now.Sub(f.Since)), waiting)
	if f.Held != "" {
		s.line("", "waits on purpose: %s", f.Held)
	}
	busy := len(f.Lanes) > 1
	for i := range f.Lanes {
		if l := &f.Lanes[i]; busy || l.Waiting > 0 {
			s.lane(l)
		}
	}
	counts := some{number(f.Delivered) + " delivered"}
	counts.add(f.Duplicates, "of them known to the receiver")
	counts.add(f.Skipped, "not matching")
	counts.add(f.Expired, "expired")
	counts.add(f.Poison, "poison")
	counts.add(f.Retried, "sent again")
	counts.add(f.Undecided, "undecided conditions")
	counts.add(f.OutcomesLost, "outcomes lost to a full log")
	s.line("", "%s", strings.Join(counts, ", "))
	s.letters(f)
	s.answers(f)
	if f.MonthLimit > 0 {
		s.line("", "this month %s %s of %s", bar(f.Month, f.MonthLimit), sizeText(float64(f.Month)), sizeText(float64(f.MonthLimit)))
	}
	for i := range f.Replays {
		if r := &f.Replays[i]; r.Ended.IsZero() {
			s.line("", "%s", replayText(r))
		}
	}
	if f.LastError != "" {
		s.line("", "the last error: %s", f.LastError)
	}
}

func waitingText(n, bytes uint64, lag time.Duration) string {
	text := number(n) + " waiting"
	if bytes > 0 {
		text += fmt.Sprintf(" (about %s)", sizeText(float64(bytes)))
	}
	if lag > 0 {
		text += ", the oldest " + ageText(lag)
	}
	return text
}

// lane shows what waits in a lane, and how long that takes.
func (s *screen) lane(l *gateway.LaneStatus) {
	text := "nothing waits"
	if l.Waiting > 0 {
		text = waitingText(l.Waiting, l.WaitingBytes, l.Lag)
	}
	if l.Rate >= 0.1 {
		text += fmt.Sprintf("; %.1f a second", l.Rate)
	}
	if l.Waiting > 0 && l.ETA > 0 {
		text += ", done in " + ageText(l.ETA)
	}
	s.line("", "%s: %s", l.Name, text)
}

// letters shows the dead letters that are kept.
func (s *screen) letters(f *gateway.ForwarderStatus) {
	if f.Letters == 0 && f.LettersDropped == 0 && f.Requeued == 0 {
		return
	}
	counts := some{count(uint64(f.Letters), "dead letter") + " (" + sizeText(float64(f.LetterBytes)) + ")"}
	counts.add(uint64(f.Requeued), "to be delivered once more")
	counts.add(f.LettersDropped, "dropped for lack of room")
	s.line("", "%s: gateway deadletter list --forwarder %s", strings.Join(counts, ", "), f.Name)
}

// answers shows what came of attempts, where not all worked.
func (s *screen) answers(f *gateway.ForwarderStatus) {
	var counts some
	for _, class := range slices.Sorted(maps.Keys(f.Answers)) {
		counts.add(f.Answers[class], class)
	}
	if f.Failures == 0 && len(counts) < 2 {
		return
	}
	text := fmt.Sprintf("%s, %s failed", count(f.Attempts, "attempt"), number(f.Failures))
	if len(counts) > 0 {
		text += ": " + strings.Join(counts, ", ")
	}
	s.line("", "%s", text)
}
