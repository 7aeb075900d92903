package buffer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gateway"
)

// TestSubmittersKeepTheirOrder has many submitters; offsets are consecutive, and each one's events are in its order.
func TestSubmittersKeepTheirOrder(t *testing.T) {
	t.Parallel()
	const submitters, each = 8, 500
	l := openLog(t, Options{})
	var wg sync.WaitGroup
	var lastDone gateway.Offset // done is called from one goroutine
	for s := range submitters {
		wg.Go(func() {
			data := make([]byte, 0, 32)
			for i := range each {
				data = fmt.Appendf(data[:0], "%d %d", s, i) // reused: Submit keeps nothing
				e := event("")
				e.Data = data
				err := l.Submit(testContext(t), gateway.Batch{Events: []gateway.Event{e}}, func(last gateway.Offset, err error) {
					if err != nil || last != lastDone+1 {
						t.Errorf("got done(%d, %v) after %d", last, err, lastDone)
					}
					lastDone = last
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	var next [submitters]int
	for i, e := range readTo(t, l, 0, submitters*each) {
		if e.Offset != gateway.Offset(i+1) {
			t.Fatalf("got offset %d at place %d", e.Offset, i)
		}
		var s, n int
		if _, err := fmt.Sscanf(string(e.Event.Data), "%d %d", &s, &n); err != nil || n != next[s] {
			t.Fatalf("got %q (%v), want %d %d", e.Event.Data, err, s, next[s])
		}
		next[s]++
	}
	if c := l.Status().Commits; c >= submitters*each {
		t.Errorf("got %d commits for %d events: nothing was grouped", c, submitters*each)
	}
}

// gate is a commit hook that lets commits through one by one.
type gate struct {
	entered chan struct{}
	pass    chan error
}

func newGate() *gate { return &gate{make(chan struct{}), make(chan error)} }

func (g *gate) hook() error {
	g.entered <- struct{}{}
	return <-g.pass
}

// open lets all further commits through.
func (g *gate) open() {
	go func() {
		for range g.entered {
		}
	}()
	close(g.pass)
}

func TestGroupsGatherDuringACommit(t *testing.T) {
	t.Parallel()
	g := newGate()
	l := openLog(t, Options{hooks: hooks{beforeCommit: g.hook}})
	var acked atomic.Int64
	submit := func() {
		err := l.Submit(testContext(t), gateway.Batch{Events: []gateway.Event{event("x")}}, func(gateway.Offset, error) { acked.Add(1) })
		if err != nil {
			t.Error(err)
		}
	}
	submit()
	<-g.entered
	for range 1000 {
		submit()
	}
	if n := acked.Load(); n != 0 {
		t.Errorf("got %d acknowledged before the first commit", n)
	}
	g.pass <- nil
	<-g.entered
	g.pass <- nil
	waitFor(t, "acknowledgements", func() bool { return acked.Load() == 1001 })
	if c := l.Status().Commits; c != 2 {
		t.Errorf("got %d commits, want 2", c)
	}
	g.open()
}

func TestSubmitWaitsForRoom(t *testing.T) {
	t.Parallel()
	g := newGate()
	l := openLog(t, Options{hooks: hooks{beforeCommit: g.hook}})
	big := gateway.Batch{Events: []gateway.Event{event(strings.Repeat("x", 200<<10))}}
	var done atomic.Int64
	count := func(gateway.Offset, error) { done.Add(1) }
	if err := l.Submit(testContext(t), big, count); err != nil {
		t.Fatal(err)
	}
	<-g.entered
	if err := l.Submit(testContext(t), big, count); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(testContext(t))
	refused := make(chan error)
	go func() { refused <- l.Submit(ctx, big, count) }()
	cancel()
	if err := <-refused; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v from a full group, want the context's error", err)
	}
	taken := make(chan error)
	go func() { taken <- l.Submit(testContext(t), big, count) }()
	g.pass <- nil
	<-g.entered
	if err := <-taken; err != nil {
		t.Errorf("got %v once there was room, want nil", err)
	}
	g.pass <- nil
	g.open()
	waitFor(t, "callbacks", func() bool { return done.Load() == 3 })
}

func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{MaxEventSize: 1000})
	large := event(strings.Repeat("x", 1001))
	many := gateway.Batch{}
	for range maxKeys + 1 {
		many.KV = append(many.KV, gateway.KeyValue{Key: "k"})
	}
	for name, b := range map[string]gateway.Batch{
		"event":  {Events: []gateway.Event{large}},
		"key":    {KV: []gateway.KeyValue{{Key: "k", Value: make([]byte, groupBound)}}},
		"keys":   many,
		"beyond": {Cursors: []gateway.CursorMove{{Name: "up", Offset: 2}}, Events: []gateway.Event{event("x")}},
		"noname": {Cursors: []gateway.CursorMove{{Offset: 0}}},
		"nokey":  {KV: []gateway.KeyValue{{Value: []byte("v")}}},
	} {
		err := l.Submit(testContext(t), b, func(gateway.Offset, error) { t.Errorf("%s: done was called", name) })
		if err == nil {
			t.Errorf("%s: got no error", name)
		}
		if tooLarge := name == "event" || strings.HasPrefix(name, "key"); errors.Is(err, ErrTooLarge) != tooLarge || errors.Is(err, gateway.ErrPermanent) != tooLarge {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if s := l.Status(); s.Last != 0 || len(s.Cursors) != 0 {
		t.Errorf("got %+v, want an empty log", s)
	}
	if last, err := l.Append(testContext(t)); err != nil || last != 0 {
		t.Errorf("no events: got %d, %v, want 0", last, err)
	}
}

// TestLargestBatches fills groups to their bounds: by bytes that do not compress, by events, by keys.
func TestLargestBatches(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{MaxEventSize: maxEventSize})
	largest := event(string(testValue(1, maxEventSize-100)))
	if last := mustAppend(t, l, largest); last != 1 {
		t.Fatalf("got %d, want 1", last)
	}
	var small gateway.Batch
	for range groupBound / eventBound(&gateway.Event{Source: "s", Type: "t"}) {
		small.Events = append(small.Events, gateway.Event{Source: "s", Type: "t"})
	}
	mustCommit(t, l, small)
	var keys gateway.Batch
	for i := range maxKeys {
		keys.KV = append(keys.KV, gateway.KeyValue{Key: fmt.Sprint(i), Value: make([]byte, 300)})
	}
	mustCommit(t, l, keys)
	got := readTo(t, l, 0, gateway.Offset(1+len(small.Events)))
	if string(got[0].Event.Data) != string(largest.Data) || got[1].Event.Data != nil || got[1].Event.Source != "s" {
		t.Error("events at the bounds did not come back as they were")
	}
}

func TestCommitInterval(t *testing.T) {
	t.Parallel()
	l := openLog(t, Options{CommitInterval: 50 * time.Millisecond})
	start := time.Now()
	var done atomic.Int64
	for i := range 2000 {
		err := l.Submit(testContext(t), gateway.Batch{Events: []gateway.Event{event(fmt.Sprint(i))}}, func(gateway.Offset, error) { done.Add(1) })
		if err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "callbacks", func() bool { return done.Load() == 2000 })
	if c, most := l.Status().Commits, uint64(time.Since(start)/(50*time.Millisecond))+2; c > most {
		t.Errorf("got %d commits in %s, want %d at most", c, time.Since(start), most)
	}
}

// TestSubmitAllocatesLittle measures the whole log: submit, commit and callback.
func TestSubmitAllocatesLittle(t *testing.T) {
	if testing.CoverMode() != "" || raceEnabled {
		t.Skip("the instrumented program allocates by itself")
	}
	l := openLog(t, Options{})
	const batch = 5000
	finished := make(chan struct{}, 1)
	n := 0
	done := func(gateway.Offset, error) {
		if n++; n%batch == 0 {
			finished <- struct{}{}
		}
	}
	e := []gateway.Event{event(`{"temperature":21.5}`)}
	e[0].Extensions = map[string]string{"mqttqos": "1"}
	ctx := testContext(t)
	allocs := testing.AllocsPerRun(20, func() {
		for range batch {
			if err := l.Submit(ctx, gateway.Batch{Events: e}, done); err != nil {
				t.Fatal(err)
			}
		}
		<-finished
	})
	if per := allocs / batch; per > 0.5 {
		t.Errorf("got %.2f allocations an event, want less than 0.5 (of the commits)", per)
	} else {
		t.Logf("%.3f allocations an event", per)
	}
}
