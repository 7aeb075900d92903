package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"gateway/test/hardware/talk"
)

// pieceSize is how much of a file one message carries.
const pieceSize = 256 << 10

// run runs a program in the guest to its end and returns what it printed. Output goes to output as well, if that is not nil.
func (a *agent) run(ctx context.Context, output io.Writer, env []string, args ...string) (string, int, error) {
	var text bytes.Buffer
	var to io.Writer = &text
	if output != nil {
		to = io.MultiWriter(&text, output)
	}
	reply, err := a.do(ctx, talk.Request{Verb: talk.Run, Args: args, Env: env}, to)
	if err != nil {
		return text.String(), -1, fmt.Errorf("%s: %w", args[0], err)
	}
	return text.String(), reply.Exit, nil
}

// shell runs a line of the guest's shell that must end with 0.
func (a *agent) shell(ctx context.Context, line string) (string, error) {
	out, exit, err := a.run(ctx, nil, nil, "/bin/sh", "-c", line)
	if err == nil && exit != 0 {
		err = fmt.Errorf("%q ended with %d %w: %s", line, exit, errGuest, out)
	}
	return out, err
}

// write writes a file.
func (a *agent) write(ctx context.Context, path string, data []byte) error {
	_, err := a.do(ctx, talk.Request{Verb: talk.Write, Path: path, Data: data}, nil)
	return err
}

// set writes a word to a file of the kernel's.
func (a *agent) set(ctx context.Context, path string, value any) error {
	return a.write(ctx, path, fmt.Append(nil, value))
}

// push copies a program of the host's.
func (a *agent) push(ctx context.Context, from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	first := true
	for piece := range slices.Chunk(data, pieceSize) {
		if _, err := a.do(ctx, talk.Request{Verb: talk.Write, Path: to, Data: piece, Mode: 0o755, Append: !first}, nil); err != nil {
			return err
		}
		first = false
	}
	return nil
}

// read returns a whole file.
func (a *agent) read(ctx context.Context, path string) ([]byte, error) {
	const most = 64 << 20
	reply, err := a.do(ctx, talk.Request{Verb: talk.Read, Path: path, Limit: most}, nil)
	if err != nil {
		return nil, err
	}
	return reply.Data, nil
}

// word returns what a small file of the kernel's says.
func (a *agent) word(ctx context.Context, path string) (string, error) {
	data, err := a.read(ctx, path)
	return strings.TrimSpace(string(data)), err
}

// edges makes a train of edges.
func (a *agent) edges(ctx context.Context, t talk.Train) (*talk.Made, error) {
	reply, err := a.do(ctx, talk.Request{Verb: talk.Edges, Edges: &t}, nil)
	if err != nil {
		return nil, err
	}
	return reply.Made, nil
}

// watch makes edges and has the agent itself listen to them.
func (a *agent) watch(ctx context.Context, t talk.Train, stalled bool) (*talk.Made, *talk.Seen, error) {
	reply, err := a.do(ctx, talk.Request{Verb: talk.Watch, Edges: &t, Stalled: stalled}, nil)
	if err != nil {
		return nil, nil, err
	}
	return reply.Made, reply.Seen, nil
}

// i2c makes one transfer: a write, and a read of n bytes.
func (a *agent) i2c(ctx context.Context, bus, addr int, write []byte, n int) ([]byte, error) {
	reply, err := a.do(ctx, talk.Request{Verb: talk.I2C, Bus: bus, Addr: addr, Data: write, Limit: n}, nil)
	if err != nil {
		return nil, err
	}
	return reply.Data, nil
}

// start starts a program in the background; its output goes to the file log.
func (a *agent) start(ctx context.Context, name, log string, keep bool, args ...string) error {
	_, err := a.do(ctx, talk.Request{Verb: talk.Start, Name: name, Path: log, Keep: keep, Args: args}, nil)
	return err
}

// kill is kill -9, and returns when the program is gone.
func (a *agent) kill(ctx context.Context, name string) error {
	_, err := a.do(ctx, talk.Request{Verb: talk.Signal, Name: name, Signal: 9}, nil)
	return err
}

// signal sends a signal other than 9.
func (a *agent) signal(ctx context.Context, name string, number int) error {
	_, err := a.do(ctx, talk.Request{Verb: talk.Signal, Name: name, Signal: number}, nil)
	return err
}

// wait waits for a program's end and returns its exit code, -1 where a signal ended it.
func (a *agent) wait(ctx context.Context, name string) (int, error) {
	reply, err := a.do(ctx, talk.Request{Verb: talk.Wait, Name: name}, nil)
	if err != nil {
		return -1, err
	}
	return reply.Exit, nil
}

// clock is what time it is in the guest.
func (a *agent) clock(ctx context.Context) (monotonic time.Duration, wall time.Time, err error) {
	reply, err := a.do(ctx, talk.Request{Verb: talk.Clock}, nil)
	if err != nil {
		return 0, time.Time{}, err
	}
	return reply.Now.Monotonic, reply.Now.Wall, nil
}
