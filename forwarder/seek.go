package forwarder

import (
	"context"
	"time"

	"gateway"
)

// Before returns the last offset of the log whose event was received before t, or the one before the log's first. It looks at as many places
// as the length of the log has binary digits. An error is the log's.
func Before(ctx context.Context, log Log, t time.Time) (gateway.Offset, error) {
	s := log.Status()
	low, high := max(s.First, 1)-1, s.Last // the answer is from low to high
	for low < high {
		middle := low + (high-low)/2 // the event behind it is looked at
		at, received, err := firstBehind(ctx, log, middle)
		switch {
		case err != nil:
			return 0, err
		case received.Before(t):
			low = min(at, high)
		default:
			high = middle
		}
	}
	return low, nil
}

// firstBehind is the first entry behind after.
func firstBehind(ctx context.Context, log Log, after gateway.Offset) (at gateway.Offset, received time.Time, err error) {
	reader := log.NewReader(after)
	defer func() { _ = reader.Close() }() // it was only read
	entries, err := reader.Next(ctx, 1)
	if err != nil {
		return 0, received, err
	}
	return entries[0].Offset, entries[0].Received, nil
}
