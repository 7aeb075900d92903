package buffer

import (
	"errors"
	"fmt"

	"gateway"
)

var (
	// ErrTooLarge says that an event, or a batch that must be committed as one, is larger than the log takes. It is
	// permanent: sent again as it is, it fails again.
	ErrTooLarge = gateway.Permanent(errors.New("too large for the log"))
	// ErrNotFound says that there is no value under the key.
	ErrNotFound = errors.New("no such key")
	// ErrCorrupt is what a CorruptError wraps.
	ErrCorrupt = errors.New("corrupt")
	// ErrInUse says that another process has the data directory.
	ErrInUse = errors.New("in use")
)

// CorruptError says which block of the log cannot be trusted. Nothing was deleted or skipped.
type CorruptError struct {
	// Offset is the first offset of the block, as its key says.
	Offset gateway.Offset
	// Dir is the data directory.
	Dir string
	// Err says what is wrong with the block.
	Err error
}

func (c *CorruptError) Error() string {
	return fmt.Sprintf("block at offset %d in %s is damaged: %v: stop the gateway, copy the directory, and check the disk", c.Offset, c.Dir, c.Err)
}

// Unwrap returns the cause and ErrCorrupt.
func (c *CorruptError) Unwrap() []error { return []error{c.Err, ErrCorrupt} }

// RecordError says that the value of a key cannot be trusted. It wraps ErrCorrupt.
type RecordError struct {
	// Key is the key in the store.
	Key string
	// Err says what is wrong with the value.
	Err error
}

func (r *RecordError) Error() string {
	return fmt.Sprintf("the value of %q is damaged: %v: stop the gateway and run: gateway log repair", r.Key, r.Err)
}

// Unwrap returns the cause and ErrCorrupt.
func (r *RecordError) Unwrap() []error { return []error{r.Err, ErrCorrupt} }

// DamageError says that a log cannot be opened as it is, and what to do. Nothing was deleted.
type DamageError struct {
	// Dir is the data directory.
	Dir string
	// Report is what was found.
	Report gateway.LogReport
	// Err says why it was not repaired at once; nil if that was not wanted.
	Err error
}

func (d *DamageError) Error() string {
	text := fmt.Sprintf("the log in %s is damaged", d.Dir)
	if n := len(d.Report.Problems); n > 0 {
		text += fmt.Sprintf(" (%s: %s", d.Report.Problems[0].File, d.Report.Problems[0].Text)
		if n > 1 {
			text += fmt.Sprintf("; and %d more", n-1)
		}
		text += ")"
	}
	if d.Err != nil {
		text += ": " + d.Err.Error()
	}
	return text + ": stop the gateway and run: gateway log repair --data-dir " + d.Dir
}

// Unwrap returns the cause and ErrCorrupt.
func (d *DamageError) Unwrap() []error { return []error{d.Err, ErrCorrupt} }
