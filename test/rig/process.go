// Package rig starts the real processes that the end-to-end programs work with: this gateway, the brokers that it is
// compared with, and the load program; and reads what the kernel counts about them. Linux only.
package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Process is a child that is killed with its parent.
type Process struct {
	// Name is what messages call it, Log the file with what it printed.
	Name, Log string
	// Started is when it was started.
	Started time.Time

	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read after done
}

// Start runs a program whose output goes to <name>.log in dir, behind what is there.
func Start(dir, name, program string, args ...string) (*Process, error) {
	log := filepath.Join(dir, name+".log")
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	defer out.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p := &Process{Name: name, Log: log, cmd: cmd, done: make(chan struct{}), Started: time.Now()}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill is kill -9. It returns when the process is gone; killing it again is fine.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Stop sends SIGTERM and waits up to patience, then kills. It fails where the process had to be killed or did not end with 0.
func (p *Process) Stop(patience time.Duration) error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("%s did not end within %s of SIGTERM: %s", p.Name, patience, p.Tail())
	}
	if p.err != nil {
		return fmt.Errorf("%s after SIGTERM: %w: %s", p.Name, p.err, p.Tail())
	}
	return nil
}

// Err tells how a process that is Done ended, nil for exit code 0.
func (p *Process) Err() error {
	<-p.done
	return p.err
}

// Tail is the end of what the process printed.
func (p *Process) Tail() string {
	b, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-1500):])
}

// errEnded says that a process ended while it was waited for.
var errEnded = errors.New("ended too early")

// WaitUntil polls ready every few milliseconds, until it returns nil, the process ends or patience is over.
func (p *Process) WaitUntil(ctx context.Context, patience time.Duration, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s %w: %s", p.Name, errors.Join(errEnded, p.err), p.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w: %s", p.Name, patience, err, p.Tail())
		case <-tick.C:
		}
	}
}

// Poll calls check every 10 ms until it returns true; false when patience or ctx ends first.
func Poll(ctx context.Context, patience time.Duration, check func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !check() {
		select {
		case <-ctx.Done():
			return check()
		case <-tick.C:
		}
	}
	return true
}
