package buffer

import (
	"encoding/binary"
	"hash/maphash"
	"slices"

	"gateway"
)

// hashIndex finds a small integer by a hash, with open addressing. It is cleared and used again for each block, so
// that a steady load allocates nothing, and keeps nothing of its caller.
type hashIndex struct {
	slots []uint32 // element + 1; 0 is free; a power of two
	used  int
}

func (x *hashIndex) reset() {
	clear(x.slots)
	x.used = 0
}

// slot is where a search for h begins.
func (x *hashIndex) slot(h uint64) int { return int(h & uint64(len(x.slots)-1)) }

func (x *hashIndex) next(i int) int { return (i + 1) & (len(x.slots) - 1) }

// add enters element under h. hashOf gives the hash of an element that is there already.
func (x *hashIndex) add(h uint64, element int, hashOf func(int) uint64) {
	if 2*(x.used+1) > len(x.slots) {
		x.grow(hashOf)
	}
	i := x.slot(h)
	for x.slots[i] != 0 {
		i = x.next(i)
	}
	x.slots[i] = uint32(element) + 1
	x.used++
}

func (x *hashIndex) grow(hashOf func(int) uint64) {
	old := x.slots
	x.slots = make([]uint32, max(64, 2*len(old)))
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := x.slot(hashOf(int(s - 1)))
		for x.slots[i] != 0 {
			i = x.next(i)
		}
		x.slots[i] = s
	}
}

// stringTable is the distinct strings of a block, in the order in which they came. Reference 0 is the empty string.
type stringTable struct {
	seed  maphash.Seed
	buf   []byte // as in the block: length, bytes
	refs  []stringRef
	index hashIndex
}

type stringRef struct {
	hash     uint64
	off, len uint32
}

func (t *stringTable) reset() {
	t.buf, t.refs = t.buf[:0], t.refs[:0]
	t.index.reset()
}

func (t *stringTable) bytes(ref uint32) []byte {
	if ref == 0 {
		return nil
	}
	r := t.refs[ref-1]
	return t.buf[r.off : r.off+r.len]
}

func (t *stringTable) equal(ref uint32, s string) bool { return string(t.bytes(ref)) == s }

// ref returns the reference of s, which it enters if it is new.
func (t *stringTable) ref(s string) uint32 {
	if s == "" {
		return 0
	}
	h := maphash.String(t.seed, s)
	if len(t.index.slots) > 0 {
		for i := t.index.slot(h); t.index.slots[i] != 0; i = t.index.next(i) {
			if ref := t.index.slots[i]; t.refs[ref-1].hash == h && t.equal(ref, s) {
				return ref
			}
		}
	}
	t.buf = binary.AppendUvarint(t.buf, uint64(len(s)))
	t.refs = append(t.refs, stringRef{h, uint32(len(t.buf)), uint32(len(s))})
	t.buf = append(t.buf, s...)
	t.index.add(h, len(t.refs)-1, func(i int) uint64 { return t.refs[i].hash })
	return uint32(len(t.refs))
}

// profile is what the events of one device and topic have in common.
type profile struct {
	hash uint64
	refs [profileRefs]uint32 // source, type, subject, content type, schema, extensions
}

const profileRefs = 6

// profileTable is the distinct profiles of a block.
type profileTable struct {
	strings  stringTable
	buf      []byte // as in the block
	profiles []profile
	index    hashIndex
	names    []string // scratch
	scratch  []byte
}

func (t *profileTable) reset() {
	t.strings.reset()
	t.buf, t.profiles = t.buf[:0], t.profiles[:0]
	t.index.reset()
}

// of returns the number of e's profile, which it enters if it is new.
func (t *profileTable) of(e *gateway.Event) int {
	h := t.hash(e)
	if len(t.index.slots) > 0 {
		for i := t.index.slot(h); t.index.slots[i] != 0; i = t.index.next(i) {
			if n := int(t.index.slots[i] - 1); t.profiles[n].hash == h && t.same(&t.profiles[n], e) {
				return n
			}
		}
	}
	s := &t.strings
	p := profile{h, [profileRefs]uint32{s.ref(e.Source), s.ref(e.Type), s.ref(e.Subject),
		s.ref(e.DataContentType), s.ref(e.DataSchema), t.extensions(e.Extensions)}}
	for _, ref := range p.refs {
		t.buf = binary.AppendUvarint(t.buf, uint64(ref))
	}
	t.profiles = append(t.profiles, p)
	t.index.add(h, len(t.profiles)-1, func(i int) uint64 { return t.profiles[i].hash })
	return len(t.profiles) - 1
}

// hash does not depend on the order of the extensions.
func (t *profileTable) hash(e *gateway.Event) uint64 {
	const prime = 0x9E3779B97F4A7C15
	seed := t.strings.seed
	h := maphash.String(seed, e.Source)
	h = h*prime + maphash.String(seed, e.Type)
	h = h*prime + maphash.String(seed, e.Subject)
	h = h*prime + maphash.String(seed, e.DataContentType)
	if e.DataSchema != "" {
		h = h*prime + maphash.String(seed, e.DataSchema)
	}
	for name, value := range e.Extensions {
		h += maphash.String(seed, name) * (maphash.String(seed, value) | 1)
	}
	return h ^ h>>32
}

func (t *profileTable) same(p *profile, e *gateway.Event) bool {
	s := &t.strings
	return s.equal(p.refs[2], e.Subject) && s.equal(p.refs[0], e.Source) && s.equal(p.refs[1], e.Type) &&
		s.equal(p.refs[3], e.DataContentType) && s.equal(p.refs[4], e.DataSchema) &&
		sameExtensions(s.bytes(p.refs[5]), e.Extensions)
}

// extensions enters the set as one string: the number of pairs, then name and value of each, sorted by name.
func (t *profileTable) extensions(set map[string]string) uint32 {
	if len(set) == 0 {
		return 0
	}
	t.names = t.names[:0]
	for name := range set {
		t.names = append(t.names, name)
	}
	slices.Sort(t.names)
	t.scratch = binary.AppendUvarint(t.scratch[:0], uint64(len(set)))
	for _, name := range t.names {
		t.scratch = appendString(t.scratch, name)
		t.scratch = appendString(t.scratch, set[name])
	}
	clear(t.names)
	return t.strings.ref(string(t.scratch))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// sameExtensions compares an encoded set, which is our own and well-formed, with set.
func sameExtensions(encoded []byte, set map[string]string) bool {
	if len(encoded) == 0 || len(set) == 0 {
		return len(encoded) == len(set)
	}
	n, encoded := cutUvarint(encoded)
	if n != uint64(len(set)) {
		return false
	}
	for range n {
		var size uint64
		size, encoded = cutUvarint(encoded)
		value, ok := set[string(encoded[:size])]
		encoded = encoded[size:]
		size, encoded = cutUvarint(encoded)
		if !ok || value != string(encoded[:size]) {
			return false
		}
		encoded = encoded[size:]
	}
	return true
}

func cutUvarint(b []byte) (uint64, []byte) {
	v, n := binary.Uvarint(b)
	return v, b[n:]
}
