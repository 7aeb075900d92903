package forwarder

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gateway"
	"gateway/internal/gatewaytest"
)

// world is a forwarder with a fake log and sink.
type world struct {
	t    *testing.T
	log  *gatewaytest.FakeLog
	sink *gatewaytest.FakeSink
	out  *lockedBuffer
	f    *Forwarder
	stop context.CancelFunc
	ran  chan error
	fed  map[string]int
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) lines(with string) (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.buf.String()) {
		if strings.Contains(line, with) {
			n++
		}
	}
	return n
}

type sendFunc = func(ctx context.Context, batch []gateway.Entry) error

func options(log Log, sink gateway.Sink, out *lockedBuffer) Options {
	return Options{Name: "up", Sink: sink, Log: log, BatchSize: 10, BatchBytes: 1 << 20, RetryMin: time.Second, RetryMax: time.Minute,
		DrainTimeout: 5 * time.Second, Logger: slog.New(slog.NewTextHandler(out, nil))}
}

// start runs a forwarder in a synctest bubble.
func start(t *testing.T, send sendFunc, change func(*Options, *gatewaytest.FakeLog)) *world {
	t.Helper()
	w := &world{t: t, log: gatewaytest.NewLog(), sink: &gatewaytest.FakeSink{SendFunc: send}, out: &lockedBuffer{}, ran: make(chan error, 1), fed: map[string]int{}}
	o := options(w.log, w.sink, w.out)
	if change != nil {
		change(&o, w.log)
	}
	var err error
	if w.f, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	go func() { w.ran <- w.f.Run(ctx) }()
	return w
}

// again starts another forwarder on the same log and sink.
func (w *world) again(t *testing.T, change func(*Options, *gatewaytest.FakeLog)) *world {
	t.Helper()
	next := *w
	next.ran = make(chan error, 1)
	o := options(w.log, w.sink, w.out)
	if change != nil {
		change(&o, w.log)
	}
	var err error
	if next.f, err = New(o); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	next.stop = stop
	go func() { next.ran <- next.f.Run(ctx) }()
	return &next
}

// end stops the forwarder and checks the books: what was settled adds up, and the log's cursor is where the status says.
func (w *world) end() gateway.ForwarderStatus {
	w.t.Helper()
	w.stop()
	if err := <-w.ran; err != nil {
		w.t.Errorf("run: %v", err)
	}
	s := w.f.Status()
	if sum := s.Delivered + s.Skipped + s.DeadLettered; sum != uint64(s.Settled) {
		w.t.Errorf("delivered %d + skipped %d + dead %d = %d, want the settled %d", s.Delivered, s.Skipped, s.DeadLettered, sum, s.Settled)
	}
	if at, _ := w.log.Cursor("forwarder/up"); at != s.Settled {
		w.t.Errorf("the cursor is at %d, want the settled %d", at, s.Settled)
	}
	if s.State != gateway.StateStopped {
		w.t.Errorf("state %s, want stopped", s.State)
	}
	return s
}

func (w *world) feed(subjects ...string) {
	w.t.Helper()
	var events []gateway.Event
	for _, s := range subjects {
		events = append(events, gateway.Event{Source: "//t", Type: "t", Subject: s, Data: []byte(s)})
	}
	if _, err := w.log.Append(w.t.Context(), events...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) feedN(n int) {
	w.t.Helper()
	subjects := make([]string, n)
	for i := range subjects {
		subjects[i] = fmt.Sprint("s/", i)
	}
	w.feed(subjects...)
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func offsets(entries []gateway.Entry) []gateway.Offset {
	out := make([]gateway.Offset, len(entries))
	for i := range entries {
		out[i] = entries[i].Offset
	}
	return out
}

func upTo(n int) []gateway.Offset {
	out := make([]gateway.Offset, n)
	for i := range out {
		out[i] = gateway.Offset(i + 1)
	}
	return out
}

// wantDelivered compares with what was delivered, but for probes.
func (w *world) wantDelivered(want []gateway.Offset) {
	w.t.Helper()
	isProbe := func(e gateway.Entry) bool { return e.Event.Type == gateway.TypeProbe }
	if got := offsets(slices.DeleteFunc(w.sink.Delivered(), isProbe)); !slices.Equal(got, want) {
		w.t.Errorf("delivered %v, want %v", got, want)
	}
}

func TestDeliversInOrderAndMovesTheCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, nil)
		w.feedN(25)
		synctest.Wait()
		w.feedN(3)
		synctest.Wait()
		if s := w.f.Status(); s.State != gateway.StateIdle || s.Settled != 28 || s.Waiting != 0 || s.Lag != 0 {
			t.Errorf("got %+v, want idle, 28 settled", s)
		}
		w.wantDelivered(upTo(28))
		for _, send := range w.sink.Sends() {
			if len(send) > 10 {
				t.Errorf("a batch of %d, want 10 at most", len(send))
			}
		}
		w.end()
	})
}

