package main

import (
	"cmp"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gateway"
)

func newLogStatus(v *logVerbs) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how far the log goes, how full it is, who waits for what, and what was lost",
		Long: `Shows what the log has, on disk and in offsets and times, how far each forwarder is, and the gaps that one of them has yet to
pass. What was lost, trimmed and written is counted since the gateway started, so it is known only while one runs. The bound of a stopped one is known
with --config. gateway status shows the rest of a running gateway.`,
		Example: `  gateway log status
  sudo gateway log status --data-dir /var/lib/gateway
  gateway log status --json | jq '.cursors[] | select(.waiting > 1000)'`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: v.action(func(ctx context.Context, _ []string) error {
			return v.with(ctx, func(place *logPlace, log logAccess) error {
				a, err := v.logStatus(ctx, place, log)
				if err != nil {
					return err
				}
				if asJSON {
					return writeJSON(v.std.out, a)
				}
				_, err = v.std.out.Write([]byte(a.screen()))
				return err
			})
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

// logStatusAnswer is what `gateway log status --json` prints.
type logStatusAnswer struct {
	Running bool   `json:"running"`
	DataDir string `json:"data_dir"`
	// Events is how many the log has.
	Events uint64 `json:"events"`
	// OldestReceived and NewestReceived are when the first and the last of them came.
	OldestReceived time.Time      `json:"oldest_received,omitzero"`
	NewestReceived time.Time      `json:"newest_received,omitzero"`
	Cursors        []cursorStatus `json:"cursors"`
	// Quarantine are the folders with damaged files.
	Quarantine []string          `json:"quarantine,omitempty"`
	Log        gateway.LogStatus `json:"log"`
}

// cursorStatus says how far a consumer is.
type cursorStatus struct {
	Name    string         `json:"name"`
	Settled gateway.Offset `json:"settled"`
	Waiting uint64         `json:"waiting"`
}

func (v *logVerbs) logStatus(ctx context.Context, place *logPlace, log logAccess) (*logStatusAnswer, error) {
	st, err := log.Status(ctx)
	if err != nil {
		return nil, err
	}
	if !place.running() && v.where.config == "" {
		st.MaxBytes = 0 // nobody told us
	}
	a := &logStatusAnswer{Running: place.running(), DataDir: place.dir, Log: st, Cursors: []cursorStatus{}, Quarantine: quarantined(place.dir)}
	if st.First <= st.Last {
		a.Events = uint64(st.Last-st.First) + 1
		a.OldestReceived, a.NewestReceived = entryTime(ctx, log, st.First), entryTime(ctx, log, st.Last)
	}
	for _, name := range slices.Sorted(maps.Keys(st.Cursors)) {
		c := cursorStatus{Name: strings.TrimPrefix(name, cursorPrefix), Settled: st.Cursors[name]}
		if c.Settled < st.Last {
			c.Waiting = uint64(st.Last - max(c.Settled, max(st.First, 1)-1))
		}
		a.Cursors = append(a.Cursors, c)
	}
	return a, nil
}

// entryTime is when the event at offset came; zero if it is not there (any more), or cannot be read.
func entryTime(ctx context.Context, log logAccess, offset gateway.Offset) time.Time {
	e, err := log.Event(ctx, offset)
	if err != nil {
		return time.Time{}
	}
	return e.Received
}

// quarantined are the folders of the data directory that damaged files are kept in, as far as we may look.
func quarantined(dir string) []string {
	parent := filepath.Join(dir, "quarantine")
	entries, err := os.ReadDir(parent)
	if err != nil {
		return nil
	}
	var folders []string
	for _, e := range entries {
		if e.IsDir() {
			folders = append(folders, filepath.Join(parent, e.Name()))
		}
	}
	return folders
}

func (a *logStatusAnswer) screen() string {
	var s screen
	l := &a.Log
	state := "no gateway runs: this is what the directory has"
	if a.Running {
		state = "in use by the running gateway"
	}
	s.line("data", "%s, %s", a.DataDir, state)
	if a.Events == 0 {
		s.line("events", "none; the next has offset %s", number(uint64(l.Last)+1))
	} else {
		s.line("events", "%s, offsets %s to %s", number(a.Events), number(uint64(l.First)), number(uint64(l.Last)))
		s.line("", "received %s to %s", clockTime(a.OldestReceived), clockTime(a.NewestReceived))
	}
	if l.MaxBytes > 0 {
		s.line("disk", "%s %s of %s", bar(l.Bytes, l.MaxBytes), sizeText(float64(l.Bytes)), sizeText(float64(l.MaxBytes)))
	} else {
		s.line("disk", "%s; its bound is in the configuration: --config shows it", sizeText(float64(l.Bytes)))
	}
	s.accepting(a)
	for i, c := range a.Cursors {
		label := ""
		if i == 0 {
			label = "forwarders"
		}
		s.line(label, "%s: settled up to %s, %s waiting", c.Name, number(uint64(c.Settled)), number(c.Waiting))
	}
	if len(a.Cursors) == 0 {
		s.line("forwarders", "none has a place in the log")
	}
	s.losses(a)
	if a.Running {
		s.clock(&l.Clock)
		s.wear(&l.Wear)
	}
	s.line("identity", "log %s, epoch %d", l.LogID, l.Epoch)
	return s.b.String()
}

// accepting says whether events are taken.
func (s *screen) accepting(a *logStatusAnswer) {
	switch {
	case a.Log.Failed != "":
		s.line("", "FAILED, nothing is accepted: %s", a.Log.Failed)
	case a.Log.Full:
		s.line("", "FULL, nothing is accepted: %s", cmp.Or(map[string]string{
			gateway.FullSize: "it has reached buffer.max_size", gateway.FullDisk: "its file system has less than buffer.reserve left",
		}[a.Log.FullReason], a.Log.FullReason))
	}
}

// losses says what is missing, and what was set aside.
func (s *screen) losses(a *logStatusAnswer) {
	var lost some
	for _, reason := range slices.Sorted(maps.Keys(a.Log.Lost)) {
		lost.add(a.Log.Lost[reason], "by "+reason)
	}
	if len(lost) > 0 {
		s.line("lost", "%s since the gateway started", strings.Join(lost, ", "))
	}
	s.gaps(a.Log.Gaps)
	for i, folder := range a.Quarantine {
		label := ""
		if i == 0 {
			label = "quarantine"
		}
		s.line(label, "damaged files are kept in %s", folder)
	}
}
