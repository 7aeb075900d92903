package admin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gateway"
)

// sliceLog is a log with gaps, as the real one gives them: one entry for what is left of a hole, at its end.
type sliceLog struct {
	last gateway.Offset
	gaps []gateway.Gap
	// damaged is an offset that cannot be read, 0 for none; trimmed says that all is trimmed once a reader was made.
	damaged gateway.Offset
	trimmed bool
	readers int
}

func (l *sliceLog) Status() gateway.LogStatus {
	st := gateway.LogStatus{First: 1, Last: l.last, Gaps: l.gaps}
	if l.trimmed && l.readers > 0 {
		st.First = l.last + 1
	}
	return st
}

func (l *sliceLog) NewReader(after gateway.Offset) gateway.Reader {
	l.readers++
	return &sliceReader{l, after + 1}
}

type sliceReader struct {
	l    *sliceLog
	next gateway.Offset
}

var errDamaged = errors.New("damaged")

func (r *sliceReader) Next(ctx context.Context, max int) (entries []gateway.Entry, err error) {
	if r.next > r.l.last || r.l.trimmed {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for len(entries) < max && r.next <= r.l.last {
		if r.next == r.l.damaged {
			if len(entries) > 0 {
				break
			}
			return nil, errDamaged
		}
		e := r.l.at(r.next)
		entries, r.next = append(entries, e), e.Offset+1
	}
	return entries, nil
}

func (r *sliceReader) Close() error { return nil }

func (l *sliceLog) at(offset gateway.Offset) gateway.Entry {
	for _, g := range l.gaps {
		if g.From <= offset && offset <= g.To {
			return gateway.Entry{Offset: g.To, Event: gateway.Event{Type: gateway.TypeGap, ID: fmt.Sprintf("gap-%d", offset)}}
		}
	}
	e := testEvent(int(offset))
	e.ID = strconv.Itoa(int(offset))
	return gateway.Entry{Offset: offset, Event: e}
}

// want is what Events must give, worked out without any cleverness.
func (l *sliceLog) want(q gateway.Query) (ids []string) {
	stop := l.last
	if q.To != 0 {
		stop = min(stop, q.To)
	}
	for at := max(q.From, 1); at <= stop; {
		e := l.at(at)
		if at = e.Offset + 1; e.Offset <= stop && q.Wants(&e) {
			ids = append(ids, e.Event.ID)
		}
	}
	switch {
	case q.Limit == 0 || len(ids) <= q.Limit:
		return ids
	case q.Last:
		return ids[len(ids)-q.Limit:]
	}
	return ids[:q.Limit]
}

func collect(ctx context.Context, log EventLog, q gateway.Query) (ids []string, err error) {
	err = Events(ctx, log, q, func(e gateway.Entry) error {
		ids = append(ids, e.Event.ID)
		return nil
	})
	return ids, err
}

func TestEventsGiveWhatAQueryWants(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 150 {
		l := &sliceLog{last: gateway.Offset(rng.IntN(9000))}
		for at := gateway.Offset(1); rng.IntN(3) > 0; {
			g := gateway.Gap{From: at + gateway.Offset(rng.IntN(3000))}
			g.To = g.From + gateway.Offset(rng.IntN(3000))
			if at = g.To + 2; g.To > l.last {
				break
			}
			l.gaps = append(l.gaps, g)
		}
		q := gateway.Query{Limit: rng.IntN(3) * rng.IntN(4000), Last: rng.IntN(2) == 0}
		if rng.IntN(2) == 0 {
			q.From, q.To = gateway.Offset(rng.IntN(9000)), gateway.Offset(rng.IntN(9500))
		}
		if rng.IntN(2) == 0 {
			q.Topics = []string{"rare"}
		}
		if rng.IntN(4) == 0 {
			q.Topics = []string{"nothing"}
		}
		got, err := collect(testContext(t), l, q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if diff := cmp.Diff(l.want(q), got); diff != "" {
			t.Fatalf("log 1-%d, gaps %+v, query %+v (-want +got):\n%s", l.last, l.gaps, q, diff)
		}
	}
}

func TestEventsThatWereTrimmedMeanwhileDoNotHang(t *testing.T) {
	t.Parallel()
	got, err := collect(testContext(t), &sliceLog{last: 100, trimmed: true}, gateway.Query{})
	if err != nil || len(got) != 0 {
		t.Errorf("got %v, %v; want nothing", got, err)
	}
}

func TestNewestEventsBeforeDamage(t *testing.T) {
	t.Parallel()
	l := &sliceLog{last: 5000, damaged: 1000}
	got, err := collect(testContext(t), l, gateway.Query{Limit: 10, Last: true})
	if err != nil || len(got) != 10 {
		t.Errorf("got %v, %v; want the ten newest, which are right", got, err)
	}
	got, err = collect(testContext(t), l, gateway.Query{Limit: 4500, Last: true})
	if !errors.Is(err, errDamaged) {
		t.Errorf("got %d events, %v; want the error of the damage", len(got), err)
	}
	got, err = collect(testContext(t), l, gateway.Query{Limit: 1000, Last: true, Topics: []string{"rare"}})
	if !errors.Is(err, errDamaged) || len(got) == 0 {
		t.Errorf("got %d events, %v; want what is right of the newest, and the error", len(got), err)
	}
}

func TestEventOfAnOffset(t *testing.T) {
	t.Parallel()
	l := &sliceLog{last: 100, gaps: []gateway.Gap{{From: 40, To: 60}}}
	for offset, want := range map[gateway.Offset]string{1: "1", 39: "39", 40: "gap-40", 50: "gap-50", 60: "gap-60", 61: "61", 100: "100", 0: "", 101: ""} {
		e, err := Event(testContext(t), l, offset)
		if got := e.Event.ID; got != want || errors.Is(err, ErrNoEvent) != (want == "") {
			t.Errorf("offset %d: got %q, %v; want %q", offset, got, err, want)
		}
	}
	if _, err := Event(testContext(t), &sliceLog{last: 100, trimmed: true}, 50); !errors.Is(err, ErrNoEvent) || !strings.Contains(err.Error(), "not kept any more") {
		t.Errorf("got %v, want that it is not kept any more", err)
	}
}

func TestClientSeesTheEventsOfARealLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), nil)
	w.fill(t, 3000)
	for _, q := range []gateway.Query{
		{}, {Limit: 10}, {Limit: 10, Last: true}, {From: 2990}, {From: 5, To: 7}, {Topics: []string{"rare"}, Limit: 20, Last: true},
		{Source: "//pi-1/*", Type: "mqtt.*", From: 100, To: 200}, {Since: time.Now().Add(time.Hour)},
	} {
		want, err := collectEntries(testContext(t), func(ctx context.Context, fn func(gateway.Entry) error) error {
			return Events(ctx, w.log, q, fn)
		})
		if err != nil {
			t.Fatal(err)
		}
		got, err := collectEntries(testContext(t), func(ctx context.Context, fn func(gateway.Entry) error) error {
			return w.client.Events(ctx, q, fn)
		})
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-direct +client):\n%s", q, diff)
		}
	}
	e, err := w.client.Event(testContext(t), 11)
	if err != nil || e.Offset != 11 || string(e.Event.Data) != `{"n":10}` || e.Event.Subject != "rare" {
		t.Errorf("got %+v, %v; want event 11", e, err)
	}
	if _, err := w.client.Event(testContext(t), 3001); !errors.Is(err, ErrNoEvent) {
		t.Errorf("got %v, want ErrNoEvent", err)
	}
	boom := errors.New("boom")
	if err := w.client.Events(testContext(t), gateway.Query{}, func(gateway.Entry) error { return boom }); !errors.Is(err, boom) {
		t.Errorf("got %v, want fn's own error", err)
	}
	if err := w.client.Events(testContext(t), gateway.Query{Limit: -1}, nil); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("got %v, want a word about the limit", err)
	}
}

