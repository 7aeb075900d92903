package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"time"

	"github.com/klauspost/compress/zstd"

	"gateway"
)

// decoder turns blocks into entries. Safe for concurrent use.
type decoder struct {
	dec   *zstd.Decoder
	logID string
	boots *boots // corrects times; nil: none is
}

func newDecoder(logID string, boots *boots) (*decoder, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxRawBody))
	if err != nil {
		return nil, err
	}
	return &decoder{dec: dec, logID: logID, boots: boots}, nil
}

// decode returns the entries of block, in memory that they share with each other and with nothing else. It fails on
// any block that is not exactly as a sealer makes it, without panic and without allocating for what the block only claims.
func (d *decoder) decode(block []byte) (header, []gateway.Entry, error) {
	h, err := parseHeader(block)
	if err != nil {
		return h, nil, err
	}
	raw, err := d.body(&h, block[headerSize:])
	if err != nil {
		return h, nil, err
	}
	entries, err := d.entries(&h, raw)
	return h, entries, err
}

// body is the uncompressed body, in new memory.
func (d *decoder) body(h *header, body []byte) ([]byte, error) {
	switch h.codec {
	case codecNone:
		if len(body) != int(h.rawLen) {
			return nil, fmt.Errorf("its body has %d bytes, it says %d", len(body), h.rawLen)
		}
		return append([]byte(nil), body...), nil
	case codecZstd:
		raw, err := d.dec.DecodeAll(body, make([]byte, 0, h.rawLen))
		if err != nil {
			return nil, fmt.Errorf("its body cannot be decompressed: %w", err)
		}
		if len(raw) != int(h.rawLen) {
			return nil, fmt.Errorf("its body has %d bytes uncompressed, it says %d", len(raw), h.rawLen)
		}
		return raw, nil
	}
	return nil, fmt.Errorf("its codec %d is unknown", h.codec)
}

var errShort = errors.New("its body ends early")

// input reads a section front to back; after an error everything reads as zero.
type input struct {
	b   []byte
	err error
}

func (c *input) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *input) varint() int64 {
	v, n := binary.Varint(c.b)
	if n <= 0 {
		c.fail()
		return 0
	}
	c.b = c.b[n:]
	return v
}

// take returns the next n bytes, whose capacity ends with them.
func (c *input) take(n uint64) []byte {
	if n > uint64(len(c.b)) {
		c.fail()
		return nil
	}
	b := c.b[:n:n]
	c.b = c.b[n:]
	return b
}

func (c *input) fail() {
	c.b = nil
	if c.err == nil {
		c.err = errShort
	}
}

// done is the section's error, also if something is left of it.
func (c *input) done() error {
	if c.err == nil && len(c.b) > 0 {
		return fmt.Errorf("its body has %d bytes too many", len(c.b))
	}
	return c.err
}

// sections of a body.
type sections struct {
	strings, profiles, records, marks, data []byte
	stringCount, profileCount               int
}

func cutSections(h *header, raw []byte) (s sections, err error) {
	c := input{b: raw}
	strings, stringBytes := c.uvarint(), c.uvarint()
	profiles, profileBytes := c.uvarint(), c.uvarint()
	recordBytes, markBytes := c.uvarint(), uint64(0)
	if h.flags&flagMarks != 0 {
		markBytes = c.uvarint()
	}
	s.strings, s.profiles, s.records, s.marks = c.take(stringBytes), c.take(profileBytes), c.take(recordBytes), c.take(markBytes)
	s.data = c.b
	switch {
	case c.err != nil:
		return s, c.err
	case strings > uint64(len(s.strings)):
		return s, fmt.Errorf("it says it has %d strings in %d bytes", strings, len(s.strings))
	case profiles*profileRefs > uint64(len(s.profiles)) || profiles > maxBlockEvents:
		return s, fmt.Errorf("it says it has %d profiles in %d bytes", profiles, len(s.profiles))
	}
	s.stringCount, s.profileCount = int(strings), int(profiles)
	return s, nil
}

// entries decodes an uncompressed body, whose memory the entries keep.
func (d *decoder) entries(h *header, raw []byte) ([]gateway.Entry, error) {
	s, err := cutSections(h, raw)
	if err != nil {
		return nil, err
	}
	if uint64(h.count)*3 > uint64(len(s.records)) {
		return nil, fmt.Errorf("it says it has %d events in %d bytes", h.count, len(s.records))
	}
	strings, err := cutStrings(s.strings, s.stringCount)
	if err != nil {
		return nil, err
	}
	profiles, err := cutProfiles(s.profiles, s.profileCount, strings)
	if err != nil {
		return nil, err
	}
	entries := make([]gateway.Entry, h.count)
	c := correctedTimes{}
	if d.boots != nil {
		c.shift, c.word = d.boots.shift(h)
	}
	if err := fillEntries(entries, h, profiles, s.records, s.data, &c); err != nil {
		return nil, err
	}
	d.fillIDs(entries, h.epoch)
	return entries, nil
}

// marks returns what was kept beside the events of block, one number each; nil if that is nothing.
func (d *decoder) marks(block []byte) ([]uint32, error) {
	h, err := parseHeader(block)
	if err != nil || h.flags&flagMarks == 0 {
		return nil, err
	}
	raw, err := d.body(&h, block[headerSize:])
	if err != nil {
		return nil, err
	}
	s, err := cutSections(&h, raw)
	if err != nil {
		return nil, err
	}
	return cutMarks(&h, s.marks)
}

