package buffer

import (
	"encoding/binary"
	"fmt"
	"time"

	"gateway"
)

// group is what one transaction will commit.
type group struct {
	builder *builder
	first   gateway.Offset // of its first event
	header  header         // the times and the clock's state, at the first event
	began   moment         // the same
	cursors []cursorChange
	keys    []write
	holes   []gateway.Gap // to be written down: damage
	extra   int           // bytes of cursors and keys
	acks    []ack
	// urgent: it must be committed at once (or at the interval). Otherwise it has nothing but cursor moves, the first at since.
	urgent bool
	since  time.Time
	err    error // of the commit
}

// cursorChange moves or forgets a cursor.
type cursorChange struct {
	name   string
	offset gateway.Offset
	forget bool
}

// ack is somebody who waits for the commit.
type ack struct {
	last gateway.Offset
	done func(gateway.Offset, error)
}

func newGroup() *group { return &group{builder: newBuilder()} }

func (g *group) reset() {
	g.builder.reset()
	clear(g.cursors)
	clear(g.keys)
	clear(g.acks)
	g.cursors, g.keys, g.acks = g.cursors[:0], g.keys[:0], g.acks[:0]
	g.holes = nil
	g.extra, g.urgent, g.since, g.err = 0, false, time.Time{}, nil
}

// empty says that there is nothing to commit and nobody to tell.
func (g *group) empty() bool { return len(g.acks) == 0 && len(g.cursors) == 0 }

// demand is what a batch needs of a group, at most.
type demand struct{ bytes, events, keys int }

// demandOf measures b, or says why no group can ever take it.
func demandOf(b *gateway.Batch, maxEvent int) (demand, error) {
	d := demand{events: len(b.Events), keys: len(b.KV) + len(b.Cursors) + len(b.Forget)}
	for i := range b.Events {
		n := eventBound(&b.Events[i])
		if n > maxEvent+eventOverhead {
			return d, fmt.Errorf("event %d of the batch has %d bytes, the log takes %d: %w", i, n-eventOverhead, maxEvent, ErrTooLarge)
		}
		d.bytes += n
	}
	for i := range b.KV {
		d.bytes += 2*len(b.KV[i].Key) + len(b.KV[i].Value) + keyOverhead
	}
	for i := range b.Cursors {
		d.bytes += 2*len(b.Cursors[i].Name) + keyOverhead
	}
	for _, name := range b.Forget {
		d.bytes += 2*len(name) + keyOverhead
	}
	if d.bytes > groupBound || d.events > maxBlockEvents || d.keys > maxKeys {
		return d, fmt.Errorf("the batch has %d bytes, %d events and %d keys and cursors, the log takes %d, %d and %d at once: %w",
			d.bytes, d.events, d.keys, groupBound, maxBlockEvents, maxKeys, ErrTooLarge)
	}
	return d, nil
}

const (
	eventOverhead = recordBound + profileRefs*5
	// keyOverhead is what a key takes in a transaction beside itself, twice, and its value.
	keyOverhead = 32 + recordOverhead
)

// fits says whether d fits into what is left.
func (g *group) fits(d demand) bool {
	return g.builder.size()+g.extra+d.bytes <= groupBound && g.builder.count+d.events <= maxBlockEvents &&
		len(g.keys)+len(g.cursors)+d.keys <= maxKeys
}

// half says that the group need not wait for more.
func (g *group) half() bool {
	return g.builder.size()+g.extra >= groupBound/2 || g.builder.count >= maxBlockEvents/2
}

func (g *group) moveCursor(c cursorChange) {
	for i := range g.cursors {
		if g.cursors[i].name == c.name {
			g.cursors[i] = c
			return
		}
	}
	g.cursors = append(g.cursors, c)
	g.extra += 2*len(c.name) + keyOverhead
}

// setKey copies kv.
func (g *group) setKey(kv *gateway.KeyValue) {
	w := write{key: []byte(prefixKey + kv.Key)}
	if kv.Value != nil {
		w.value = append(make([]byte, 0, len(kv.Value)), kv.Value...)
	}
	g.keys = append(g.keys, w)
	g.extra += 2*len(w.key) + len(w.value) + keyOverhead
}

// appendWrites adds the changes of cursors and keys.
func (g *group) appendWrites(writes []write) []write {
	for _, c := range g.cursors {
		w := write{key: []byte(prefixCursor + c.name)}
		if !c.forget {
			w.value = binary.AppendUvarint(nil, uint64(c.offset))
		}
		writes = append(writes, w)
	}
	return append(writes, g.keys...)
}
