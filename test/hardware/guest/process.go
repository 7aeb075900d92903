package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"gateway/test/hardware/talk"
)

// process is one in the background.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// command prepares a program whose output goes to out.
func command(r *talk.Request) (*exec.Cmd, error) {
	if len(r.Args) == 0 {
		return nil, errors.New("there is no program to run")
	}
	cmd := exec.Command(r.Args[0], r.Args[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin = r.Dir, append(os.Environ(), r.Env...), bytes.NewReader(r.Data)
	return cmd, nil
}

// run sends the output as it comes.
func (a *agent) run(r *talk.Request) (talk.Reply, error) {
	cmd, err := command(r)
	if err != nil {
		return talk.Reply{}, err
	}
	out := &stream{agent: a, id: r.ID}
	cmd.Stdout, cmd.Stderr = out, out // one writer: exec uses one goroutine for it
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return talk.Reply{}, err
	}
	return ended(cmd.ProcessState), nil
}

// stream sends what a program prints.
type stream struct {
	agent *agent
	id    uint64
}

func (s *stream) Write(b []byte) (int, error) {
	return len(b), s.agent.port.Send(&talk.Reply{ID: s.id, Data: b})
}

func ended(state *os.ProcessState) talk.Reply {
	reply := talk.Reply{Exit: state.ExitCode()}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		reply.Signal = int(status.Signal())
	}
	return reply
}

// start leaves a program running whose output goes behind what is in the file Path.
func (a *agent) start(r *talk.Request) (talk.Reply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.running[r.Name]; old != nil {
		select {
		case <-old.done:
		default:
			return talk.Reply{}, fmt.Errorf("%s runs already", r.Name)
		}
	}
	cmd, err := command(r)
	if err != nil {
		return talk.Reply{}, err
	}
	out, err := os.OpenFile(r.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return talk.Reply{}, err
	}
	defer out.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, out, out
	if s, err := a.keeping(r); err != nil {
		return talk.Reply{}, err
	} else if s != nil {
		s.hand(cmd)
	}
	if err := cmd.Start(); err != nil {
		return talk.Reply{}, err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is in its state
		close(p.done)
	}()
	a.running[r.Name] = p
	return talk.Reply{PID: cmd.Process.Pid}, nil
}

func (a *agent) find(name string) (*process, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p := a.running[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s was never started", name)
}

func (a *agent) signal(r *talk.Request) (talk.Reply, error) {
	p, err := a.find(r.Name)
	if err != nil {
		return talk.Reply{}, err
	}
	if err := p.cmd.Process.Signal(syscall.Signal(r.Signal)); err != nil {
		return talk.Reply{}, err
	}
	if syscall.Signal(r.Signal) != syscall.SIGKILL {
		return talk.Reply{PID: p.cmd.Process.Pid}, nil
	}
	<-p.done
	return ended(p.cmd.ProcessState), nil
}

func (a *agent) wait(r *talk.Request) (talk.Reply, error) {
	p, err := a.find(r.Name)
	if err != nil {
		return talk.Reply{}, err
	}
	<-p.done
	return ended(p.cmd.ProcessState), nil
}
