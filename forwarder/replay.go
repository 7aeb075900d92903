package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"gateway"
)

// Replays are values of the log, under "replay/<forwarder>/<id>", so that a restart goes on with them. They hold nothing back: what is
// deleted before its turn is passed over.
const (
	replayPrefix = "replay/"
	// maxReplays bounds those that are not done, keptReplays those that are.
	maxReplays, keptReplays = 16, 8
	// replaySaved is how often it is written down how far a replay is.
	replaySaved = time.Second
)

// replays are the jobs of a forwarder, one after the other.
type replays struct {
	f      *Forwarder
	change chan struct{} // of size one: there is something else to do

	mu     sync.Mutex // guards what follows
	list   []*replay  // in the order of their ids
	nextID uint64
}

// replay is one of them.
type replay struct {
	status gateway.ReplayStatus // guarded by replays.mu
	routes *routing             // takes what is meant
	saved  time.Time            // its lane's
	stop   context.CancelFunc   // of the run; nil while it does not run
}

// readReplays finds those in the log.
func (f *Forwarder) readReplays() error {
	r := &replays{f: f, change: make(chan struct{}, 1), nextID: 1}
	f.replays = r
	return f.o.Log.Scan(replayPrefix+f.o.Name+"/", func(key string, value []byte) error {
		var s gateway.ReplayStatus
		if err := json.Unmarshal(value, &s); err != nil {
			f.o.Logger.Warn("a replay cannot be read, and is left", "key", key, "err", err)
			return nil
		}
		id, err := strconv.ParseUint(s.ID, 10, 64)
		if err != nil {
			return nil
		}
		r.nextID = max(r.nextID, id+1)
		s.Forwarder = f.o.Name // it may have had another
		if s.State == gateway.ReplayRunning {
			s.State = gateway.ReplayWaiting
		}
		job := &replay{status: s}
		if job.routes, err = newRouting([]Route{{Match: s.Match, Where: s.Where}}, f.o.Compile); err != nil {
			f.o.Logger.Warn("a replay cannot be gone on with, and is left", "id", s.ID, "err", err)
			return nil
		}
		r.list = append(r.list, job)
		return nil
	})
}

// Replay delivers a part of the log once more, beside what comes. It returns as soon as that is written down; Status says how far it is.
// Bounds that reach beyond the log are cut to it. The error says what is wrong with what.
func (f *Forwarder) Replay(ctx context.Context, what gateway.Replay) (gateway.ReplayStatus, error) {
	s := f.o.Log.Status()
	route := Route{Match: what.Match, Where: what.Where}
	routes, err := newRouting([]Route{route}, f.o.Compile)
	if err = errors.Join(route.check(), err); err != nil {
		return gateway.ReplayStatus{}, err
	}
	what.From = max(what.From, s.First, 1)
	if what.To == 0 || what.To > s.Last {
		what.To = s.Last
	}
	if what.From > what.To {
		return gateway.ReplayStatus{}, fmt.Errorf("there is nothing from %d to %d: the log has %d to %d", what.From, what.To, s.First, s.Last)
	}
	if what.Rate < 0 {
		return gateway.ReplayStatus{}, fmt.Errorf("rate: %d must not be negative", what.Rate)
	}
	return f.replays.add(ctx, what, routes)
}

func (r *replays) add(ctx context.Context, what gateway.Replay, routes *routing) (gateway.ReplayStatus, error) {
	r.mu.Lock()
	open := 0
	for _, j := range r.list {
		if j.status.Ended.IsZero() {
			open++
		}
	}
	if open >= maxReplays {
		r.mu.Unlock()
		return gateway.ReplayStatus{}, fmt.Errorf("%d replays are not done yet: let them finish, or cancel one", open)
	}
	j := &replay{routes: routes, status: gateway.ReplayStatus{
		Replay: what, ID: strconv.FormatUint(r.nextID, 10), Forwarder: r.f.o.Name,
		State: gateway.ReplayWaiting, Created: time.Now().UTC(), At: what.From - 1,
	}}
	r.nextID++
	r.list = append(r.list, j)
	gone := r.forgetOld()
	s := j.status
	r.mu.Unlock()
	if err := r.write(ctx, append(gone, r.value(s))); err != nil {
		return s, fmt.Errorf("write the replay down: %w", err)
	}
	wake(r.change)
	return s, nil
}

// forgetOld takes those out that have long been done. r.mu is held.
func (r *replays) forgetOld() (kv []gateway.KeyValue) {
	done := 0
	for i := len(r.list) - 1; i >= 0; i-- {
		if r.list[i].status.Ended.IsZero() {
			continue
		}
		if done++; done > keptReplays {
			kv = append(kv, gateway.KeyValue{Key: r.key(r.list[i].status.ID)})
			r.list = slices.Delete(r.list, i, i+1)
		}
	}
	return kv
}

