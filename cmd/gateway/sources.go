package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"sync"

	"gateway"
	"gateway/buffer"
	"gateway/configs"
	"gateway/mqtt/mqttsource"
)

// sourcePlan is a source without its log.
type sourcePlan struct {
	config  configs.Source // that it was made of
	options mqttsource.Options
}

func planSource(id string, s *configs.Source) (sourcePlan, error) {
	secure, err := s.TLS.Config()
	if err != nil {
		return sourcePlan{}, err
	}
	o := mqttsource.Default()
	o.Name, o.Gateway, o.URL, o.TLS = s.Name, id, s.URL, secure
	o.ClientID = cmp.Or(s.ClientID, "gateway-"+id+"-source-"+s.Name)
	o.Username, o.Password = s.Username, s.Password
	o.Topics, o.Prefix, o.Retained, o.MaxPacket = s.Topics, s.TopicPrefix, s.Retained == "take", int(s.MaxPacket)
	o.Logger = slog.New(slog.DiscardHandler)
	_, err = mqttsource.New(o) // connects when it runs, so this only checks
	return sourcePlan{config: *s, options: o}, err
}

// springs are the sources that run. They can be changed while the gateway does. Safe for concurrent use.
type springs struct {
	log    *buffer.Log
	logger *slog.Logger
	part   func(ctx context.Context, name string, run func(context.Context) error) error

	mu   sync.Mutex // guards what follows
	list []*spring
	ctx  context.Context // of intake; nil before start and after wait
}

// spring is a source that runs.
type spring struct {
	plan sourcePlan
	s    *mqttsource.Source
	stop context.CancelFunc
	done chan error
}

func (s *spring) name() string { return s.plan.config.Name }

// start runs all until the context ends.
func (s *springs) start(ctx context.Context, plans []sourcePlan) error {
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	_, err := s.change(plans)
	return err
}

// wait returns when all have ended, after the context of start has.
func (s *springs) wait() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ctx = nil
	var errs []error
	for _, one := range s.list {
		errs = append(errs, <-one.done)
		one.stop()
	}
	s.list = nil
	return errors.Join(errs...)
}

// change makes the sources those of plans.
func (s *springs) change(plans []sourcePlan) (r gateway.Reloaded, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil || s.ctx.Err() != nil {
		return r, gateway.ErrClosed
	}
	var errs []error
	var kept []*spring
	running := map[string]bool{}
	for _, one := range s.list {
		i := slices.IndexFunc(plans, func(p sourcePlan) bool { return p.config.Name == one.name() })
		if i >= 0 && reflect.DeepEqual(plans[i].config, one.plan.config) {
			kept = append(kept, one)
			running[one.name()] = true
			continue
		}
		one.stop()
		errs = append(errs, <-one.done)
		if i < 0 {
			r.Removed = append(r.Removed, "source "+one.name())
		}
	}
	for _, p := range plans {
		if running[p.config.Name] {
			continue
		}
		one, err := s.launch(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if slices.ContainsFunc(s.list, func(old *spring) bool { return old.name() == one.name() }) {
			r.Changed = append(r.Changed, "source "+one.name())
		} else {
			r.Added = append(r.Added, "source "+one.name())
		}
		kept = append(kept, one)
	}
	s.list = kept
	return r, errors.Join(errs...)
}

// launch runs a source. s.mu is held.
func (s *springs) launch(p sourcePlan) (*spring, error) {
	o := p.options
	o.Logger = s.logger.With("part", "source", "source", o.Name)
	o.Recent, o.LogID = s.log.Recent, s.log.Status().LogID
	self := gateway.Identity{ID: o.Gateway, Log: o.LogID}
	o.Accept = func(e *gateway.Event) bool {
		if e.ID == "" { // of a raw payload
			return e.Loops(self) == ""
		}
		return e.LoopsFrom(self) == ""
	}
	source, err := mqttsource.New(o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(s.ctx)
	one := &spring{plan: p, s: source, stop: stop, done: make(chan error, 1)}
	run := func(ctx context.Context) error { return source.Run(ctx, s.log) }
	go func() { one.done <- s.part(ctx, "source "+strings.Clone(o.Name), run) }()
	return one, nil
}

// status is a snapshot of each.
func (s *springs) status() []gateway.SourceStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := make([]gateway.SourceStatus, len(s.list))
	for i, one := range s.list {
		states[i] = gateway.SourceStatus(one.s.Status())
	}
	return states
}
