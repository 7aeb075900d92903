package mqttsource

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"gateway/internal/gatewaytest"
)

// TestAKeptSessionIsTakenInBeforeTheAnswerToSubscribe: a broker sends what it has kept before its SUBACK, and that can be more than the queue holds.
func TestAKeptSessionIsTakenInBeforeTheAnswerToSubscribe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		conf    string
		n, size int
	}{
		"large": {"", 20, 100 << 10},
		"many":  {"max_inflight_messages 0\nmax_queued_messages 0\n", 1500, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := startMosquitto(t, "allow_anonymous true\n"+c.conf)
			log, o := gatewaytest.NewLog(), options(m.addr)
			_, stop := run(t, o, log)
			stop() // the session is kept
			p := newPublisher(t, m.addr, nil)
			for i := range c.n {
				p.publish("t", false, strconv.Itoa(i)+strings.Repeat("x", c.size))
			}
			s, _ := run(t, o, log)
			stored(t, log, c.n)
			if got := s.Status(); got.Reconnects != 0 || got.Stored != uint64(c.n) {
				t.Errorf("got %+v, want %d stored on the first connection", got, c.n)
			}
		})
	}
}

// TestASubackWithTooManyCodesIsRefused: the library would panic, on a goroutine of its own.
func TestASubackWithTooManyCodesIsRefused(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(patience))
			in := bufio.NewReader(conn)
			for _, answer := range [][]byte{{0x20, 2, 0, 0}, {0x90, 4, 0, 0, 1, 1}} {
				_, _ = in.ReadByte()
				length, _ := binary.ReadUvarint(in)
				body := make([]byte, length)
				_, _ = io.ReadFull(in, body)
				if answer[0] == 0x90 {
					copy(answer[2:4], body)
				}
				_, _ = conn.Write(answer)
			}
			_, _ = in.ReadByte() // until the source has had enough
			_ = conn.Close()
		}
	}()
	s, _, _ := start(t, options(ln.Addr().String()))
	until(t, func() string { return s.Status().LastError }, func() bool { return strings.Contains(s.Status().LastError, "malformed SUBACK") })
}