func (r *replays) key(id string) string {
	n, _ := strconv.ParseUint(id, 10, 64) // ours
	return fmt.Sprintf("%s%s/%016x", replayPrefix, r.f.o.Name, n)
}

func (r *replays) value(s gateway.ReplayStatus) gateway.KeyValue {
	value, _ := json.Marshal(s) // it has nothing that JSON has no form for
	return gateway.KeyValue{Key: r.key(s.ID), Value: value}
}

// write returns when kv is durable.
func (r *replays) write(ctx context.Context, kv []gateway.KeyValue) error {
	done := make(chan error, 1)
	if err := r.f.o.Log.Submit(ctx, gateway.Batch{KV: kv}, func(_ gateway.Offset, err error) { done <- err }); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// errReplay says that there is no replay of that id, or that it is done.
var errReplay = errors.New("no replay of that id is under way")

// PauseReplay stops a replay that is not done for a while. The error says that there is none of that id.
func (f *Forwarder) PauseReplay(ctx context.Context, id string) (gateway.ReplayStatus, error) {
	return f.replays.turn(ctx, id, gateway.ReplayPaused)
}

// ResumeReplay goes on with a replay that was paused.
func (f *Forwarder) ResumeReplay(ctx context.Context, id string) (gateway.ReplayStatus, error) {
	return f.replays.turn(ctx, id, gateway.ReplayWaiting)
}

// CancelReplay ends a replay.
func (f *Forwarder) CancelReplay(ctx context.Context, id string) (gateway.ReplayStatus, error) {
	return f.replays.turn(ctx, id, gateway.ReplayCancelled)
}

func (r *replays) turn(ctx context.Context, id, state string) (gateway.ReplayStatus, error) {
	r.mu.Lock()
	i := slices.IndexFunc(r.list, func(j *replay) bool { return j.status.ID == id && j.status.Ended.IsZero() })
	if i < 0 {
		r.mu.Unlock()
		return gateway.ReplayStatus{}, fmt.Errorf("replay %s of forwarder %s: %w", id, r.f.o.Name, errReplay)
	}
	j := r.list[i]
	if state == gateway.ReplayWaiting && j.status.State != gateway.ReplayPaused {
		s := j.status
		r.mu.Unlock()
		return s, nil
	}
	j.status.State = state
	if state == gateway.ReplayCancelled {
		j.status.Ended = time.Now().UTC()
	}
	if j.stop != nil {
		j.stop()
	}
	s := j.status
	r.mu.Unlock()
	wake(r.change)
	return s, r.write(ctx, []gateway.KeyValue{r.value(s)})
}

// status is a snapshot of all.
func (r *replays) status() (list []gateway.ReplayStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.list {
		list = append(list, j.status)
	}
	return list
}

// run delivers one replay after the other until ctx ends. Its error is the log's, and final.
func (r *replays) run(ctx, sending context.Context) error {
	for ctx.Err() == nil {
		running, j := r.next(ctx)
		if j == nil {
			select {
			case <-r.change:
			case <-ctx.Done():
			}
			continue
		}
		err := r.f.runReplay(running, sending, j)
		if err := r.ended(ctx, j, err); err != nil {
			return err
		}
	}
	return nil
}

// next is the first replay that waits, and the context of its run.
func (r *replays) next(ctx context.Context) (context.Context, *replay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.list {
		if j.status.State == gateway.ReplayWaiting {
			j.status.State = gateway.ReplayRunning
			ctx, j.stop = context.WithCancel(ctx)
			return ctx, j
		}
	}
	return ctx, nil
}

// ended writes down how far a run has come.
func (r *replays) ended(ctx context.Context, j *replay, err error) error {
	r.mu.Lock()
	j.stop()
	j.stop = nil
	if j.status.State == gateway.ReplayRunning {
		if j.status.State = gateway.ReplayWaiting; j.status.At >= j.status.To {
			j.status.State, j.status.Ended = gateway.ReplayDone, time.Now().UTC()
			r.f.o.Logger.Info("replay done", "id", j.status.ID, "from", uint64(j.status.From), "to", uint64(j.status.To), "delivered", j.status.Delivered)
		}
	}
	s := j.status
	r.mu.Unlock()
	if err != nil {
		return err
	}
	return r.f.write(ctx, gateway.Batch{KV: []gateway.KeyValue{r.value(s)}})
}
