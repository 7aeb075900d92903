package mqttsink

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// fakeBroker answers CONNECT with code and hands each connection to serve, whose PUBLISH packets it may answer.
type fakeBroker struct {
	addr string
	code byte
}

// startFakeBroker starts one. serve gets the number of the connection, from 1, and may end at any time.
func startFakeBroker(t *testing.T, code byte, serve func(n int, c *brokerConn)) *fakeBroker {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		ln.Close()
		<-ended
	})
	go func() {
		defer close(ended)
		for n := 1; ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(patience))
			c := &brokerConn{Conn: conn, in: bufio.NewReader(conn)}
			if first, _, err := c.packet(); err == nil && first == 0x10 {
				conn.Write([]byte{0x20, 2, 0, code})
				if code == 0 && serve != nil {
					serve(n, c)
				}
			}
			conn.Close()
		}
	}()
	return &fakeBroker{addr: ln.Addr().String(), code: code}
}

type brokerConn struct {
	net.Conn
	in *bufio.Reader
}

// packet reads one packet: its first byte, and what is behind the length.
func (c *brokerConn) packet() (first byte, body []byte, err error) {
	if first, err = c.in.ReadByte(); err != nil {
		return 0, nil, err
	}
	length := 0
	for shift := 0; ; shift += 7 {
		b, err := c.in.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		length |= int(b&0x7f) << shift
		if b < 0x80 {
			break
		}
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c.in, body)
	return first, body, err
}

// publish reads up to the next PUBLISH and returns its id and payload.
func (c *brokerConn) publish() (id uint16, payload string, err error) {
	for {
		first, body, err := c.packet()
		if err != nil {
			return 0, "", err
		}
		if first>>4 != 3 {
			continue
		}
		n := 2 + int(body[0])<<8 + int(body[1])
		return uint16(body[n])<<8 | uint16(body[n+1]), string(body[n+2:]), nil
	}
}

func (c *brokerConn) ack(ids ...uint16) {
	for _, id := range ids {
		c.Write([]byte{0x40, 2, byte(id >> 8), byte(id)})
	}
}
