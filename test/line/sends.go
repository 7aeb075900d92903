package line

import (
	"encoding/binary"
	"sync"

	"gateway/internal/faultproxy"
	"gateway/internal/load"
	"gateway/internal/load/wire"
)

// sends counts what the gateway sends again, out of what the proxy reads of it: also what is lost behind that. It is safe for
// concurrent use.
type sends struct {
	mu          sync.Mutex // guards what follows
	streams     map[int64]*stream
	seen        map[place]int64 // the connection that it was sent on last
	published   int             // connections on which something was
	resent      int             // publishes that had been sent on an earlier connection
	most        int             // on one connection
	twice       int             // publishes that had been sent on the same connection
	connectSize int             // of the first CONNECT
	publishSize int             // of the first PUBLISH
}

// stream is one connection.
type stream struct {
	rest              []byte // of a packet that is not whole
	published, resent int
}

func newSends() *sends { return &sends{streams: map[int64]*stream{}, seen: map[place]int64{}} }

// observe is for Proxy.Observe.
func (s *sends) observe(conn int64, d faultproxy.Direction, b []byte) {
	if d != faultproxy.Up {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.streams[conn]
	if st == nil {
		st = &stream{}
		s.streams[conn] = st
	}
	st.rest = append(st.rest, b...)
	for {
		size, head := packetSize(st.rest)
		if size == 0 || size > len(st.rest) {
			return
		}
		s.packet(conn, st, st.rest[:size], head)
		st.rest = append(st.rest[:0], st.rest[size:]...)
	}
}

// packetSize is the size of the packet that b begins with, and that of its header; 0 if that is not whole.
func packetSize(b []byte) (size, head int) {
	if len(b) < 2 {
		return 0, 0
	}
	body, n := binary.Uvarint(b[1:])
	if n <= 0 {
		return 0, 0
	}
	return 1 + n + int(body), 1 + n
}

// packet takes a whole packet. s.mu is held.
func (s *sends) packet(conn int64, st *stream, b []byte, head int) {
	if b[0]&0xf0 == wire.Connect && s.connectSize == 0 {
		s.connectSize = len(b)
	}
	if b[0]&0xf0 != wire.Publish {
		return
	}
	if s.publishSize == 0 {
		s.publishSize = len(b)
	}
	m, err := wire.ParsePublish(b[0], b[head:])
	if err != nil {
		return
	}
	sensor, seq, err := load.Identity(m.Payload)
	if err != nil {
		return // it is the recorder's to complain
	}
	if st.published++; st.published == 1 {
		s.published++
	}
	switch last, sent := s.seen[place{sensor, seq}]; {
	case sent && last == conn:
		s.twice++
	case sent:
		st.resent++
		s.resent++
		s.most = max(s.most, st.resent)
	}
	s.seen[place{sensor, seq}] = conn
}

// tally is a snapshot of sends.
type tally struct{ published, resent, most, twice, connectSize, publishSize int }

func (s *sends) tally() tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	return tally{s.published, s.resent, s.most, s.twice, s.connectSize, s.publishSize}
}