func TestANewCursorBeginsAtTheBeginningAndAnOldOneWhereItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, nil)
		if at, ok := w.log.Cursor("forwarder/up"); !ok || at != 0 {
			t.Errorf("cursor %d, %v; want it registered at 0", at, ok)
		}
		w.feedN(5)
		synctest.Wait()
		w.end()
		w.feedN(2)
		again := &gatewaytest.FakeSink{}
		f, err := New(options(w.log, again, w.out))
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		go f.Run(ctx)
		synctest.Wait()
		stop()
		synctest.Wait()
		if got := offsets(again.Delivered()); !slices.Equal(got, []gateway.Offset{6, 7}) {
			t.Errorf("the second run delivered %v, want 6 and 7", got)
		}
	})
}

func TestLongestSettledPrefixIsSettledAndTheRestRetriedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := true
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			if !first {
				return nil
			}
			first = false
			lost := errors.New("lost")
			return &gateway.BatchError{Errors: []error{nil, nil, lost, nil, lost}[:len(batch)]}
		}, nil)
		w.feedN(5)
		synctest.Wait()
		if at, _ := w.log.Cursor("forwarder/up"); at != 2 {
			t.Errorf("after the first attempt the cursor is at %d, want 2", at)
		}
		if s := w.f.Status(); s.State != gateway.StateRetrying || s.Delivered != 2 || s.Retried != 3 || s.LastError != "lost" {
			t.Errorf("got %+v, want retrying, 2 delivered, 3 to be sent again", s)
		}
		pass(time.Minute)
		want := [][]gateway.Offset{{1, 2, 3, 4, 5}, {3, 4, 5}}
		if got := w.sink.Sends(); fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("sent %v, want %v", got, want)
		}
		w.end()
	})
}

func TestDeadLetterAndCursorAreOneBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			b := &gateway.BatchError{Errors: make([]error, len(batch))}
			for i, e := range batch {
				if e.Event.Subject == "bad" {
					b.Errors[i] = gateway.Permanent(errors.New("no such topic"))
				}
			}
			return b
		}, nil)
		w.feed("good", "bad", "good")
		synctest.Wait()
		if s := w.end(); s.Delivered != 2 || s.DeadLettered != 1 || s.Settled != 3 || s.Failures != 0 {
			t.Errorf("got %+v, want 2 delivered, 1 dead", s)
		}
		const key = "dead/up/0000000000000002"
		var d deadLetter
		if err := json.Unmarshal(w.log.KV()[key], &d); err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		e, err := gateway.ParseJSON(d.Event)
		if err != nil || e.Subject != "bad" || e.ID == "" {
			t.Errorf("the event is %+v, %v", e, err)
		}
		if d.Forwarder != "up" || d.Sink != "fake" || d.Cause != "no such topic" || d.Attempts != 1 || d.FirstAttempt.IsZero() || d.LastAttempt.IsZero() {
			t.Errorf("got %+v", d)
		}
		for _, b := range w.log.Batches() {
			if len(b.KV) > 0 && (len(b.Cursors) != 1 || b.Cursors[0].Offset != 3) {
				t.Errorf("the dead letter's batch moves %v, want the cursor to 3", b.Cursors)
			}
		}
		if n := w.out.lines("dead letters"); n != 1 {
			t.Errorf("%d lines about dead letters, want 1", n)
		}
	})
}

