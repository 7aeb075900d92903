package demo

import (
	"strconv"
	"strings"
	"time"

	"gateway"
	"gateway/devices"
)

// frame is what there is to see at one moment.
type frame struct {
	phase     string
	elapsed   time.Duration
	length    time.Duration // of the run; 0: until it is stopped
	sensors   []sensorFrame
	line      string
	lineFor   time.Duration
	cuts      map[string]int
	in, out   float64 // events a second
	delivered uint64
	waiting   uint64
	lag       time.Duration
	forwarder string // its state
	trouble   string // the newest error, "" if all is well
	missing   int    // acknowledged and not yet at the listener
	account   Account
	strays    int
	history   []moment // oldest first, one each momentInterval
}

type sensorFrame struct {
	name, reading  string
	acked, waiting int
}

// moment is a point of the history.
type moment struct {
	waiting uint64
	line    string
}

const (
	frameInterval  = 250 * time.Millisecond
	rateFrames     = 8 // rates are over this many frames
	momentFrames   = 2 // frames in a moment
	momentInterval = momentFrames * frameInterval
	historyLength  = 240 // moments kept; two minutes
)

// camera takes frames of a world, at steady intervals, and remembers what it needs for rates and history.
type camera struct {
	world   *world
	length  time.Duration
	past    []counts // the last rateFrames
	frames  int
	history []moment
}

type counts struct {
	at                  time.Time
	appended, delivered uint64
}

func (c *camera) take(now time.Time) frame {
	w := c.world
	log, _, forwarders := w.gateway.Status()
	state, since, cuts := w.line.now()
	f := frame{
		phase: *w.phase.Load(), elapsed: now.Sub(w.started), length: c.length,
		line: state, lineFor: now.Sub(since), cuts: cuts, trouble: log.Failed, missing: w.book.missing(),
	}
	f.forward(forwarders)
	ledger := w.book.ledger()
	f.account, f.strays = ledger.Total(), ledger.Strays
	for i, s := range w.sensors {
		one := sensorFrame{name: s.device.Name(), acked: ledger.Accounts[i].Acknowledged, waiting: int(s.waiting.Load())}
		if readings := s.last.Load(); readings != nil {
			one.reading = readingText(*readings)
		}
		f.sensors = append(f.sensors, one)
	}
	c.remember(&f, counts{now, log.Appended, f.delivered})
	return f
}

// forward fills in what the forwarders are at; the worst of each, if there are several.
func (f *frame) forward(forwarders []gateway.ForwarderStatus) {
	for _, s := range forwarders {
		f.delivered += s.Delivered
		f.waiting, f.lag, f.forwarder = max(f.waiting, s.Waiting), max(f.lag, s.Lag), s.State
		if s.LastError != "" && f.trouble == "" {
			f.trouble = s.LastError
		}
	}
}

func (c *camera) remember(f *frame, now counts) {
	c.past = append(c.past, now)
	if len(c.past) > rateFrames {
		c.past = c.past[1:]
	}
	if first := c.past[0]; now.at.After(first.at) {
		seconds := now.at.Sub(first.at).Seconds()
		f.in = float64(now.appended-first.appended) / seconds
		f.out = float64(now.delivered-first.delivered) / seconds
	}
	c.frames++
	if c.frames%momentFrames == 1 {
		c.history = append(c.history, moment{})
	}
	if len(c.history) > historyLength {
		c.history = c.history[1:]
	}
	latest := &c.history[len(c.history)-1]
	latest.waiting = max(latest.waiting, f.waiting)
	if latest.line == "" || f.line != lineUp { // a moment with trouble in it shows the trouble
		latest.line = f.line
	}
	f.history = c.history
}

// readingText is a sensor's values for people: "21.4 °C  63 %".
func readingText(readings []devices.Reading) string {
	parts := make([]string, len(readings))
	for i, r := range readings {
		unit := r.Unit
		switch unit { // UCUM is for machines
		case "Cel":
			unit = "°C"
		case "m3":
			unit = "m³"
		}
		parts[i] = strconv.FormatFloat(r.Value, 'f', -1, 64) + " " + unit
	}
	return strings.Join(parts, "  ")
}
