package buffer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"gateway"
)

// The block format, version 1. format.md is its description; the fixtures under testdata are opened for ever.
const (
	blockMagic   = "EGBK"
	blockVersion = 1
	headerSize   = 72

	codecNone = 0
	codecZstd = 1

	flagClockSynced = 1 << 0
	flagMarks       = 1 << 1 // the body has a section of marks

	// maxRawBody and maxBlockEvents bound what a reader allocates for one block, whatever the block says.
	maxRawBody     = 4 << 20
	maxBlockEvents = 1 << 15
)

// header is the fixed part of a block.
type header struct {
	codec      byte
	flags      uint16
	count      uint32
	first      gateway.Offset
	epoch      uint32
	rawLen     uint32
	wall       int64  // microseconds since 1970, when the first event of the block came
	monotonic  uint64 // nanoseconds since boot, suspend included, at the same moment
	cumulative uint64 // bytes of all blocks ever written before this one
	bootID     [16]byte
}

// last is the offset of the block's last event.
func (h *header) last() gateway.Offset { return h.first + gateway.Offset(h.count) - 1 }

// put writes h to the first headerSize bytes of block, whose rest is the body, and then the checksum of all of it.
func (h *header) put(block []byte) {
	copy(block, blockMagic)
	block[4] = blockVersion
	block[5] = h.codec
	le := binary.LittleEndian
	le.PutUint16(block[6:], h.flags)
	le.PutUint32(block[12:], h.count)
	le.PutUint64(block[16:], uint64(h.first))
	le.PutUint32(block[24:], h.epoch)
	le.PutUint32(block[28:], h.rawLen)
	le.PutUint64(block[32:], uint64(h.wall))
	le.PutUint64(block[40:], h.monotonic)
	le.PutUint64(block[48:], h.cumulative)
	copy(block[56:72], h.bootID[:])
	le.PutUint32(block[8:], blockChecksum(block))
}

// blockChecksum is CRC-32C of everything but the four bytes it is kept in.
func blockChecksum(block []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum(block[:8], table), table, block[12:])
}

// parseHeader checks the whole block against its checksum and returns its header.
func parseHeader(block []byte) (header, error) {
	var h header
	if len(block) < headerSize {
		return h, fmt.Errorf("it has %d bytes, a header alone has %d", len(block), headerSize)
	}
	if string(block[:4]) != blockMagic {
		return h, errors.New("it does not begin as a block does")
	}
	le := binary.LittleEndian
	if have, want := blockChecksum(block), le.Uint32(block[8:]); have != want {
		return h, fmt.Errorf("its checksum is %08x, it says %08x", have, want)
	}
	if block[4] != blockVersion {
		return h, fmt.Errorf("it has format version %d, this gateway reads version %d", block[4], blockVersion)
	}
	h = header{
		codec: block[5], flags: le.Uint16(block[6:]), count: le.Uint32(block[12:]),
		first: gateway.Offset(le.Uint64(block[16:])), epoch: le.Uint32(block[24:]), rawLen: le.Uint32(block[28:]),
		wall: int64(le.Uint64(block[32:])), monotonic: le.Uint64(block[40:]), cumulative: le.Uint64(block[48:]),
	}
	copy(h.bootID[:], block[56:72])
	switch {
	case h.count == 0 || h.count > maxBlockEvents:
		return h, fmt.Errorf("it says it has %d events, between 1 and %d are possible", h.count, maxBlockEvents)
	case h.rawLen > maxRawBody:
		return h, fmt.Errorf("it says it has %d bytes uncompressed, the most is %d", h.rawLen, maxRawBody)
	case h.first == 0 || h.last() < h.first:
		return h, fmt.Errorf("its first offset %d is impossible", h.first)
	}
	return h, nil
}
