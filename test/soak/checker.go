package main

import (
	"encoding/json"
	"fmt"

	"gateway"
	"gateway/internal/load"
)

// checker follows what a consumer is given. Every offset must come, in order, as an event or within a gap; and the
// producers' own sequences, which the log knows nothing of, must be whole but for as many events as the gaps say.
type checker struct {
	next      gateway.Offset // is to come
	seqs      [producers]uint64
	delivered uint64
	gaps      uint64
	lost      uint64 // events, by the gaps
	jumped    uint64 // events, by the sequences
}

func (c *checker) take(entries []gateway.Entry) error {
	for i := range entries {
		if err := c.one(&entries[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) one(e *gateway.Entry) error {
	if e.Event.Type == gateway.TypeGap {
		return c.gap(e)
	}
	if e.Offset != c.next {
		return fmt.Errorf("got offset %d, want %d, and no gap says why", e.Offset, c.next)
	}
	client, seq, err := load.Identity(e.Event.Data)
	if err != nil {
		return fmt.Errorf("offset %d: %w", e.Offset, err)
	}
	if client >= producers || seq < c.seqs[client] {
		return fmt.Errorf("offset %d: got sequence %d of producer %d, want %d or more", e.Offset, seq, client, c.seqs[client%producers])
	}
	c.jumped += seq - c.seqs[client]
	c.seqs[client] = seq + 1
	c.delivered++
	c.next++
	return nil
}

func (c *checker) gap(e *gateway.Entry) error {
	var g gateway.Gap
	if err := json.Unmarshal(e.Event.Data, &g); err != nil {
		return fmt.Errorf("gap at offset %d: %w", e.Offset, err)
	}
	if g.From != c.next || g.To != e.Offset || g.To < g.From {
		return fmt.Errorf("got a gap from %d to %d at offset %d, want it to begin at %d", g.From, g.To, e.Offset, c.next)
	}
	c.gaps++
	c.lost += g.Count()
	c.next = g.To + 1
	return nil
}

// finish holds what came against what was acknowledged to each producer.
func (c *checker) finish(acked [producers]uint64) error {
	total, jumped := uint64(0), c.jumped
	for i, n := range acked {
		if c.seqs[i] > n {
			return fmt.Errorf("producer %d: got sequence %d, it was acknowledged %d", i, c.seqs[i]-1, n)
		}
		total += n
		jumped += n - c.seqs[i]
	}
	if c.delivered+c.lost != total {
		return fmt.Errorf("got %d events and gaps of %d, want %d together", c.delivered, c.lost, total)
	}
	if jumped != c.lost {
		return fmt.Errorf("%d events of the producers are missing, the gaps say %d", jumped, c.lost)
	}
	return nil
}
