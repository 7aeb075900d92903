package faultproxy

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// echo is a server that sends back what it gets.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return ln.Addr().String()
}

func setup(t *testing.T) *Proxy {
	t.Helper()
	p, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return p
}

func dial(t *testing.T, p *Proxy) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

func roundTrip(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := conn.Write([]byte(text)); err != nil {
		t.Fatalf("write %q: %v", text, err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v, want %q", got, err, text)
	}
}

func TestPassesAndCounts(t *testing.T) {
	t.Parallel()
	p := setup(t)
	p.SetLatency(time.Millisecond)
	roundTrip(t, dial(t, p), "hello")
	for end := time.Now().Add(10 * time.Second); p.Bytes(Down) < 5 && time.Now().Before(end); {
		runtime.Gosched() // what was passed is counted just after
	}
	if up, down, opened := p.Bytes(Up), p.Bytes(Down), p.Opened(); up != 5 || down != 5 || opened != 1 {
		t.Errorf("got %d bytes up, %d down, %d connections, want 5, 5, 1", up, down, opened)
	}
}

func TestCutByEachWay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		how  How
		want error
	}{{"reset", Reset, syscall.ECONNRESET}, {"close", Close, io.EOF}, {"silence", Silence, os.ErrDeadlineExceeded}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := setup(t)
			conn := dial(t, p)
			roundTrip(t, conn, "x")
			if n := p.Cut(c.how); n != 1 {
				t.Fatalf("cut %d connections, want 1", n)
			}
			if c.how == Silence {
				conn.Write([]byte("lost"))
				conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			}
			if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, c.want) {
				t.Errorf("read got %v, want %v", err, c.want)
			}
			roundTrip(t, dial(t, p), "a new connection passes")
		})
	}
}

func TestCutAfterBytesPassesExactlyThose(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := dial(t, p)
	roundTrip(t, conn, "before")
	fired := p.CutAfterBytes(Down, 3, Close)
	conn.Write([]byte("answer"))
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, []byte("ans")) {
		t.Errorf("got %q, %v, want %q", got, err, "ans")
	}
	<-fired
	roundTrip(t, dial(t, p), "once only")
}

func TestHoldLosesNothing(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := dial(t, p)
	p.Hold()
	conn.Write([]byte("late"))
	conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("held connection gave %v, want a timeout", err)
	}
	conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	p.Release()
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "late" {
		t.Errorf("got %q, %v, want %q", got, err, "late")
	}
}

func TestDownRefusesUntilUp(t *testing.T) {
	t.Parallel()
	p := setup(t)
	conn := dial(t, p)
	roundTrip(t, conn, "x")
	p.SetDown()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("the open connection survived SetDown")
	}
	if conn, err := net.Dial("tcp", p.Addr()); err == nil {
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a new connection while down gave %v, want a reset", err)
		}
	}
	p.SetUp()
	roundTrip(t, dial(t, p), "up")
}

func TestCloseEndsSilentAndHeldConnections(t *testing.T) {
	p, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	roundTrip(t, dial(t, p), "x")
	p.Cut(Silence)
	p.Hold()
	dial(t, p).Write([]byte("held"))
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if strings.Contains(string(stacks), "faultproxy.(*pair)") || strings.Contains(string(stacks), "faultproxy.(*Proxy).serve") {
		t.Errorf("goroutines left behind:\n%s", stacks)
	}
}
