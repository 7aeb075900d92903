package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"gateway/test/hardware/talk"
)

// agent is shared by all requests.
type agent struct {
	port *talk.Port

	mu      sync.Mutex // guards what follows
	running map[string]*process
	stores  map[string]*store
}

// answer does what a request asks for and sends the last reply.
func (a *agent) answer(r *talk.Request) {
	reply, err := a.do(r)
	reply.ID, reply.Done = r.ID, true
	if err != nil {
		reply.Error = err.Error()
	}
	if err := a.port.Send(&reply); err != nil {
		fmt.Fprintln(os.Stderr, "AGENT-FAILED", err)
	}
}

func (a *agent) do(r *talk.Request) (talk.Reply, error) {
	switch r.Verb {
	case talk.Run:
		return a.run(r)
	case talk.Start:
		return a.start(r)
	case talk.Signal:
		return a.signal(r)
	case talk.Wait:
		return a.wait(r)
	case talk.Read:
		return read(r)
	case talk.Write:
		return talk.Reply{}, write(r)
	case talk.Edges:
		return makeEdges(r.Edges)
	case talk.Watch:
		return watch(r.Edges, r.Stalled)
	case talk.I2C:
		return transfer(r)
	case talk.Clock:
		return talk.Reply{Now: &talk.Time{Monotonic: monotonic(), Wall: time.Now()}}, nil
	}
	return talk.Reply{}, fmt.Errorf("there is no verb %q", r.Verb)
}

// read returns up to Limit bytes. Files of the kernel's have no size, so they are read to their end.
func read(r *talk.Request) (talk.Reply, error) {
	file, err := os.Open(r.Path)
	if err != nil {
		return talk.Reply{}, err
	}
	defer file.Close()
	if r.Offset > 0 {
		if _, err := file.Seek(r.Offset, io.SeekStart); err != nil {
			return talk.Reply{}, err
		}
	}
	data, err := io.ReadAll(io.LimitReader(file, int64(r.Limit)))
	return talk.Reply{Data: data}, err
}

func write(r *talk.Request) error {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if r.Append {
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	mode := os.FileMode(r.Mode)
	if mode == 0 {
		mode = 0o600
	}
	file, err := os.OpenFile(r.Path, flags, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(r.Data) // in one piece: the kernel's files want that
	if err2 := file.Close(); err == nil {
		err = err2
	}
	return err
}