func cutMarks(h *header, section []byte) ([]uint32, error) {
	if h.flags&flagMarks == 0 {
		return nil, nil
	}
	if uint64(h.count) > uint64(len(section)) {
		return nil, fmt.Errorf("it says it has %d marks in %d bytes", h.count, len(section))
	}
	c := input{b: section}
	marks := make([]uint32, h.count)
	for i := range marks {
		m := c.uvarint()
		if m > math.MaxUint32 {
			return nil, fmt.Errorf("mark %d is %d", i, m)
		}
		marks[i] = uint32(m)
	}
	return marks, c.done()
}

// cutStrings returns the strings by reference, as parts of one copy.
func cutStrings(section []byte, n int) ([]string, error) {
	all, c := string(section), input{b: section}
	strings := make([]string, n+1)
	for i := 1; i <= n; i++ {
		size := c.uvarint()
		from := len(section) - len(c.b)
		if c.take(size); c.err != nil {
			return nil, c.err
		}
		strings[i] = all[from : from+int(size)]
	}
	return strings, c.done()
}

// cutProfiles returns an event for each profile, to be copied.
func cutProfiles(section []byte, n int, strings []string) ([]gateway.Event, error) {
	c := input{b: section}
	profiles := make([]gateway.Event, n)
	for i := range profiles {
		var s [profileRefs]string
		for j := range s {
			ref := c.uvarint()
			if ref >= uint64(len(strings)) {
				return nil, fmt.Errorf("it refers to string %d of %d", ref, len(strings))
			}
			s[j] = strings[ref]
		}
		set, err := cutExtensions(s[5])
		if err != nil {
			return nil, err
		}
		profiles[i] = gateway.Event{Source: s[0], Type: s[1], Subject: s[2], DataContentType: s[3], DataSchema: s[4], Extensions: set}
	}
	return profiles, c.done()
}

func cutExtensions(encoded string) (map[string]string, error) {
	if encoded == "" {
		return nil, nil
	}
	c := input{b: []byte(encoded)}
	n := c.uvarint()
	if n == 0 || n > uint64(len(c.b)) {
		return nil, fmt.Errorf("it says it has %d extensions in %d bytes", n, len(c.b))
	}
	set := make(map[string]string, n)
	for range n {
		name := string(c.take(c.uvarint()))
		set[name] = string(c.take(c.uvarint()))
	}
	return set, c.done()
}

// correctedTimes are what the times of a block are wrong by, and what its events say of that.
type correctedTimes struct {
	shift int64 // microseconds
	word  string
	sets  map[uint64]map[string]string // of extensions with the word, by profile
}

// extensions are those of profile n, with the word.
func (c *correctedTimes) extensions(n uint64, set map[string]string) map[string]string {
	if c.word == "" {
		return set
	}
	with, ok := c.sets[n]
	if !ok {
		with = make(map[string]string, len(set)+1)
		maps.Copy(with, set)
		with[gateway.ExtClock] = c.word
		if c.sets == nil {
			c.sets = map[uint64]map[string]string{}
		}
		c.sets[n] = with
	}
	return with
}

func fillEntries(entries []gateway.Entry, h *header, profiles []gateway.Event, records, data []byte, times *correctedTimes) error {
	c, payload := input{b: records}, input{b: data}
	received := h.wall
	for i := range entries {
		tag := c.uvarint()
		n := tag >> recordShift
		if n >= uint64(len(profiles)) {
			return fmt.Errorf("event %d has profile %d of %d", i, n, len(profiles))
		}
		received += c.varint()
		size := c.uvarint()
		e := &entries[i]
		e.Offset, e.Received, e.Event = h.first+gateway.Offset(i), time.UnixMicro(received+times.shift).UTC(), profiles[n]
		if tag&recordHasID != 0 {
			e.Event.ID = string(c.take(c.uvarint()))
		}
		if tag&recordHasTime != 0 {
			seconds := received/1e6 + c.varint()
			e.Event.Time = time.Unix(seconds, int64(c.uvarint()%1e9)).UTC()
		} else {
			e.Event.Time, e.Event.Extensions = e.Received, times.extensions(n, e.Event.Extensions)
		}
		if b := payload.take(size); len(b) > 0 {
			e.Event.Data = b
		}
		if c.err != nil {
			return c.err
		}
	}
	if err := c.done(); err != nil {
		return err
	}
	return payload.done()
}

// fillIDs gives the events without one the ID of gateway.EventID, all of them parts of one string.
func (d *decoder) fillIDs(entries []gateway.Entry, epoch uint32) {
	missing := 0
	for i := range entries {
		if entries[i].Event.ID == "" {
			missing++
		}
	}
	if missing == 0 {
		return
	}
	prefix := d.logID + "." + strconv.FormatUint(uint64(epoch), 10) + "-"
	buf := make([]byte, 0, missing*(len(prefix)+20))
	for i := range entries {
		if entries[i].Event.ID == "" {
			buf = strconv.AppendUint(append(buf, prefix...), uint64(entries[i].Offset), 10)
		}
	}
	all, width := string(buf), len(prefix)
	for i := range entries {
		if entries[i].Event.ID != "" {
			continue
		}
		end := width + digits(uint64(entries[i].Offset))
		entries[i].Event.ID, all = all[:end], all[end:]
	}
}

func digits(v uint64) int {
	n := 1
	for ; v >= 10; v /= 10 {
		n++
	}
	return n
}
