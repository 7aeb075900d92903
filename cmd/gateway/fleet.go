package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"

	"gateway"
	"gateway/buffer"
	"gateway/forwarder"
)

// fleet is the forwarders that run. They can be changed while the gateway does. Safe for concurrent use.
type fleet struct {
	log    *buffer.Log
	logger *slog.Logger
	parts  parts // what sinks need of the gateway
	// part runs a forwarder until its context ends, and reports one that ends by itself.
	part func(ctx context.Context, name string, run func(context.Context) error) error

	mu      sync.Mutex // guards what follows
	members []*member
	ctx     context.Context // of delivery; nil before start and after stop
}

// member is a forwarder with its sink.
type member struct {
	plan forwarderPlan
	f    *forwarder.Forwarder
	sink gateway.Sink
	stop context.CancelFunc // nil while it does not run
	done chan error
}

func (m *member) name() string { return m.plan.options.Name }

// add opens a forwarder. It runs from start on, or at once if that was.
func (f *fleet) add(p forwarderPlan) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, err := f.open(p)
	if err != nil {
		return err
	}
	f.members = append(f.members, m)
	f.launch(m)
	return nil
}

func (f *fleet) open(p forwarderPlan) (*member, error) {
	logger := f.logger.With("part", "forwarder", "forwarder", p.options.Name)
	sink, err := p.openSink(logger, f.parts)
	if err != nil {
		return nil, fmt.Errorf("forwarder %s: %w", p.options.Name, err)
	}
	o := p.options
	o.Sink, o.Log, o.Logger = sink, forwarderLog{f.log}, logger
	fw, err := forwarder.New(o)
	if err != nil {
		return nil, errors.Join(err, sink.Close())
	}
	return &member{plan: p, f: fw, sink: sink}, nil
}

// launch runs m, if the fleet does. f.mu is held.
func (f *fleet) launch(m *member) {
	if f.ctx == nil {
		return
	}
	ctx, stop := context.WithCancel(f.ctx)
	m.stop, m.done = stop, make(chan error, 1)
	go func() { m.done <- f.part(ctx, "forwarder "+m.name(), m.f.Run) }()
}

// halt ends m, and closes its sink.
func (m *member) halt() error {
	var err error
	if m.stop != nil {
		m.stop()
		err = <-m.done
		m.stop = nil
	}
	return errors.Join(err, m.sink.Close())
}

// start runs all until stop.
func (f *fleet) start(ctx context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ctx = ctx
	for _, m := range f.members {
		f.launch(m)
	}
}

// wait returns when all have ended, after the context of start has.
func (f *fleet) wait() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ctx = nil
	var errs []error
	for _, m := range f.members {
		if m.stop != nil {
			errs = append(errs, <-m.done)
			m.stop()
			m.stop = nil
		}
	}
	return errors.Join(errs...)
}

// close closes the sinks. It comes after wait.
func (f *fleet) close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	for _, m := range f.members {
		errs = append(errs, m.sink.Close())
	}
	return errors.Join(errs...)
}

// change makes the fleet that of plans: it starts the new ones, restarts those that have changed, and stops those that are gone, whose places the
// log keeps. If one cannot be started it stays, or comes back, as it was.
func (f *fleet) change(plans []forwarderPlan) (r gateway.Reloaded, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx == nil || f.ctx.Err() != nil {
		return r, gateway.ErrClosed
	}
	var errs []error
	var gone []*member
	for _, m := range slices.Clone(f.members) { // first: another may take over its place
		if !slices.ContainsFunc(plans, func(p forwarderPlan) bool { return p.options.Name == m.name() }) {
			errs = append(errs, m.halt())
			gone = append(gone, m)
			f.members = slices.DeleteFunc(f.members, func(other *member) bool { return other == m })
		}
	}
	if err := f.settle(); err != nil {
		return r, errors.Join(append(errs, err)...)
	}
	next := make([]*member, 0, len(plans))
	for _, p := range plans {
		m := f.member(p.options.Name)
		switch {
		case m == nil:
			if m, err = f.open(p); err != nil {
				errs = append(errs, err)
				m, gone = f.former(p, gone)
			} else {
				f.launch(m)
				if i := slices.IndexFunc(gone, func(old *member) bool { return old.name() == p.options.RenamedFrom }); i >= 0 && len(placesOf(f.log, p.options.RenamedFrom)) == 0 {
					r.Changed = append(r.Changed, fmt.Sprintf("%s, which was %s", m.name(), gone[i].name()))
					gone = slices.Delete(gone, i, i+1)
				} else {
					r.Added = append(r.Added, m.name())
				}
			}
		case !reflect.DeepEqual(m.plan.config, p.config):
			if m, err = f.replace(m, p); err != nil {
				errs = append(errs, err)
			} else {
				r.Changed = append(r.Changed, m.name())
			}
		}
		if m != nil {
			next = append(next, m)
		}
	}
	for _, m := range gone {
		r.Removed = append(r.Removed, m.name())
	}
	f.members = next
	return r, errors.Join(errs...)
}

