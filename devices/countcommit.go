package devices

import (
	"context"
	"errors"
	"time"

	"gateway"
)

// countData is the data of a device.count.
type countData struct {
	Quantity string `json:"quantity,omitempty"`
	// Count is the pulses of the interval, Total all; Unseen and TotalUnseen are how many of them are only known by the numbers of others, because the
	// kernel had no room for them.
	Count       uint64 `json:"count"`
	Unseen      uint64 `json:"unseen,omitempty"`
	Total       uint64 `json:"total"`
	TotalUnseen uint64 `json:"total_unseen,omitempty"`
	// Value is Total in Unit, Rate in RateUnit; it is missing while it is not known.
	Value    float64  `json:"value"`
	Unit     string   `json:"unit,omitempty"`
	Rate     *float64 `json:"rate,omitempty"`
	RateUnit string   `json:"rate_unit,omitempty"`
	From     string   `json:"from"`
	To       string   `json:"to"`
}

// gapData is the data of a device.gap: nobody watched from From to To. From is missing where the process before was killed before it had said anything.
type gapData struct {
	// Reason is "restart" (within a boot), "reboot" or "fault".
	Reason string `json:"reason"`
	From   string `json:"from,omitempty"`
	To     string `json:"to"`
	// Lasted is by the clock that nobody sets; it is missing over a reboot.
	Lasted time.Duration `json:"lasted_ns,omitempty"`
	// Clean says that the process before was stopped; Recovered are pulses that it had counted after From when it was killed: they are in the total.
	Clean     bool   `json:"clean,omitempty"`
	Recovered uint64 `json:"recovered,omitempty"`
	// Total is what the counter goes on from.
	Total uint64 `json:"total"`
	// BootBefore and Boot are the kernel's ids of boots.
	BootBefore string `json:"boot_before,omitempty"`
	Boot       string `json:"boot,omitempty"`
}

// restartGap is from the last durable count until now.
func (d *counter) restartGap(s *storedCount) gapData {
	if s.ID == "" { // only a record of this boot, then
		return gapData{Reason: "restart", To: timeText(d.since), Recovered: d.tally.total, Total: d.tally.total, Boot: d.boot}
	}
	g := gapData{
		Reason: "reboot", From: timeText(s.At), To: timeText(d.since), Clean: s.Clean, Recovered: d.tally.total - s.Total, Total: d.tally.total,
		BootBefore: s.Boot, Boot: d.boot,
	}
	if s.Boot == d.boot {
		g.Reason, g.Lasted = "restart", max(0, d.lines.Now()-s.Monotonic)
	}
	return g
}

// faultGap is from the fault of the line until now.
func (d *counter) faultGap(now time.Time) gapData {
	return gapData{Reason: "fault", From: timeText(d.faulty), To: timeText(now), Lasted: now.Sub(d.faulty), Total: d.tally.end(d.lines.Now()), Boot: d.boot}
}

// commit appends what there is to say, the count of the time since the last one, and the total with it. After ErrFull nothing has changed, and the next
// commit covers this one's time as well.
func (d *counter) commit(ctx context.Context, clean bool) error {
	moment, now := d.lines.Now(), time.Now()
	c := d.tally.at(moment)
	next := storedCount{
		Version: storedCountVersion, ID: newCountID(), Previous: d.last.ID, Total: c.total, Unseen: c.unseen, At: now.UTC(), Monotonic: moment, Boot: d.boot, Clean: clean,
	}
	events := d.events(&c, now)
	_, err := d.c.Log.Commit(ctx, gateway.Batch{Events: events, KV: []gateway.KeyValue{{Key: CounterKey(d.spec.Name), Value: encode(next)}}})
	if errors.Is(err, gateway.ErrFull) {
		if !d.full {
			d.full = true
			d.common.Logger.Warn("the log is full: the counter goes on and tells later", "error", err)
		}
		return err
	}
	if err != nil {
		return err
	}
	if d.full {
		d.full = false
		d.common.Logger.Info("the log takes counts again")
	}
	d.tally.stored(c, next.ID)
	d.last, d.began, d.since = next, counted{total: c.total, unseen: c.unseen}, now
	d.status.change(func(s *gateway.DeviceStatus) {
		s.Events += uint64(len(events))
		s.At = now
	})
	return nil
}

// events are the news, and the count.
func (d *counter) events(c *counted, now time.Time) []gateway.Event {
	d.clock.look()
	events := make([]gateway.Event, 0, len(c.news)+1)
	for _, n := range c.news {
		at := d.clock.at(n.edge)
		if !n.wall.IsZero() {
			at = wallTime(n.wall)
		}
		events = append(events, d.say.event(n.kind, at, n.data))
	}
	data := countData{
		Quantity: d.spec.Quantity, Count: c.total - d.began.total, Unseen: c.unseen - d.began.unseen, Total: c.total, TotalUnseen: c.unseen,
		Value: d.spec.meter(c.total), Unit: d.spec.Unit, From: timeText(d.since), To: timeText(now),
	}
	if c.paced {
		rate := d.spec.hourly(c.rate)
		data.Rate, data.RateUnit = &rate, d.spec.Unit+"/h"
	}
	return append(events, d.say.event(EventCount, wallTime(now), data))
}

// wallTime is t, or zero where the clock was never set: the log gives its own time then.
func wallTime(t time.Time) time.Time {
	if t.Year() < clockSetYear {
		return time.Time{}
	}
	return t.Round(0).UTC()
}

// timeText is t as data has it.
func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
