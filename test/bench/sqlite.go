package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gateway/internal/load"
)

// sqlite is the sqlite3 program, fed with SQL through its standard input: a queue in one table.
type sqlite struct {
	cmd      *exec.Cmd
	in       *bufio.Writer
	out      *bufio.Reader
	interval time.Duration // between transactions, 0: each event has its own
	keep     bool          // nobody takes events out
	begun    time.Time     // of the open transaction; zero while there is none
	taken    uint64        // events up to this one were there in the transaction before
}

func startFull(ctx context.Context, b *bench, s *system, down bool) (*target, error) {
	return b.startSQLite(ctx, s, "FULL", down)
}

func startNormal(ctx context.Context, b *bench, s *system, down bool) (*target, error) {
	return b.startSQLite(ctx, s, "NORMAL", down)
}

func (b *bench) startSQLite(ctx context.Context, s *system, synchronous string, down bool) (*target, error) {
	q := &sqlite{interval: s.interval, keep: down}
	q.cmd = exec.Command("sqlite3", "-batch", filepath.Join(b.dir, b.name("sqlite")+".db"))
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := q.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := q.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	q.in, q.out = bufio.NewWriter(in), bufio.NewReader(out)
	if err := q.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start sqlite3 (apt-get install sqlite3): %w", err)
	}
	stop := func() {
		_ = q.cmd.Process.Kill()
		_ = q.cmd.Wait() // killed
	}
	fmt.Fprintf(q.in, "PRAGMA journal_mode=WAL;\nPRAGMA synchronous=%s;\nCREATE TABLE queue(id INTEGER PRIMARY KEY, topic TEXT, received INTEGER, data TEXT);\n", synchronous)
	if err := q.sync(); err != nil {
		stop()
		return nil, err
	}
	return &target{pid: q.cmd.Process.Pid, publish: q.publish, stop: stop}, nil
}

// sync waits until sqlite3 has done what it was sent.
func (q *sqlite) sync() error {
	fmt.Fprintln(q.in, "SELECT 'done';")
	if err := q.in.Flush(); err != nil {
		return err
	}
	for {
		line, err := q.out.ReadString('\n')
		if err != nil {
			return fmt.Errorf("sqlite3: %w", err)
		}
		if strings.TrimSpace(line) == "done" {
			return nil
		}
	}
}

// publish inserts count readings, each when it is due.
func (q *sqlite) publish(ctx context.Context, count uint64, rate float64) (load.Result, error) {
	r := load.Result{Clients: 1}
	readings := load.NewReadings(0, 1, 20, 128, 1)
	var data []byte
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for r.Sent < count {
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-timer.C:
		}
		data = readings.Append(data[:0], r.Sent, time.Now().UnixMilli())
		r.Sent++
		r.PayloadBytes += uint64(len(data))
		if err := q.insert(r.Sent, data); err != nil {
			return r, err
		}
		timer.Reset(time.Until(start.Add(time.Duration(float64(r.Sent) / rate * float64(time.Second)))))
	}
	if err := q.commit(r.Sent); err != nil {
		return r, err
	}
	if err := q.sync(); err != nil {
		return r, err
	}
	r.Acknowledged, r.Seconds = r.Sent, time.Since(start).Seconds()
	r.PerSecond = float64(r.Sent) / r.Seconds
	return r, nil
}

// insert adds an event to the open transaction and commits that when it is time.
func (q *sqlite) insert(id uint64, data []byte) error {
	now := time.Now()
	if q.begun.IsZero() {
		q.begun = now
		fmt.Fprintln(q.in, "BEGIN;")
	}
	fmt.Fprintf(q.in, "INSERT INTO queue VALUES(%d,'bench/0000/reading',%d,'%s');\n", id, now.UnixMilli(), data)
	if now.Sub(q.begun) < q.interval {
		return nil
	}
	return q.commit(id)
}

// commit ends the transaction. In it goes what the one before brought: that is delivered by now.
func (q *sqlite) commit(last uint64) error {
	if q.begun.IsZero() {
		return nil
	}
	q.begun = time.Time{}
	if !q.keep {
		fmt.Fprintf(q.in, "DELETE FROM queue WHERE id<=%d;\n", q.taken)
	}
	q.taken = last
	fmt.Fprintln(q.in, "COMMIT;")
	return q.in.Flush()
}
