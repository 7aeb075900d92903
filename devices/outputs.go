package devices

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"reflect"
	"slices"
	"sync"
	"time"

	"gateway"
	"gateway/devices/gpiochip"

	"periph.io/x/conn/v3/gpio"
)

// Memory keeps what outputs must know over a restart: one small value for each key. Both methods are called from many goroutines; what is written to one key
// is in the order of the calls, whichever method wrote it.
type Memory interface {
	// Get returns the value of key; nil if there is none.
	Get(key string) ([]byte, error)
	// Commit returns when the value survives a power cut. After an error, that of ctx too, it may be written or not.
	Commit(ctx context.Context, key string, value []byte) error
	// Note hands the value over to be written when something else is, and returns at once. It may be lost in a crash.
	Note(key string, value []byte)
}

// OutputOptions are what all outputs share.
type OutputOptions struct {
	Common
	// Memory is where their intents are; never nil.
	Memory Memory
	// Boot is the kernel's id of this boot. What an earlier one left, or any if it is "", says nothing of how a line is now.
	Boot string
	// LinkDown says since when the named source or forwarder has had no connection, and whether that is so. It is asked once a second, must not wait, and may be
	// nil: then all links are up.
	LinkDown func(name string) (since time.Time, down bool)
	// Adopt are the descriptors that systemd kept, by the names that Files gave them. The outputs take all of them over: those that fit none are driven to
	// their safe level and closed.
	Adopt map[string]*os.File
}

// Outputs are all outputs of the configuration. Each has a goroutine, the player, that alone drives its line: none slows another. From NewOutputs to Close they keep
// their lines and their bounds, whether Run runs or not.
type Outputs struct {
	o       OutputOptions
	lines   lines
	changes sync.Mutex // one Change or Close at a time
	reports *reports

	mu     sync.Mutex // guards what follows, and what is said so of an output
	byName map[string]*output
	order  []string
	closed bool
}

// closeTimeout is how long Close and Change wait for a line that does not answer.
const closeTimeout = 5 * time.Second

// NewOutputs checks the specs and requests the lines: each is an output from the first moment, at the level that it starts with. A line that cannot be had is a
// fault of its output, which tries again; an error is of the specs or the memory, and then no line was touched.
func NewOutputs(specs []Spec, l lines, o OutputOptions) (*Outputs, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	all := &Outputs{o: o, lines: l, reports: newReports(), byName: map[string]*output{}}
	made, err := all.prepare(specs)
	if err != nil {
		return nil, err
	}
	kept := all.adopt(specs)
	for _, p := range made {
		all.enter(p)
		p.start(kept[p.at])
	}
	return all, nil
}

// prepare checks the specs and reads the memory of each; no line is touched.
func (o *Outputs) prepare(specs []Spec) (made []*output, err error) {
	if err := CheckOutputs(specs); err != nil {
		return nil, err
	}
	for i := range specs {
		p, err := o.newOutput(specs[i])
		if err != nil {
			return nil, err
		}
		made = append(made, p)
	}
	return made, nil
}

func (o *Outputs) enter(p *output) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.byName[p.name] = p
	o.order = append(o.order, p.name)
}

func (o *Outputs) leave(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.byName, name)
	o.order = slices.DeleteFunc(o.order, func(other string) bool { return other == name })
}

// get is nil if there is no such output.
func (o *Outputs) get(name string) *output {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.byName[name]
}

// all are the outputs, in the order of the configuration.
func (o *Outputs) all() []*output {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*output, len(o.order))
	for i, name := range o.order {
		all[i] = o.byName[name]
	}
	return all
}

// Set carries out a command given by hand, in the words of ParseCommand. It needs neither the log nor Run, and returns when the line is driven.
func (o *Outputs) Set(ctx context.Context, name, command string) error {
	p := o.get(name)
	if p == nil {
		return fmt.Errorf("there is no output %q", name)
	}
	c, err := ParseCommand([]byte(command))
	if err != nil {
		return err
	}
	return p.set(ctx, c)
}

