package buffer

import (
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"

	"gateway"
)

// wear follows how many bytes this process causes to be written to block devices.
//
// The kernel counts a page when it is made dirty, for the process that did it (write_bytes of /proc/self/io, less what was
// cut off before it was written). So the figure is of whole pages of 4 KiB, it has the write-ahead log, the tables and all
// their rewriting in it, and it does not have the filesystem's journal, which a sync that changes metadata also writes, nor
// what the card's own controller makes of it: no system call knows that. docs/flash.md has the first factor as measured.
type wear struct {
	// read replaces the kernel's count in tests; nil asks the kernel.
	read func() uint64

	mu      sync.Mutex
	newest  wearSample
	samples []wearSample // one an hour by the monotonic clock: the oldest is a day old, or of the start
}

type wearSample struct {
	at      time.Time // with its monotonic reading
	written uint64
}

const (
	wearFresh  = time.Second // the kernel is asked no more often than that
	wearSpaced = time.Hour   // between two samples that are kept
	wearDay    = 24 * time.Hour
	// wearLeast is how long a rate must have been watched: opening a log writes much at once, and that says nothing about a day.
	wearLeast = time.Minute
	daysAYear = 365.25
)

// sample asks the kernel, if it was not asked just now. The housekeeper calls it, so that the last day is known whenever
// somebody wants to.
func (w *wear) sample() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(time.Now())
}

// look is sample with w.mu held.
func (w *wear) look(now time.Time) {
	if len(w.samples) > 0 && now.Sub(w.newest.at) < wearFresh {
		return
	}
	read := w.read
	if read == nil {
		read = writtenByUs
	}
	w.newest = wearSample{now, max(read(), w.newest.written)}
	if n := len(w.samples); n == 0 || now.Sub(w.samples[n-1].at) >= wearSpaced {
		w.samples = append(w.samples, w.newest)
	}
	for len(w.samples) > 1 && now.Sub(w.samples[1].at) >= wearDay {
		w.samples = append(w.samples[:0], w.samples[1:]...)
	}
}

// status is what events and payload bytes, both since the start, have cost, for a card that can take endurance bytes (0: unknown).
func (w *wear) status(events, payload uint64, endurance int64) gateway.WearStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.look(time.Now())
	s := gateway.WearStatus{Written: w.newest.written, Endurance: endurance}
	if events > 0 {
		s.PerEvent = float64(s.Written) / float64(events)
	}
	if payload > 0 {
		s.PerPayloadByte = float64(s.Written) / float64(payload)
	}
	oldest := w.samples[0]
	if took := w.newest.at.Sub(oldest.at); took >= wearLeast {
		s.PerDay = float64(w.newest.written-oldest.written) / took.Hours() * wearDay.Hours()
	}
	if s.PerDay > 0 {
		s.Years = float64(endurance) / (s.PerDay * daysAYear)
	}
	return s
}

// writtenByUs is the kernel's count for this process, 0 where it keeps none.
func writtenByUs() uint64 {
	text, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	return parseWritten(text)
}

// parseWritten reads /proc/PID/io.
func parseWritten(text []byte) uint64 {
	var wrote, cancelled uint64
	for line := range bytes.Lines(text) {
		name, value, _ := bytes.Cut(line, []byte(":"))
		n, err := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
		if err != nil {
			continue
		}
		switch string(name) {
		case "write_bytes":
			wrote = n
		case "cancelled_write_bytes":
			cancelled = n
		}
	}
	return wrote - min(cancelled, wrote)
}
