package buffer

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"gateway"
)

// recordBound is the most that an event takes beside its strings, their references and its data.
const recordBound = 80

// builder gathers events in the form in which a block has them. It keeps nothing of its caller's memory.
type builder struct {
	profiles profileTable
	records  []byte
	marks    []byte
	data     []byte
	marked   bool // a mark is not 0
	count    int
	payload  int   // bytes of data in events, for statistics
	wall     int64 // microseconds; the first event's
	received int64 // microseconds; the newest event's
}

func newBuilder() *builder {
	b := &builder{}
	b.profiles.strings.seed = maphash.MakeSeed()
	return b
}

func (b *builder) reset() {
	b.profiles.reset()
	b.records, b.marks, b.data, b.marked = b.records[:0], b.marks[:0], b.data[:0], false
	b.count, b.payload, b.wall, b.received = 0, 0, 0, 0
}

// size is the length of the body so far, uncompressed.
func (b *builder) size() int {
	return len(b.profiles.strings.buf) + len(b.profiles.buf) + len(b.records) + len(b.marks) + len(b.data)
}

// eventBound is the most that e adds to the body.
func eventBound(e *gateway.Event) int {
	n := recordBound + profileRefs*5 + len(e.ID) + len(e.Source) + len(e.Type) + len(e.Subject) +
		len(e.DataContentType) + len(e.DataSchema) + len(e.Data)
	for name, value := range e.Extensions {
		n += len(name) + len(value) + 8
	}
	return n
}

const (
	recordHasTime = 1 << 0
	recordHasID   = 1 << 1
	recordShift   = 2
)

// add encodes e, received at the given microsecond, with its mark.
func (b *builder) add(e *gateway.Event, received int64, mark uint32) {
	if b.count == 0 {
		b.wall, b.received = received, received
	}
	tag := uint64(b.profiles.of(e)) << recordShift
	timed := !e.Time.IsZero() && !sameMicrosecond(e.Time, received)
	if timed {
		tag |= recordHasTime
	}
	if e.ID != "" {
		tag |= recordHasID
	}
	r := binary.AppendUvarint(b.records, tag)
	r = binary.AppendVarint(r, received-b.received)
	r = binary.AppendUvarint(r, uint64(len(e.Data)))
	if e.ID != "" {
		r = appendString(r, e.ID)
	}
	if timed {
		r = binary.AppendVarint(r, e.Time.Unix()-received/1e6)
		r = binary.AppendUvarint(r, uint64(e.Time.Nanosecond()))
	}
	b.records = r
	b.marks = binary.AppendUvarint(b.marks, uint64(mark))
	b.marked = b.marked || mark != 0
	b.data = append(b.data, e.Data...)
	b.received = received
	b.count++
	b.payload += len(e.Data)
}

// sameMicrosecond says whether t is exactly the given microsecond.
func sameMicrosecond(t time.Time, us int64) bool { return t.Equal(time.UnixMicro(us)) }

// sealer makes blocks of builders. It belongs to one goroutine.
type sealer struct {
	enc     *zstd.Encoder
	raw     []byte
	scratch []byte
}

func newSealer() (*sealer, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	return &sealer{enc: enc}, nil
}

// minCompress is the body below which compressing does not pay.
const minCompress = 96

// seal returns the block of b in memory of its own. h brings what the builder does not know.
func (s *sealer) seal(b *builder, h header) []byte {
	t := &b.profiles
	raw := s.raw[:0]
	for _, n := range [...]int{len(t.strings.refs), len(t.strings.buf), len(t.profiles), len(t.buf), len(b.records)} {
		raw = binary.AppendUvarint(raw, uint64(n))
	}
	if b.marked {
		h.flags |= flagMarks
		raw = binary.AppendUvarint(raw, uint64(len(b.marks)))
	}
	raw = append(raw, t.strings.buf...)
	raw = append(raw, t.buf...)
	raw = append(raw, b.records...)
	if b.marked {
		raw = append(raw, b.marks...)
	}
	raw = append(raw, b.data...)
	s.raw = raw

	h.count, h.rawLen, h.wall, h.codec = uint32(b.count), uint32(len(raw)), b.wall, codecNone
	body := raw
	if len(raw) >= minCompress {
		s.scratch = s.enc.EncodeAll(raw, slices.Grow(s.scratch[:0], len(raw)))
		if len(s.scratch) < len(raw) {
			h.codec, body = codecZstd, s.scratch
		}
	}
	block := make([]byte, headerSize+len(body))
	copy(block[headerSize:], body)
	h.put(block)
	return block
}