// former starts the forwarder again, of those that are gone, that was to have another name by the plan p, which failed: it still has its places. It returns nil
// if there is none. f.mu is held.
func (f *fleet) former(p forwarderPlan, gone []*member) (again *member, rest []*member) {
	i := slices.IndexFunc(gone, func(m *member) bool { return m.name() == p.options.RenamedFrom })
	if i < 0 || len(placesOf(f.log, p.options.RenamedFrom)) == 0 {
		return nil, gone
	}
	m, err := f.open(gone[i].plan)
	if err != nil {
		f.logger.Error("a forwarder cannot be started as it was", "forwarder", gone[i].name(), "error", err)
		return nil, gone
	}
	f.launch(m)
	return m, slices.Delete(gone, i, i+1)
}

// replace ends m and starts it by the plan p; if that cannot be, as it was. It returns nil where not even that can be. f.mu is held.
func (f *fleet) replace(m *member, p forwarderPlan) (*member, error) {
	err := errors.Join(m.halt(), f.settle())
	changed, failed := f.open(p)
	if failed != nil {
		err = errors.Join(err, failed)
		if changed, failed = f.open(m.plan); failed != nil {
			return nil, errors.Join(err, failed)
		}
	}
	f.launch(changed)
	return changed, err
}

// settle waits until everything that forwarders have written so far is durable: one that is opened reads what is.
func (f *fleet) settle() error {
	_, err := f.log.Commit(context.Background(), gateway.Batch{KV: []gateway.KeyValue{{Key: "settle"}}}) // there is none: only its turn counts
	return err
}

// member is the one of that name, nil if there is none. f.mu is held.
func (f *fleet) member(name string) *member {
	for _, m := range f.members {
		if m.name() == name {
			return m
		}
	}
	return nil
}

// named is the forwarder of that name, nil if there is none.
func (f *fleet) named(name string) *forwarder.Forwarder {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m := f.member(name); m != nil {
		return m.f
	}
	return nil
}

// all are the forwarders.
func (f *fleet) all() []*forwarder.Forwarder {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*forwarder.Forwarder, len(f.members))
	for i, m := range f.members {
		list[i] = m.f
	}
	return list
}

// status is a snapshot of each.
func (f *fleet) status() []gateway.ForwarderStatus {
	list := f.all()
	states := make([]gateway.ForwarderStatus, len(list))
	for i, fw := range list {
		states[i] = fw.Status()
	}
	return states
}

// orphans are the names of forwarders that the log keeps a place for but the fleet does not have.
func (f *fleet) orphans() (names []string) {
	for cursor := range f.log.Status().Cursors {
		name, ok := forwarder.OwnerOf(cursor)
		if ok && !slices.Contains(names, name) && f.named(name) == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// forget gives up the places of a forwarder that does not run, and what it remembers; its dead letters stay.
func (f *fleet) forget(ctx context.Context, name string) error {
	err := forget(ctx, f.log, name)
	if err == nil {
		f.logger.Info("forgot the place of a forwarder in the log", "forwarder", name)
	}
	return err
}

// forget gives up the places in the log of the named forwarder.
func forget(ctx context.Context, log *buffer.Log, name string) error {
	cursors := placesOf(log, name)
	if len(cursors) == 0 {
		return errNoPlace
	}
	if _, err := log.Commit(ctx, gateway.Batch{Forget: cursors, KV: forwarder.Memories(name)}); err != nil {
		return fmt.Errorf("forget forwarder %s: %w", name, err)
	}
	return nil
}

// placesOf are the cursors of the named forwarder.
func placesOf(log *buffer.Log, name string) (cursors []string) {
	for cursor := range log.Status().Cursors {
		if owner, ok := forwarder.OwnerOf(cursor); ok && owner == name {
			cursors = append(cursors, cursor)
		}
	}
	return cursors
}

var errNoPlace = errors.New("the log has no place of that forwarder")