// Status is a snapshot of each output.
func (o *Outputs) Status() []gateway.DeviceStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]gateway.DeviceStatus, len(o.order))
	for i, name := range o.order {
		all[i] = o.byName[name].status
	}
	return all
}

// Change makes specs the outputs, as at a reload. The line of an output that is the same, or is used in the same way, is not touched. One that is gone goes into
// its safe state; one that was changed to another line does so too, and is made anew. After an error of the specs nothing has changed.
func (o *Outputs) Change(specs []Spec) error {
	o.changes.Lock()
	defer o.changes.Unlock()
	if o.isClosed() {
		return fmt.Errorf("change the outputs: %w", gateway.ErrClosed)
	}
	if err := CheckOutputs(specs); err != nil {
		return err
	}
	var fresh []*output
	stays := map[string]bool{}
	for i := range specs {
		s := &specs[i]
		if p := o.get(s.Name); p != nil && p.at == wire(s) {
			stays[s.Name] = true
			continue
		}
		p, err := o.newOutput(*s)
		if err != nil {
			return err
		}
		fresh = append(fresh, p)
	}
	freed, err := o.remove(stays)
	for i := range specs {
		if p := o.get(specs[i].Name); stays[specs[i].Name] && !reflect.DeepEqual(p.spec, specs[i]) {
			err = errors.Join(err, p.change(specs[i]))
		}
	}
	for _, p := range fresh {
		o.enter(p)
		p.start(freed[p.at])
		delete(freed, p.at)
	}
	for _, at := range slices.Sorted(maps.Keys(freed)) {
		err = errors.Join(err, freed[at].Close())
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.order = o.order[:0]
	for i := range specs {
		o.order = append(o.order, specs[i].Name)
	}
	return err
}

// remove ends the outputs that do not stay, in their safe state, and returns their lines, by their wire.
func (o *Outputs) remove(stays map[string]bool) (freed map[string]line, err error) {
	freed = map[string]line{}
	for _, p := range o.all() {
		if stays[p.name] {
			continue
		}
		err = errors.Join(err, p.settle(whyRemoved, false))
		l, ended := p.end()
		if err = errors.Join(err, ended); l != nil {
			freed[p.at] = l
		}
		o.leave(p.name)
	}
	return freed, err
}

// Close ends all commands and closes the lines. keep: an output whose Stop is OutputKeep stays as it is, if it is still, and another process may adopt its line;
// all others are in their safe state before the first line is closed. It does not wait for the log. Calling it twice is fine.
func (o *Outputs) Close(keep bool) error {
	o.changes.Lock()
	defer o.changes.Unlock()
	if o.isClosed() {
		return nil
	}
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	all := o.all()
	errs := make([]error, len(all))
	var settled sync.WaitGroup
	for i, p := range all {
		settled.Go(func() { errs[i] = p.settle(whyStop, keep) })
	}
	settled.Wait()
	for _, p := range all {
		l, err := p.end()
		if errs = append(errs, err); l != nil {
			errs = append(errs, l.Close())
		}
	}
	o.reports.close()
	return errors.Join(errs...)
}

func (o *Outputs) isClosed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closed
}

// rival is an output that is on, or may be, and that p is interlocked with; "" if none is. o.mu is held.
func (o *Outputs) rival(p *output) string {
	for _, name := range o.order {
		if q := o.byName[name]; q != p && q.held && locked(&p.spec, &q.spec) {
			return name
		}
	}
	return ""
}

// locked says whether one of two outputs names the other.
func locked(a, b *Spec) bool {
	return slices.Contains(a.Interlock, b.Name) || slices.Contains(b.Interlock, a.Name)
}

// config is how the line of an output is requested.
func (s *Spec) outputConfig(on bool) gpiochip.Config {
	const most = 31
	consumer := "gateway " + s.Name
	return gpiochip.Config{Consumer: consumer[:min(len(consumer), most)], Output: true, ActiveLow: s.Invert, Pull: gpio.PullNoChange, Value: on}
}
