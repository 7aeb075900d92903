package devices

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// Classes of faults, in the data of events of type EventFault.
const (
	FaultMissing    = "missing"    // nothing answers
	FaultCRC        = "crc"        // what was read is garbled
	FaultStuck      = "stuck"      // a transfer, a bus or a chip does not finish
	FaultRange      = "range"      // a quantity is beyond what the sensor can measure, or what the configuration allows
	FaultPermission = "permission" // the gateway's user may not use the device
	FaultOther      = "other"
)

// faultError is an error whose class the driver knows, with a hint for a person where there is one.
type faultError struct {
	class, hint string
	err         error
}

func (f *faultError) Error() string { return f.err.Error() }
func (f *faultError) Unwrap() error { return f.err }

// faultf makes a faultError.
func faultf(class, format string, args ...any) error {
	return &faultError{class: class, err: fmt.Errorf(format, args...)}
}

// errNothing is what a read of nothing means: a probe that was unplugged reads as empty, with no error.
var errNothing = errors.New("nothing was read: is it unplugged?")

// classify says of which class err is, and what a person can do about it.
func classify(err error) (class, hint string) {
	if f := (*faultError)(nil); errors.As(err, &f) {
		if f.hint != "" {
			return f.class, f.hint
		}
		return f.class, hintOf(f.class)
	}
	class = classOf(err)
	return class, hintOf(class)
}

func classOf(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return FaultPermission
	case errors.Is(err, errNothing), errors.Is(err, fs.ErrNotExist):
		return FaultMissing
	case errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.EREMOTEIO), errors.Is(err, syscall.ENODEV):
		return FaultMissing // how the kernel's bus drivers say that no chip acknowledged its address
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded):
		return FaultStuck
	case errors.Is(err, syscall.EBADMSG), errors.Is(err, syscall.EILSEQ):
		return FaultCRC
	}
	return FaultOther
}

func hintOf(class string) string {
	switch class {
	case FaultMissing:
		return "check power, wiring and address; `gateway devices scan` shows what answers"
	case FaultCRC:
		return "check the length of the cable, its pull-up resistor and the supply"
	case FaultStuck:
		return "something may hold the bus low: power-cycle the chips on it"
	case FaultRange:
		return "check the sensor, and the scale, offset, min and max of its configuration"
	case FaultPermission:
		return "let the gateway's user use the device"
	}
	return ""
}

// opened explains an error of opening path: it names the group to join, or what brings the device into being.
func opened(err error, path, usual, missing string) error {
	if errors.Is(err, fs.ErrPermission) {
		group := groupOf(path, usual)
		return &faultError{FaultPermission, fmt.Sprintf("add the gateway's user to the group %s: sudo usermod -aG %s USER, then restart the gateway", group, group), err}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &faultError{FaultMissing, missing, err}
	}
	return err
}

// groupOf is the name of the group that path belongs to; usual, where that cannot be told or is root's.
func groupOf(path, usual string) string {
	info, err := os.Stat(path)
	if err != nil {
		return usual
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Gid == 0 {
		return usual
	}
	group, err := user.LookupGroupId(strconv.FormatUint(uint64(stat.Gid), 10))
	if err != nil {
		return usual
	}
	return group.Name
}
