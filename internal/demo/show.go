package demo

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// show shows a world until it is stopped: a screen that redraws itself on a terminal, a line a second elsewhere.
type show struct {
	out    io.Writer
	screen *screen // nil: lines
	camera camera
	done   chan struct{}
	ended  sync.WaitGroup
}

func startShow(w *world, o Options) *show {
	s := &show{out: o.Out, camera: camera{world: w, length: o.For}, done: make(chan struct{})}
	if s.out == nil {
		s.out = io.Discard
	}
	if f, ok := o.Out.(*os.File); ok && term.IsTerminal(int(f.Fd())) && o.Getenv("TERM") != "dumb" {
		s.screen = &screen{painter: painter{color: o.Getenv("NO_COLOR") == ""}, size: func() (int, int, error) { return term.GetSize(int(f.Fd())) }}
	}
	s.ended.Go(s.run)
	return s
}

// stop shows the end, gives the terminal back and returns.
func (s *show) stop() {
	close(s.done)
	s.ended.Wait()
}

func (s *show) run() {
	ticks := time.NewTicker(frameInterval)
	defer ticks.Stop()
	for n := 0; ; n++ {
		select {
		case now := <-ticks.C:
			f := s.camera.take(now)
			if s.screen != nil {
				s.print(s.screen.draw(f))
			} else if n%4 == 3 { // once a second
				s.print([]byte(plainLine(f)))
			}
		case <-s.done:
			f := s.camera.take(time.Now())
			if s.screen != nil {
				s.print(append(s.screen.draw(f), showCursor...))
				return
			}
			s.print([]byte(plainLine(f)))
			return
		}
	}
}

// print writes to the terminal. If that is gone, the run goes on without it: its ledger is what counts.
func (s *show) print(b []byte) { _, _ = s.out.Write(b) }

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	beginFrame = "\x1b[?2026h" // terminals that know it show a frame at once
	endFrame   = "\x1b[?2026l"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
	clearAll   = "\x1b[2J\x1b[H"
)

// screen redraws frames in place, at the bottom of what the terminal shows, so that the last one stays.
type screen struct {
	painter       painter
	size          func() (width, height int, err error)
	width, height int
	lines         int // that the last frame took
}

// draw returns what to write to the terminal.
func (s *screen) draw(f frame) []byte {
	width, height, err := s.size()
	if err != nil || width < 20 || height < 5 {
		width, height = 80, 24
	}
	var b bytes.Buffer
	b.WriteString(beginFrame + hideCursor)
	switch {
	case s.lines == 0:
	case width != s.width || height != s.height:
		b.WriteString(clearAll) // lines were wrapped anew: the way back is not known
	default:
		fmt.Fprintf(&b, "\x1b[%dA\r", s.lines)
	}
	s.width, s.height = width, height
	lines := s.painter.paint(f, width-1, height-1)
	for _, line := range lines {
		b.WriteString(line + clearLine + "\r\n")
	}
	s.lines = len(lines)
	b.WriteString(clearBelow + endFrame)
	return b.Bytes()
}

// plainLine is a frame for a log file or a pipe.
func plainLine(f frame) string {
	return fmt.Sprintf("%4.0fs  %-8s line %-6s  in %4.0f/s  out %4.0f/s  waiting %6d  lag %5.1fs  acknowledged %7d  arrived %7d\n",
		f.elapsed.Seconds(), shortPhase(f.phase), f.line, f.in, f.out, f.waiting, f.lag.Seconds(), f.account.Acknowledged, f.account.Received)
}

func shortPhase(phase string) string {
	switch phase {
	case phaseRunning, phaseDraining, phaseDone:
		return phase
	}
	return "stopping"
}
