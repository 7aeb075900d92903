package load

import (
	"net"
	"sync"
	"testing"

	"gateway/internal/load/wire"
)

// ackServer is a broker that only acknowledges. It remembers the identities of what it got.
type ackServer struct {
	ln      net.Listener
	closeAt func(received int) bool // closes the connection before the ack of this publish, where not nil
	wg      sync.WaitGroup

	mu       sync.Mutex
	payloads map[int][]uint64 // sequences by client, in order
	bytes    int
	rels     int
	sample   []byte
}

func startAckServer(t testing.TB, closeAt func(received int) bool) *ackServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &ackServer{ln: ln, closeAt: closeAt, payloads: map[int][]uint64{}}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		ln.Close()
		s.wg.Wait()
	})
	return s
}

func (s *ackServer) addr() string { return s.ln.Addr().String() }

func (s *ackServer) accept() {
	for {
		conn, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.wg.Go(func() {
			defer conn.Close()
			s.serve(conn)
		})
	}
}

func (s *ackServer) serve(conn net.Conn) {
	r := wire.NewReader(conn, 32<<10)
	var out []byte
	got := &tally{}
	defer s.keep(got)
	for {
		first, body, err := r.Next()
		for ok := true; ok && err == nil; first, body, ok, err = r.Buffered() {
			switch first & 0xf0 {
			case wire.Connect:
				out = append(out, wire.Connack, 2, 0, 0)
			case wire.Publish:
				if s.closeAt != nil && s.closeAt(len(got.seqs)) {
					return
				}
				out = got.publish(out, first, body)
			case wire.Pubrel:
				id, _ := wire.ID(body)
				got.rels++
				out = wire.AppendAck(out, wire.Pubcomp, id)
			case wire.Disconnect:
				return
			}
		}
		if err != nil {
			return
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
		out = out[:0]
	}
}

// tally is what one connection got.
type tally struct {
	client      int
	seqs        []uint64
	bytes, rels int
	sample      []byte
}

func (g *tally) publish(out []byte, first byte, body []byte) []byte {
	m, err := wire.ParsePublish(first, body)
	if err != nil {
		return out
	}
	client, seq, err := Identity(m.Payload)
	if err != nil {
		return out
	}
	g.client, g.seqs, g.bytes = client, append(g.seqs, seq), g.bytes+len(m.Payload)
	if g.sample == nil {
		g.sample = append(g.sample, m.Payload...)
	}
	if m.QoS == 2 {
		return wire.AppendAck(out, wire.Pubrec, m.ID)
	}
	return wire.AppendAck(out, wire.Puback, m.ID)
}

func (s *ackServer) keep(g *tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.payloads[g.client] = append(s.payloads[g.client], g.seqs...)
	s.bytes += g.bytes
	s.rels += g.rels
	s.sample = g.sample
}

// stop ends the server and returns how many publishes it got of each client, failing where a sequence is not 0, 1, 2, ….
func (s *ackServer) stop(t testing.TB) (total int) {
	t.Helper()
	s.ln.Close()
	s.wg.Wait()
	for client, seqs := range s.payloads {
		for i, seq := range seqs {
			if seq != uint64(i) {
				t.Fatalf("client %d: got sequence %d at place %d", client, seq, i)
			}
		}
		total += len(seqs)
	}
	return total
}
