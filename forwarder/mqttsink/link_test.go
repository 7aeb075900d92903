package mqttsink

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

// acked says, for each event of a Send, whether it counted as delivered.
func acked(t *testing.T, n int, err error) string {
	t.Helper()
	var parts *gateway.BatchError
	switch {
	case err == nil:
		return strings.Repeat("+", n)
	case !errors.As(err, &parts):
		return strings.Repeat("-", n)
	}
	marks := make([]byte, n)
	for i := range marks {
		marks[i] = '+'
		if parts.Errors[i] != nil {
			marks[i] = '-'
		}
	}
	return string(marks)
}

// The library completes a publish without an error when the line drops before its PUBACK. Here only what was acknowledged on this
// connection may count, whatever the broker does.
func TestOnlyPubacksOfTheSameConnectionCount(t *testing.T) {
	t.Parallel()
	const n = 5
	for _, c := range []struct {
		name  string
		serve func(c *brokerConn, ids []uint16)
		want  string
		cause string // in the error
	}{
		{"none, then the line drops", func(*brokerConn, []uint16) {}, "-----", "EOF"},
		{"the first two", func(c *brokerConn, ids []uint16) { c.ack(ids[:2]...) }, "++---", "EOF"},
		{"out of order", func(c *brokerConn, ids []uint16) { c.ack(ids[3], ids[0]) }, "+--+-", "EOF"},
		{"twice the same", func(c *brokerConn, ids []uint16) { c.ack(ids[0], ids[0], ids[0]) }, "+----", "EOF"},
		{"ids that nothing waits for", func(c *brokerConn, ids []uint16) { c.ack(0, ids[4]+1, 60000) }, "-----", "EOF"},
		{"half a PUBACK", func(c *brokerConn, ids []uint16) { c.ack(ids[0]); c.Write([]byte{0x40, 2, 0}) }, "+----", "EOF"},
		{"a PUBACK that is too long", func(c *brokerConn, ids []uint16) { c.Write([]byte{0x40, 3, 0, byte(ids[0]), 0}); c.in.ReadByte() }, "-----", "PUBACK with a length"},
		{"a packet that is far too long", func(c *brokerConn, ids []uint16) { c.Write([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}); c.in.ReadByte() }, "-----", "not sent"},
		{"a length without an end", func(c *brokerConn, ids []uint16) { c.Write([]byte{0x30, 0xff, 0xff, 0xff, 0xff}); c.in.ReadByte() }, "-----", "malformed"},
		{"other packets between", func(c *brokerConn, ids []uint16) { c.Write([]byte{0xd0, 0}); c.ack(ids...) }, "+++++", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			broker := startFakeBroker(t, 0, func(_ int, conn *brokerConn) {
				var ids []uint16
				for range n {
					id, _, err := conn.publish()
					if err != nil {
						return
					}
					ids = append(ids, id)
				}
				c.serve(conn, ids)
			})
			s := newSink(t, options(t, broker.addr))
			err := s.Send(t.Context(), gatewaytest.Entries(1, n))
			if got := acked(t, n, err); got != c.want {
				t.Errorf("got %s (%v), want %s", got, err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.cause) {
				t.Errorf("got %v, want it to say %q", err, c.cause)
			}
			if errors.Is(err, gateway.ErrPermanent) || errors.Is(err, gateway.ErrBlocked) {
				t.Errorf("got %v, want an error without a class", err)
			}
		})
	}
}

// A PUBACK that was meant for the connection before has an id that is in use again on the next one: the second
// connection must not be taken for acknowledged by anything but its own broker.
func TestEachConnectionBeginsAnew(t *testing.T) {
	t.Parallel()
	var got []string
	broker := startFakeBroker(t, 0, func(n int, c *brokerConn) {
		for range 3 {
			id, payload, err := c.publish()
			if err != nil {
				return
			}
			got = append(got, fmt.Sprintf("%d:%d:%s", n, id, payload))
			if n == 2 || payload == "reading 1" {
				c.ack(id)
			}
		}
	})
	o := options(t, broker.addr)
	o.Format = FormatRaw
	s := newSink(t, o)
	batch := gatewaytest.Entries(1, 3)
	if got, want := acked(t, 3, s.Send(t.Context(), batch)), "+--"; got != want {
		t.Fatalf("first connection: got %s, want %s", got, want)
	}
	if err := s.Send(t.Context(), gatewaytest.Entries(2, 3)); err != nil {
		t.Fatalf("second connection: %v", err)
	}
	want := "1:1:reading 1 1:2:reading 2 1:3:reading 3 2:1:reading 2 2:2:reading 3 2:3:reading 4"
	if all := strings.Join(got, " "); all != want {
		t.Errorf("the broker got %s, want %s", all, want)
	}
}

