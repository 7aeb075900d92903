package storm

import (
	"fmt"
	"strings"
	"time"
)

// Text is the outcome for a person.
func (o *Outcome) Text(within time.Duration) string {
	var b strings.Builder
	line := func(n uint64, what string) { fmt.Fprintf(&b, "%12d  %s\n", n, what) }
	line(o.Sent, "sent")
	line(o.Acknowledged, "acknowledged")
	line(o.Received, "received at the upstream")
	line(o.Repeated, "of them with an ID that was there before (dropped by it)")
	line(o.Resent, "sent again by a client, as their acknowledgement was lost")
	line(o.StoredTwice, "of them stored under both IDs, counted apart")
	line(o.Pending, "LOST")
	line(o.Disordered, "out of order")
	line(o.Duplicates, "duplicates left")
	line(o.IDsReused+o.Altered+o.Unsent, "with a reused ID, another payload, or never sent")
	if n := len(o.Restarts); n > 0 {
		fmt.Fprintf(&b, "start to first acknowledgement: median %s, slowest %s; %d of %d above %s\n",
			o.Restarts[n/2].Round(time.Millisecond), o.Restarts[n-1].Round(time.Millisecond), o.Slow, n, within)
	}
	for _, example := range o.Examples {
		fmt.Fprintln(&b, "  e.g.", example)
	}
	return b.String()
}
