package demo

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gateway"
	"gateway/devices"
)

func aFrame() frame {
	f := frame{
		phase: phaseRunning, elapsed: 12 * time.Second, length: 30 * time.Second, line: lineCut, lineFor: 1500 * time.Millisecond,
		cuts: map[string]int{lineCut: 2, lineReset: 1}, in: 100, out: 50, waiting: 1234, lag: 3100 * time.Millisecond,
		forwarder: gateway.StateRetrying, trouble: "dial tcp: connection refused", missing: 1234,
		account: Account{Acknowledged: 5000, Received: 3766, SentAgain: 12},
	}
	for _, name := range []string{"climate", "soil", "tank", "water", "power"} {
		f.sensors = append(f.sensors, sensorFrame{name, "21.37 °C  63.1 %", 1000, 2})
	}
	for i := range 200 {
		f.history = append(f.history, moment{uint64(i * 10), [...]string{lineUp, lineCut, lineSilent, lineReset}[i/10%4]})
	}
	return f
}

func TestPaintFitsTheTerminal(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{79, 23}, {40, 12}, {200, 60}, {20, 5}, {1, 1}} {
		for _, color := range []bool{false, true} {
			p := painter{color: color}
			lines := p.paint(aFrame(), size[0], size[1])
			if len(lines) > size[1] {
				t.Errorf("%v: got %d lines", size, len(lines))
			}
			for _, line := range lines {
				if n := utf8.RuneCountInString(withoutANSI(t, line)); n > size[0] {
					t.Errorf("%v: a line has %d columns: %q", size, n, line)
				}
				if !color && strings.Contains(line, "\x1b") {
					t.Errorf("%v: colour without being asked for: %q", size, line)
				}
			}
		}
	}
}

// withoutANSI removes styles, and fails if one is left on at the end.
func withoutANSI(t *testing.T, line string) string {
	t.Helper()
	on := false
	var text strings.Builder
	for line != "" {
		if rest, found := strings.CutPrefix(line, "\x1b["); found {
			style, after, _ := strings.Cut(rest, "m")
			on, line = style != "0", after
			continue
		}
		r, n := utf8.DecodeRuneInString(line)
		text.WriteRune(r)
		line = line[n:]
	}
	if on {
		t.Errorf("a style is left on in %q", text.String())
	}
	return text.String()
}

func TestPaintShowsWhatMatters(t *testing.T) {
	t.Parallel()
	p := painter{}
	text := strings.Join(p.paint(aFrame(), 79, 23), "\n")
	for _, want := range []string{
		"running   0:12 of 0:30", "climate   21.37 °C  63.1 %", "1,000", "● CUT", "for  1.5 s", "2× cut", "1× reset",
		"100 /s", "50 /s", "1,234", "oldest for 3.1 s, forwarder retrying: dial tcp", "5,000 acknowledged, 3,766 arrived, 1,234 on the way, 12 sent again",
		"backlog", "█", "×", "Ctrl-C",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	f := aFrame()
	f.account.OutOfOrder = 1
	if text := strings.Join(p.paint(f, 200, 23), "\n"); !strings.Contains(text, "1 out of order") {
		t.Errorf("a fault is not shown in\n%s", text)
	}
}

func TestBlocksFillABar(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		value uint64
		want  string // from below
	}{{0, "   "}, {1, "▁  "}, {8, "█  "}, {12, "█▄ "}, {24, "███"}} {
		got := ""
		for row := range 3 {
			got += block(tt.value, 24, row, 3)
		}
		if got != tt.want {
			t.Errorf("%d of 24 in 3 rows: got %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestScreenRedrawsInPlace(t *testing.T) {
	t.Parallel()
	width, height := 80, 24
	s := &screen{size: func() (int, int, error) { return width, height, nil }}
	first, second := string(s.draw(aFrame())), string(s.draw(aFrame()))
	lines := strings.Count(first, "\n")
	if lines == 0 || lines > 23 || strings.Contains(first, "A\r") {
		t.Errorf("the first frame has %d lines, want 1 to 23 below the cursor: %q", lines, first)
	}
	if want := fmt.Sprintf("\x1b[%dA\r", lines); !strings.Contains(second, want) {
		t.Errorf("the second frame does not go back %d lines: %q", lines, second)
	}
	width = 60
	if third := string(s.draw(aFrame())); !strings.Contains(third, clearAll) {
		t.Errorf("a frame in a new width does not clear the screen: %q", third)
	}
}

func TestPlainLine(t *testing.T) {
	t.Parallel()
	want := "  12s  running  line cut     in  100/s  out   50/s  waiting   1234  lag   3.1s  acknowledged    5000  arrived    3766\n"
	if got := plainLine(aFrame()); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestReadingText(t *testing.T) {
	t.Parallel()
	got := readingText([]devices.Reading{{Quantity: "temperature", Value: 21.5, Unit: "Cel"}, {Quantity: "volume", Value: 0.125, Unit: "m3"}})
	if want := "21.5 °C  0.125 m³"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