func TestHalfOpenLinkIsFoundByTheAgeOfTheOldestPublish(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	broker := startFakeBroker(t, 0, func(_ int, c *brokerConn) {
		id, _, _ := c.publish()
		c.ack(id)
		<-release
	})
	defer close(release)
	o := options(t, broker.addr)
	o.AckTimeout = 100 * time.Millisecond
	s := newSink(t, o)
	began := time.Now()
	err := s.Send(t.Context(), gatewaytest.Entries(1, 3))
	if got, want := acked(t, 3, err), "+--"; got != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	if took := time.Since(began); took < o.AckTimeout || took > patience/2 {
		t.Errorf("it took %s, want a little more than %s", took, o.AckTimeout)
	}
}

func TestAPeerThatDoesNotReadIsLeftAfterAckTimeout(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	broker := startFakeBroker(t, 0, func(int, *brokerConn) { <-release })
	defer close(release)
	o := options(t, broker.addr)
	o.AckTimeout = 200 * time.Millisecond
	s := newSink(t, o)
	batch := gatewaytest.Entries(1, 100)
	for i := range batch {
		batch[i].Event.Data = make([]byte, 250<<10)
	}
	if got := acked(t, 100, s.Send(t.Context(), batch)); strings.Contains(got, "+") {
		t.Errorf("got %s, want none delivered", got)
	}
}

func TestContextEndsASendAtOnce(t *testing.T) {
	t.Parallel()
	release, ctx := make(chan struct{}), context.Background()
	ctx, cancel := context.WithCancel(ctx)
	broker := startFakeBroker(t, 0, func(_ int, c *brokerConn) {
		id, _, _ := c.publish()
		c.ack(id)
		cancel()
		<-release
	})
	defer close(release)
	s := newSink(t, options(t, broker.addr))
	err := s.Send(ctx, gatewaytest.Entries(1, 2))
	if err == nil || errors.Is(err, gateway.ErrPermanent) || errors.Is(err, gateway.ErrBlocked) {
		t.Errorf("got %v, want an error without a class", err)
	}
}

func TestEventsThatCannotBePublishedArePermanent(t *testing.T) {
	t.Parallel()
	broker := startFakeBroker(t, 0, func(_ int, c *brokerConn) {
		for {
			id, _, err := c.publish()
			if err != nil {
				return
			}
			c.ack(id)
		}
	})
	o := options(t, broker.addr)
	o.MaxPacket = 4 << 10
	s := newSink(t, o)
	batch := gatewaytest.Entries(1, 7)
	batch[1].Event.Subject = "a/+/b"
	batch[2].Event.Subject = ""
	batch[3].Event.Subject = strings.Repeat("x", 65536)
	batch[4].Event.Data = make([]byte, 5<<10)
	batch[5].Event.ID = ""
	err := s.Send(t.Context(), batch)
	if got, want := acked(t, 7, err), "+-----+"; got != want {
		t.Fatalf("got %s (%v), want %s", got, err, want)
	}
	var parts *gateway.BatchError
	errors.As(err, &parts)
	for i, err := range parts.Errors[1:6] {
		if !errors.Is(err, gateway.ErrPermanent) {
			t.Errorf("event %d: got %v, want it permanent", i+1, err)
		}
	}
}

func TestClientsThatFailedLeaveNothingBehind(t *testing.T) {
	broker := startFakeBroker(t, 0, func(_ int, c *brokerConn) { c.publish() })
	s := newSink(t, options(t, broker.addr))
	for range 20 {
		if err := s.Send(t.Context(), gatewaytest.Entries(1, 2)); err == nil {
			t.Fatal("want an error")
		}
	}
	s.Close()
	deadline := time.Now().Add(patience)
	for {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		n := strings.Count(string(stacks), "paho.mqtt.golang")
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d frames of the library left:\n%s", n, stacks)
		}
		runtime.Gosched()
	}
}
