package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"gateway/test/hardware/talk"
)

// agent is the rig's end of the agent in the guest. Its methods may be called from any goroutine.
type agent struct {
	conn net.Conn
	port *talk.Port
	done chan struct{} // closed when nothing more can come; err is set then
	err  error

	mu      sync.Mutex // guards what follows
	last    uint64
	waiting map[uint64]*call
}

// call is a request under way.
type call struct {
	output io.Writer        // gets the Data of replies before the last; written by the reading goroutine alone
	done   chan *talk.Reply // capacity 1
}

func newAgent(conn net.Conn) *agent {
	a := &agent{conn: conn, port: talk.NewPort(conn), done: make(chan struct{}), waiting: map[uint64]*call{}}
	go a.receive()
	return a
}

// close ends all calls.
func (a *agent) close() {
	_ = a.conn.Close()
	<-a.done
}

func (a *agent) receive() {
	defer close(a.done)
	for {
		var r talk.Reply
		if a.err = a.port.Receive(&r); a.err != nil {
			return
		}
		a.mu.Lock()
		c := a.waiting[r.ID]
		if r.Done {
			delete(a.waiting, r.ID)
		}
		a.mu.Unlock()
		switch {
		case c == nil: // the caller did not want to wait any more
		case r.Done:
			c.done <- &r
		case c.output != nil:
			_, _ = c.output.Write(r.Data) // a buffer, or a file of the rig's: the verdict does not hang on it
		}
	}
}

// errGuest says that the agent could not do what it was asked for.
var errGuest = errors.New("in the guest")

// do sends a request and waits for its last reply.
func (a *agent) do(ctx context.Context, r talk.Request, output io.Writer) (*talk.Reply, error) {
	c := &call{output: output, done: make(chan *talk.Reply, 1)}
	a.mu.Lock()
	a.last++
	r.ID = a.last
	a.waiting[r.ID] = c
	a.mu.Unlock()
	if err := a.port.Send(&r); err != nil {
		return nil, err
	}
	select {
	case reply := <-c.done:
		if reply.Error != "" {
			return reply, fmt.Errorf("%s %w: %s", r.Verb, errGuest, reply.Error)
		}
		return reply, nil
	case <-a.done:
		return nil, fmt.Errorf("%s: the guest has gone: %w", r.Verb, a.err)
	case <-ctx.Done():
		a.mu.Lock()
		delete(a.waiting, r.ID)
		a.mu.Unlock()
		return nil, fmt.Errorf("%s: %w", r.Verb, ctx.Err())
	}
}
