package buffer

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"gateway"
)

// kernel is what a clock is made of. Tests have their own.
type kernel struct {
	wall   func() time.Time
	mono   func() time.Duration // since boot, suspend included
	synced func() bool          // the wall clock follows a time source
	boot   [16]byte
}

func thisKernel() kernel {
	return kernel{wall: time.Now, mono: sinceBoot, synced: isSynced, boot: bootID()}
}

func bootID() (id [16]byte) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	b, hexErr := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err != nil || hexErr != nil || len(b) != len(id) {
		// Without /proc every start counts as a boot of its own, which is true enough: no stamp is compared across it.
		_, _ = rand.Read(id[:]) // never fails
		return id
	}
	copy(id[:], b)
	return id
}

func sinceBoot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func isSynced() bool {
	var tx unix.Timex
	_, err := unix.Adjtimex(&tx)
	return err == nil && tx.Status&unix.STA_UNSYNC == 0
}

// clock tells the time of events. Order never depends on it: that is (boot id, offset).
//
// Until the kernel's clock is synchronised for the first time since boot, it may say anything: then the clock goes on from the
// newest event of the log, or follows the kernel's if that is later, and its times are marked. From then on the true time is that
// of the monotonic clock and a constant: somebody who sets the kernel's clock, or a time source that is lost, changes nothing. A
// synchronised clock that says something quite different is believed after strangeFor.
type clock struct {
	kernel kernel

	mu      sync.Mutex // guards what follows
	synced  bool
	checked time.Duration // since boot
	known   bool          // the true time is: since boot + offset
	offset  int64         // microseconds
	strange time.Duration // since boot: since when the synchronised clock is elsewhere; 0 while it is not
	last    int64         // microseconds: the newest time that was given while the true one was not known, or of the log's newest event
}

const (
	// strangeStep is what a synchronised clock may be corrected by without any doubt.
	strangeStep = time.Hour
	strangeFor  = 10 * time.Minute
	askEvery    = time.Second
)

// moment is what the clock says.
type moment struct {
	us    int64         // microseconds since 1970
	mono  time.Duration // since boot
	known bool          // it is the true time
}

func (m moment) time() time.Time { return microseconds(m.us) }

// newClock begins not before newest, the time of the newest event, in microseconds. offset is what is known of this boot from before.
func newClock(k kernel, newest int64, offset *int64) *clock {
	c := &clock{kernel: k, last: newest, checked: -askEvery}
	if offset != nil {
		c.known, c.offset = true, *offset
	}
	return c
}

// openClock is the clock of a log: it begins not before the newest event, and knows what an earlier process of this boot learned.
func openClock(o *Options, e *engine, d *decoder) *clock {
	k := o.hooks.clock
	if k.mono == nil {
		k = thisKernel()
		k.wall = o.hooks.now
	}
	var offset *int64
	if c, ok := d.boots.get(k.boot); ok {
		offset = &c.offset
	}
	return newClock(k, newestTime(e, d), offset)
}

// now is the time of an event that comes now.
func (c *clock) now() moment {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, wall := c.kernel.mono(), c.kernel.wall().UnixMicro()
	if m-c.checked >= askEvery || m < c.checked {
		c.synced, c.checked = c.kernel.synced(), m
	}
	if c.synced {
		c.follow(m, wall)
	}
	if c.known {
		return moment{c.offset + m.Microseconds(), m, true}
	}
	c.last = max(c.last+1, wall)
	return moment{c.last, m, false}
}

// follow learns from the kernel's clock, which is synchronised. c.mu is held.
func (c *clock) follow(m time.Duration, wall int64) {
	offset := wall - m.Microseconds()
	if step := offset - c.offset; c.known && (step > strangeStep.Microseconds() || step < -strangeStep.Microseconds()) {
		if c.strange == 0 {
			c.strange = m
		}
		if m-c.strange < strangeFor {
			return
		}
	}
	c.known, c.offset, c.strange = true, offset, 0
}

// status says what is known of the time. It gives none to an event.
func (c *clock) status() gateway.ClockStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall := c.kernel.wall().UnixMicro()
	now := c.offset + c.kernel.mono().Microseconds()
	if !c.known {
		now = max(c.last, wall)
	}
	s := gateway.ClockStatus{Synced: c.known, Now: microseconds(now)}
	if ahead := time.Duration(now-wall) * time.Microsecond; ahead > time.Second {
		s.Ahead = ahead
	}
	return s
}

// learned is the constant that makes the true time of the monotonic clock; false while it is not known.
func (c *clock) learned() (offset int64, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset, c.known
}

// bootIDText is the boot id as the kernel writes it.
func (c *clock) bootIDText() string {
	h := hex.EncodeToString(c.kernel.boot[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