func TestManyAndLargeDeadLettersAreSettledInBoundedWrites(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(context.Context, []gateway.Entry) error { return gateway.Permanent(errors.New("never")) },
			func(o *Options, _ *gatewaytest.FakeLog) { o.BatchSize = 1000 })
		w.feedN(250)
		large := bytes.Repeat([]byte{0xff}, 256<<10)
		broken := gateway.Event{ID: "x", Source: "//t", Type: "t", Subject: "\xff", Time: time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)}
		if _, err := w.log.Append(t.Context(), gateway.Event{Source: "//t", Type: "t", Data: large}, broken); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := w.end(); s.DeadLettered != 252 {
			t.Errorf("got %+v, want 252 dead", s)
		}
		last := gateway.Offset(0)
		for _, b := range w.log.Batches() {
			size := 0
			for _, kv := range b.KV {
				size += len(kv.Key) + len(kv.Value)
			}
			if size > 380<<10 || len(b.KV) > letterCount {
				t.Errorf("a write of %d keys and %d bytes", len(b.KV), size)
			}
			for _, c := range b.Cursors {
				if c.Offset < last {
					t.Errorf("the cursor goes back from %d to %d", last, c.Offset)
				}
				last = c.Offset
			}
		}
		kv := w.log.KV()
		var d deadLetter
		if err := json.Unmarshal(kv["dead/up/00000000000000fb"], &d); err != nil || d.Parts < 2 {
			t.Fatalf("the large one: %+v, %v", d, err)
		}
		var whole []byte
		for i := range d.Parts {
			whole = append(whole, kv[fmt.Sprintf("dead/up/00000000000000fb/%d", i+1)]...)
		}
		if e, err := gateway.ParseJSON(whole); err != nil || !bytes.Equal(e.Data, large) {
			t.Errorf("the parts of the large one: %v", err)
		}
		if err := json.Unmarshal(kv["dead/up/00000000000000fc"], &d); err != nil || len(d.RawEvent) == 0 {
			t.Errorf("the one that is no CloudEvent: %+v, %v", d, err)
		}
	})
}

func TestUnmatchedEventsAdvanceTheCursorWithoutAWriteForEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, nil, func(o *Options, _ *gatewaytest.FakeLog) { o.Routes = []Route{{Match: []string{"keep/#", "also/+"}}} })
		for range 500 {
			w.feed("other")
			synctest.Wait()
		}
		if n := len(w.log.Batches()) - 500; n > 2 {
			t.Errorf("%d writes for 500 events that do not match, want 2 at most", n)
		}
		w.feed("other", "keep/a", "other", "also/b", "also/b/c", "other")
		synctest.Wait()
		w.wantDelivered([]gateway.Offset{502, 504})
		if at, _ := w.log.Cursor("forwarder/up"); at != 506 {
			t.Errorf("the cursor is at %d, want 506", at)
		}
		w.feed("other", "other")
		synctest.Wait()
		if s := w.end(); s.Skipped != 506 || s.Settled != 508 {
			t.Errorf("got %+v, want 506 skipped, 508 settled", s)
		}
	})
}

func TestACutBetweenMatchesSettlesWhatIsSkippedBetweenThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			if len(batch) < 3 {
				return errors.New("down")
			}
			return &gateway.BatchError{Errors: []error{nil, errors.New("down"), errors.New("down")}}
		}, func(o *Options, _ *gatewaytest.FakeLog) { o.Routes = []Route{{Match: []string{"keep"}}} })
		w.feed("x", "keep", "x", "x", "keep", "x", "keep")
		synctest.Wait()
		if s := w.f.Status(); s.Settled != 4 || s.Delivered != 1 || s.Skipped != 3 {
			t.Errorf("got %+v, want settled 4: 1 delivered, 3 skipped", s)
		}
		w.end()
	})
}

// TestALongCauseFitsIntoALetter: what an event makes a sink say may be longer than a write of the log.
func TestALongCauseFitsIntoALetter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, func(_ context.Context, batch []gateway.Entry) error {
			return gateway.Permanent(errors.New("no topic: " + strings.Repeat("\x7f", 500_000)))
		}, nil)
		w.feed("a")
		pass(time.Second)
		for key, value := range w.log.KV() {
			if strings.HasPrefix(key, "dead/") && len(value) > 20_000 {
				t.Errorf("%s has %d bytes", key, len(value))
			}
		}
		if s := w.end(); s.DeadLettered != 1 {
			t.Errorf("got %+v, want a dead letter", s)
		}
	})
}
