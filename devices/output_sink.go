package devices

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// outputSink delivers events to an output as commands.
type outputSink struct {
	all  *Outputs
	name string
}

var _ gateway.Sink = (*outputSink)(nil)

// Sink returns the sink of a forwarder whose events are commands for the named output, of which there may be many. It belongs to the outputs: its Close does nothing.
func (o *Outputs) Sink(name string) (gateway.Sink, error) {
	if o.get(name) == nil {
		return nil, fmt.Errorf("there is no output %q", name)
	}
	return &outputSink{o, name}, nil
}

// Name is "output" and the output's.
func (s *outputSink) Name() string { return "output " + s.name }

// Close does nothing.
func (s *outputSink) Close() error { return nil }

// mostAtOnce is how many events of a batch are dealt with before the forwarder writes down how far it is: after a crash it sends those of both its lanes again,
// and the journal must know them all.
const mostAtOnce = (ringSize + olderSize) / 2

// longestSend is how long a call carries out commands: what waits longer goes back to the forwarder, which knows whether it has expired meanwhile.
const longestSend = 5 * time.Second

// Send carries out the events, one after the other. An event counts as delivered when the line is driven, and a pulse, blink or pwm when it has begun: the next
// command ends it. What is refused is Permanent; where it is not known whether a command was carried out, it wraps ErrUnknown.
func (s *outputSink) Send(ctx context.Context, batch []gateway.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, longestSend)
	defer cancel()
	errs := make([]error, len(batch))
	failed := false
	for i := range batch {
		err := error(&gateway.RetryAfter{Err: errors.New("an output takes no more commands at once")})
		if i < mostAtOnce {
			err = s.deliver(ctx, &batch[i])
		}
		if errs[i] = err; err == nil {
			continue
		}
		failed = true
		if !errors.Is(err, gateway.ErrPermanent) { // none behind it may overtake it
			if i == 0 {
				return err
			}
			for k := i + 1; k < len(batch); k++ {
				errs[k] = err
			}
			break
		}
	}
	if !failed {
		return nil
	}
	return &gateway.BatchError{Errors: errs}
}

func (s *outputSink) deliver(ctx context.Context, e *gateway.Entry) error {
	p := s.all.get(s.name)
	if p == nil {
		return gateway.Blocked(fmt.Errorf("there is no output %q in the configuration", s.name))
	}
	if _, replayed := e.Event.Extensions[gateway.ExtReplay]; replayed {
		return gateway.Permanent(errors.New("this is a replay, and a command is never carried out twice"))
	}
	select {
	case p.busy <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-p.done:
		return fmt.Errorf("output %q: %w", s.name, gateway.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		<-p.busy
		return err
	}
	known, err := p.known(e)
	if known {
		<-p.busy
		return err
	}
	c, err := ParseCommand(e.Event.Data)
	if err != nil {
		<-p.busy
		return gateway.Permanent(err)
	}
	return p.once(ctx, e, p.resolve(c))
}

// known says whether the event was here before, and what is to be said of it.
func (p *output) known(e *gateway.Entry) (known bool, err error) {
	p.all.mu.Lock()
	state, forgotten := p.journal.find(e.Offset, e.Event.ID)
	p.all.mu.Unlock()
	switch {
	case state == stateDone:
		return true, nil
	case state != "":
		return true, gateway.Permanent(fmt.Errorf("the command was begun by a process that ended, %w: it is not repeated", gateway.ErrUnknown))
	case forgotten:
		return true, gateway.Permanent(fmt.Errorf("the command at offset %d is too old: it is not known any more whether it was carried out", e.Offset))
	}
	return false, nil
}

// once carries out c, which e asks for: first the intent is made durable, then the line is driven, then that is noted. It holds busy, and lets it go when the
// command has come to its end, also after ctx's.
func (p *output) once(ctx context.Context, e *gateway.Entry, c Command) error {
	if err := p.refuses(c); err != nil {
		<-p.busy
		return err
	}
	p.intend(e, c)
	err := p.commit(ctx)
	if err == nil {
		err = ctx.Err() // too late is not now
	}
	if err != nil {
		err = fmt.Errorf("output %q: write the intent down: %w", p.name, err)
	}
	played := make(chan error, 1)
	if err == nil {
		err = p.do(ctx, func() {
			played <- p.execute(e, c)
			<-p.busy
		})
	}
	if err != nil { // it was not begun, and may come again
		p.forget(e.Offset)
		<-p.busy
		return err
	}
	select {
	case err := <-played:
		return err
	case <-ctx.Done(): // it is carried out all the same, and known when it comes again
		return ctx.Err()
	}
}

// execute drives the line and notes what came of it. The player calls it.
func (p *output) execute(e *gateway.Entry, c Command) error {
	err := p.carryOut(c, cause{why: whyCommand, command: c.String(), event: e.Event.ID, by: e.Event.Source})
	if err != nil {
		p.forget(e.Offset)
		return err
	}
	p.all.mu.Lock()
	p.journal.finish(e.Offset)
	p.all.mu.Unlock()
	p.note()
	return nil
}

func (p *output) intend(e *gateway.Entry, c Command) {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	p.journal.begin(e.Offset, e.Event.ID, c)
}

func (p *output) forget(offset gateway.Offset) {
	p.all.mu.Lock()
	p.journal.drop(offset)
	p.all.mu.Unlock()
	p.note()
}
