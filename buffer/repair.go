package buffer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"gateway"
)

// RepairOptions say what to repair.
type RepairOptions struct {
	// Dir is the data directory, of a gateway that is stopped.
	Dir string
	// Quarantine is the folder that the damaged files are kept below, on whatever disk; "" means "quarantine" in Dir.
	Quarantine string
	// Logger takes what happens; nil discards it.
	Logger *slog.Logger
	// Progress, if not nil, is told how many bytes of how many were searched, now and then.
	Progress func(done, total uint64)
}

// Repair makes a new log of everything that is right in the files of the old one, which it keeps. The new one has the same id,
// a higher epoch, and gaps where events are missing; it goes on behind the highest offset that anything knows of, also if
// nothing else is left. It can be repeated, and does no harm to a log that is sound.
func Repair(ctx context.Context, ro RepairOptions) (gateway.LogReport, error) {
	o, err := Options{Dir: ro.Dir, Logger: ro.Logger}.withDefaults()
	if err != nil {
		return gateway.LogReport{}, fmt.Errorf("repair log: %w", err)
	}
	if _, err := os.Stat(o.Dir); err != nil {
		return gateway.LogReport{}, fmt.Errorf("repair log: %w", dirError(o.Dir, err))
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return gateway.LogReport{}, fmt.Errorf("repair log: %w", err)
	}
	l, err := openLocked(ctx, o, recovery{lock: lock, parent: ro.Quarantine, force: true, tell: ro.Progress})
	if err != nil {
		return gateway.LogReport{}, errors.Join(fmt.Errorf("repair log: %w", err), lock.Close())
	}
	l.lock = lock
	return l.Report(), l.Close()
}
