package gpiochip

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// fakeRequest is the kernel's side of a request: what was done to the line, and what it is.
type fakeRequest struct {
	mu     sync.Mutex // guards what follows
	output bool
	level  bool // driven, or given from outside
	gone   bool
	done   []string
}

func (f *fakeRequest) call(request uint, arg unsafe.Pointer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone {
		return unix.ENODEV
	}
	switch v := (*lineValues)(arg); request {
	case getValues:
		v.bits = 0
		if f.level {
			v.bits = 1
		}
	case setValues:
		if !f.output {
			return unix.EPERM
		}
		f.level = v.bits&v.mask == 1
		f.done = append(f.done, fmt.Sprintf("set %v", f.level))
	case setConfig:
		k := (*lineConfig)(arg)
		if f.output = k.flags&flagOutput != 0; !f.output {
			f.done = append(f.done, fmt.Sprintf("in %#x, %d attributes", k.flags, k.numAttrs))
			return nil
		}
		f.level = k.attrs[0].attr.id == attrOutputValues && k.attrs[0].attr.value == 1
		f.done = append(f.done, fmt.Sprintf("out %v", f.level))
	default:
		return unix.ENOTTY
	}
	return nil
}

// TestPinIsWhatPeriphSays: what the kernel is asked for is what periph's interfaces promise, and nothing in between.
func TestPinIsWhatPeriphSays(t *testing.T) {
	t.Parallel()
	l, w := pipeLine(t)
	k := &fakeRequest{level: true}
	l.call = k.call
	p := l.Pin()
	if p != l.Pin() {
		t.Error("another pin each time: a Halt would not reach who waits")
	}
	if p.Read() != gpio.High {
		t.Error("got low, want the level from outside")
	}
	if err := p.Out(gpio.High); err != nil || p.Read() != gpio.High || l.pin.Function() != "Out" {
		t.Errorf("got %v, %v, %s; want a high output", err, p.Read(), l.pin.Function())
	}
	if err := p.Out(gpio.Low); err != nil || p.Read() != gpio.Low {
		t.Errorf("got %v, %v; want low", err, p.Read())
	}
	if err := p.Halt(); err != nil {
		t.Error(err)
	}
	if _, err := w.Write(rawEvent(lineEvent{id: eventRising})); err != nil {
		t.Fatal(err)
	}
	if err := p.In(gpio.PullUp, gpio.RisingEdge); err != nil || l.pin.Function() != "In" || p.Pull() != gpio.PullUp {
		t.Errorf("got %v, %s, %v; want a pulled input", err, l.pin.Function(), p.Pull())
	}
	if p.WaitForEdge(0) {
		t.Error("got an edge from before In")
	}
	want := []string{"out true", "set false", fmt.Sprintf("in %#x, 0 attributes", flagInput|flagPullUp|flagRising)}
	if !slices.Equal(k.done, want) {
		t.Errorf("got %q, want %q: no other level, and nothing for a Read or a Halt", k.done, want)
	}
}

// TestPinComesBackAsItWasOpened: what only an input or only an output has is not lost on the way through the other.
func TestPinComesBackAsItWasOpened(t *testing.T) {
	t.Parallel()
	for _, opened := range []Config{{Edge: gpio.BothEdges, Debounce: time.Millisecond}, {Output: true, OpenDrain: true}} {
		l, _ := pipeLine(t)
		l.config, l.pin, l.call = opened, newPin(l, opened), (&fakeRequest{output: opened.Output}).call
		p := l.Pin()
		for range 2 {
			if err := p.Out(gpio.High); err != nil || l.configured().OpenDrain != opened.OpenDrain {
				t.Errorf("%v: got %+v, %v as an output", opened, l.configured(), err)
			}
			if err := p.In(gpio.Float, gpio.BothEdges); err != nil || l.configured().Debounce != opened.Debounce {
				t.Errorf("%v: got %+v, %v as an input", opened, l.configured(), err)
			}
		}
	}
}

// TestPinTellsEachEdgeOnce: also those that came at once, and to one who only asks.
func TestPinTellsEachEdgeOnce(t *testing.T) {
	t.Parallel()
	l, w := pipeLine(t)
	p := l.Pin()
	for range pinEvents + 3 {
		if _, err := w.Write(rawEvent(lineEvent{id: eventRising})); err != nil {
			t.Fatal(err)
		}
	}
	for i := range pinEvents + 3 {
		if timeout := []time.Duration{0, -1, time.Minute}[i%3]; !p.WaitForEdge(timeout) {
			t.Errorf("edge %d was not told with the timeout %v", i, timeout)
		}
	}
	if p.WaitForEdge(0) || p.WaitForEdge(time.Millisecond) {
		t.Error("got an edge that there was not")
	}
}

// TestInAndHaltFree: who waits for ever is freed by In, by Out and by Halt, and after Halt nobody waits until the line is an input anew.
func TestInAndHaltFree(t *testing.T) {
	t.Parallel()
	for name, free := range map[string]func(p gpio.PinIO) error{
		"In":    func(p gpio.PinIO) error { return p.In(gpio.Float, gpio.BothEdges) },
		"Out":   func(p gpio.PinIO) error { return p.Out(gpio.High) },
		"Halt":  func(p gpio.PinIO) error { return p.Halt() },
		"Close": func(p gpio.PinIO) error { return p.(*pin).line.Close() },
	} {
		l, w := pipeLine(t)
		p := l.pin
		freed := make(chan bool, 1)
		go func() { freed <- p.WaitForEdge(-1) }()
		for len(p.turn) == 0 { // it has begun to wait
			<-time.After(time.Millisecond)
		}
		if err := free(p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if <-freed {
			t.Errorf("%s made an edge", name)
		}
		if name != "Halt" {
			continue
		}
		if _, err := w.Write(rawEvent(lineEvent{id: eventRising})); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if p.WaitForEdge(-1) {
				t.Error("somebody waited after Halt")
			}
		}
		if err := p.In(gpio.Float, gpio.BothEdges); err != nil {
			t.Error(err)
		}
		go func() { freed <- p.WaitForEdge(-1) }()
		if _, err := w.Write(rawEvent(lineEvent{id: eventRising})); err != nil {
			t.Fatal(err)
		}
		if !<-freed {
			t.Error("an edge after In was not told")
		}
	}
}
