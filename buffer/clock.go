package buffer

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// clock tells the times of a block: order across restarts is (boot id, offset), never the wall clock.
type clock struct {
	bootID  [16]byte
	mu      sync.Mutex
	synced  bool
	checked time.Time
}

func newClock() *clock {
	c := &clock{}
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	id, hexErr := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(text)), "-", ""))
	if err != nil || hexErr != nil || len(id) != len(c.bootID) {
		// Without /proc every start counts as a boot of its own, which is true enough: no stamp is compared across it.
		_, _ = rand.Read(c.bootID[:]) // never fails
		return c
	}
	copy(c.bootID[:], id)
	return c
}

// sinceBoot is nanoseconds since boot, suspend included.
func (c *clock) sinceBoot() uint64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return uint64(ts.Nano())
}

// isSynced says whether the kernel's clock follows a time source; it asks once a second at most.
func (c *clock) isSynced(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if d := now.Sub(c.checked); d >= 0 && d < time.Second {
		return c.synced
	}
	var tx unix.Timex
	_, err := unix.Adjtimex(&tx)
	c.synced, c.checked = err == nil && tx.Status&unix.STA_UNSYNC == 0, now
	return c.synced
}

// bootIDText is the boot id as the kernel writes it.
func (c *clock) bootIDText() string {
	h := hex.EncodeToString(c.bootID[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
