package devices

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"
	"time"
)

// replay is a file of JSON lines, read as a sensor: each line is an object of values, as in the data of an event of type EventReading, and may have "units" too. "after"
// says how long after the line before it comes ("1.5s"), "time" at which moment, of which only the distance from the first line's counts; with neither, each
// reading takes the next line. "fault" is a class of faults in the place of values. After the last line the first follows. It belongs to one goroutine.
type replay struct {
	lines []replayLine
	timed bool
	whole time.Duration // a turn of a timed file

	start time.Time // of the first reading
	next  int
}

type replayLine struct {
	at       time.Duration // since the first
	readings []Reading
	fault    string
}

// Bounds of a file to replay.
const (
	replayBytes = 16 << 20
	replayLines = 100_000
)

// loadReplay reads the whole file, so that what is wrong with it is known at the start.
func loadReplay(path string) (*replay, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > replayBytes {
		return nil, fmt.Errorf("%s has %d bytes: want no more than %d", path, info.Size(), replayBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &replay{}
	var first time.Time
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	for n := 1; scanner.Scan(); n++ {
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		line, at, err := r.parse(scanner.Bytes())
		if err == nil && !at.IsZero() {
			if first.IsZero() {
				first = at
			}
			line.at = at.Sub(first)
		}
		if n := len(r.lines); err == nil && n > 0 && line.at < r.lines[n-1].at {
			err = errors.New(`its time is before that of the line above: each line of a timed file needs "after" or "time"`)
		}
		if err == nil && len(r.lines) == replayLines {
			err = fmt.Errorf("want no more than %d lines", replayLines)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		r.lines = append(r.lines, line)
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(r.lines) == 0 {
		return nil, fmt.Errorf("%s: no lines", path)
	}
	return r, r.turn(path)
}

// turn sets how long a timed file takes: the last line stays for as long as the one before it, or a second.
func (r *replay) turn(path string) error {
	last := len(r.lines) - 1
	r.whole = r.lines[last].at + time.Second
	if last > 0 && r.lines[last].at > r.lines[last-1].at {
		r.whole = 2*r.lines[last].at - r.lines[last-1].at
	}
	if r.whole <= 0 {
		return fmt.Errorf("%s: its times are beyond what can be counted", path)
	}
	return nil
}

// parse reads one line.
func (r *replay) parse(data []byte) (replayLine, time.Time, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return replayLine{}, time.Time{}, err
	}
	var known struct {
		After *string
		Time  time.Time
		Units map[string]string
		Fault string
	}
	for name, into := range map[string]any{"after": &known.After, "time": &known.Time, "units": &known.Units, "fault": &known.Fault} {
		if raw, ok := fields[name]; ok {
			if err := json.Unmarshal(raw, into); err != nil {
				return replayLine{}, time.Time{}, fmt.Errorf("%q: %w", name, err)
			}
			delete(fields, name)
		}
	}
	line := replayLine{fault: known.Fault}
	if known.Fault != "" && !slices.Contains([]string{FaultMissing, FaultCRC, FaultStuck, FaultRange, FaultPermission, FaultOther}, known.Fault) {
		return line, time.Time{}, fmt.Errorf("%q: no such class of faults", known.Fault)
	}
	if err := line.values(fields, known.Units); err != nil {
		return line, time.Time{}, err
	}
	if known.After != nil {
		after, err := time.ParseDuration(*known.After)
		if err != nil || after < 0 {
			return line, time.Time{}, fmt.Errorf(`"after": %q is no length of time`, *known.After)
		}
		r.timed, line.at = true, after
		if len(r.lines) > 0 {
			line.at += r.lines[len(r.lines)-1].at
		}
	}
	r.timed = r.timed || !known.Time.IsZero()
	return line, known.Time, nil
}

// values takes numbers and truths, in the order of their names.
func (l *replayLine) values(fields map[string]json.RawMessage, units map[string]string) error {
	for name, raw := range fields {
		var value any
		if err := json.Unmarshal(raw, &value); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		reading := Reading{Quantity: name, Unit: units[name]}
		if reading.Unit == "" {
			reading.Unit = "1"
		}
		switch v := value.(type) {
		case float64:
			reading.Value = v
		case bool:
			if v {
				reading.Value = 1
			}
		default:
			return fmt.Errorf("%q: want a number, true or false", name)
		}
		l.readings = append(l.readings, reading)
	}
	slices.SortFunc(l.readings, func(a, b Reading) int { return strings.Compare(a.Quantity, b.Quantity) })
	if len(l.readings) == 0 && l.fault == "" {
		return errors.New("no values")
	}
	return nil
}

func (r *replay) reader(ctx context.Context, _ *environment) (reader, error) {
	if r.start.IsZero() {
		r.start = time.Now()
	}
	return r, ctx.Err()
}

// Read is the line whose time it is, or the next.
func (r *replay) Read(ctx context.Context) ([]Reading, error) {
	line := &r.lines[r.next%len(r.lines)]
	if r.timed {
		now := time.Since(r.start) % r.whole
		after := sort.Search(len(r.lines), func(i int) bool { return r.lines[i].at > now })
		line = &r.lines[max(after-1, 0)]
	}
	r.next++
	if line.fault != "" {
		return nil, faultf(line.fault, "replayed: %s", line.fault)
	}
	return line.readings, ctx.Err()
}

func (r *replay) Close() error { return nil }
