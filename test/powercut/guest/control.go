package main

import (
	"fmt"
	"net"
	"os"
	"sync"

	"gateway/internal/load/wire"
	"gateway/test/powercut/found"
)

// control acknowledges what it wrote to a file. Where it does not sync it must lose events, where it does it must not.
type control struct {
	syncs bool
	mu    sync.Mutex // guards file
	file  *os.File
}

func serve(addr, name string, syncs bool) error {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	c := &control{syncs: syncs, file: file}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			fmt.Fprintln(os.Stderr, "control: a client has gone:", c.talk(conn))
		}()
	}
}

// talk serves a connection until it ends, and says why it did: CONNECT and PUBLISH of QoS 1 are all that it understands.
func (c *control) talk(conn net.Conn) error {
	r := wire.NewReader(conn, 16<<10)
	for {
		first, body, err := r.Next()
		if err != nil {
			return err
		}
		answer := []byte{wire.Connack, 2, 0, 0}
		if first&0xf0 == wire.Publish {
			m, err := wire.ParsePublish(first, body)
			if err != nil {
				return err
			}
			if err := c.append(m.Payload); err != nil {
				return err
			}
			answer = wire.AppendAck(nil, wire.Puback, m.ID)
		}
		if _, err := conn.Write(answer); err != nil {
			return err
		}
	}
}

func (c *control) append(payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, err := c.file.Write(found.AppendRecord(nil, payload)); err != nil || !c.syncs {
		return err
	}
	return c.file.Sync()
}