func collectEntries(ctx context.Context, events func(context.Context, func(gateway.Entry) error) error) (all []gateway.Entry, err error) {
	err = events(ctx, func(e gateway.Entry) error {
		e.Received, e.Event.Time = e.Received.UTC(), e.Event.Time.UTC()
		all = append(all, e)
		return nil
	})
	return all, err
}

func TestFollowGoesOnUntilTheClientEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, t.TempDir(), nil)
	w.fill(t, 50)
	ctx, cancel := context.WithCancel(testContext(t))
	var offsets []gateway.Offset
	err := w.client.Events(ctx, gateway.Query{Follow: true, Last: true, Limit: 2}, func(e gateway.Entry) error {
		offsets = append(offsets, e.Offset)
		switch e.Offset {
		case 50, 51, 52:
			_, err := w.log.Append(ctx, testEvent(int(e.Offset)))
			return err
		case 53:
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || !slices.Equal(offsets, []gateway.Offset{49, 50, 51, 52, 53}) {
		t.Errorf("got %v, %v; want 49 to 53 and the end of the context", offsets, err)
	}
	eventually(t, "the server to notice", func() bool { return len(w.server.slots) == 0 })
	offsets = nil
	err = w.client.Events(testContext(t), gateway.Query{Follow: true, To: 53, From: 52}, func(e gateway.Entry) error {
		offsets = append(offsets, e.Offset)
		return nil
	})
	if err != nil || !slices.Equal(offsets, []gateway.Offset{52, 53}) {
		t.Errorf("got %v, %v; want 52 and 53, and the end at To", offsets, err)
	}
}
