package devices

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"gateway"
)

func TestAHungBusSlowsNoOtherAndPilesNothingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung, sound := one(0x76, bmp280()), one(0x76, bmp280())
		hw := hardware(t, t.TempDir(), map[string]transport{"1": hung, "2": sound})
		logs, stops := map[string]*fakeLog{}, []func(){}
		for _, c := range []struct{ name, bus string }{{"a", "1"}, {"b", "1"}, {"c", "1"}, {"other", "2"}} {
			d, err := NewSensor(Spec{Name: c.name, Type: "bmp280", Bus: c.bus, Interval: time.Second}, hw, common())
			if err != nil {
				t.Fatal(err)
			}
			logs[c.name] = &fakeLog{}
			stops = append(stops, start(t, d, logs[c.name]))
		}
		pass(5500 * time.Millisecond)
		release := make(chan struct{})
		hung.setHang(release)
		before := hung.count()
		pass(10 * time.Minute)
		if got := hung.count() - before; got != 1 {
			t.Errorf("transfers that entered the hung bus: got %d, want 1: the others must not queue behind it", got)
		}
		readings := logs["other"].all(EventReading)
		if len(readings) != 606 {
			t.Errorf("readings on the other bus: got %d, want 606, one a second", len(readings))
		}
		first := readings[0].Time
		for i, e := range readings {
			if late := e.Time.Sub(first) - time.Duration(i)*time.Second; late != 0 {
				t.Fatalf("reading %d on the other bus came %s late", i, late)
			}
		}
		for _, name := range []string{"a", "b", "c"} {
			faults := logs[name].all(EventFault)
			if len(faults) != 1 {
				t.Fatalf("%s: got %d faults, want 1", name, len(faults))
			}
			if f := data(t, faults[0]); f["class"] != FaultStuck || !strings.Contains(f["cause"].(string), "i2c-1") || !strings.Contains(f["cause"].(string), "0x76") || f["hint"] == "" {
				t.Errorf("%s: got %v, want class stuck, the bus and the chip", name, f)
			}
		}

		// The kernel gives the transfer back: the sensors recover by themselves.
		hung.setHang(nil)
		close(release)
		pass(2 * time.Minute)
		for _, name := range []string{"a", "b", "c"} {
			if got := len(logs[name].all(EventRecovered)); got != 1 {
				t.Errorf("%s: got %d recoveries, want 1", name, got)
			}
		}
		for _, stop := range stops {
			stop()
		}
		if err := hw.Close(); err != nil { // a goroutine that is left behind fails the bubble
			t.Errorf("close: %v", err)
		}
	})
}

func TestAStuckBusSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hung := one(0x40, &registers{})
		hung.setHang(release)
		hw := hardware(t, t.TempDir(), map[string]transport{"1": hung})
		b, err := hw.bus("1")
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		err = b.transfer(t.Context(), 0x40, []byte{1}, make([]byte, 2), time.Second)
		if took := time.Since(began); took != time.Second+grace || err == nil || !strings.Contains(err.Error(), "i2c-1: no answer of 0x40 within") {
			t.Errorf("the first transfer: got %v after %s, want the bus, the chip and its deadline", err, took)
		}
		began = time.Now()
		err = b.transfer(t.Context(), 0x41, []byte{1}, nil, time.Second)
		if class, _ := classify(err); time.Since(began) != 0 || class != FaultStuck || !strings.Contains(err.Error(), "i2c-1 is stuck: a transfer with 0x40") {
			t.Errorf("the second transfer: got %v after %s, want at once that the bus is stuck", err, time.Since(began))
		}
		if err := hw.Close(); err == nil || !strings.Contains(err.Error(), "i2c-1") {
			t.Errorf("closing what the kernel keeps: got %v, want the bus's name", err)
		}
		close(release)
		synctest.Wait()
		if _, err := hw.bus("1"); !errors.Is(err, errClosed) {
			t.Errorf("a bus of closed hardware: got %v", err)
		}
	})
}

func TestADeviceThatIsStoppedDoesNotMakeItsBusStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hw := hardware(t, t.TempDir(), map[string]transport{"1": one(0x40, &slowChip{took: 100 * time.Millisecond})})
		defer hw.Close()
		b, err := hw.bus("1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if err := b.transfer(ctx, 0x40, []byte{1}, nil, time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the one that is stopped: got %v, want its context's error", err)
		}
		if err := b.transfer(t.Context(), 0x40, []byte{1}, nil, time.Second); err != nil {
			t.Errorf("the next one: got %v, want no error", err)
		}
	})
}

func TestAWaitBehindATransferThatHangsFindsTheBusStuck(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		hung := one(0x40, &registers{})
		hung.setHang(release)
		hw := hardware(t, t.TempDir(), map[string]transport{"1": hung})
		defer hw.Close()
		defer close(release)
		b, err := hw.bus("1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_ = b.transfer(ctx, 0x40, []byte{1}, nil, time.Second) // whoever began it is gone
		for i := range 3 {
			began := time.Now()
			err := b.transfer(t.Context(), 0x41, []byte{1}, nil, time.Second)
			if took := time.Since(began); err == nil || !strings.Contains(err.Error(), "stuck: a transfer with 0x40") || i > 0 && took > 0 {
				t.Errorf("transfer %d: got %v after %s, want that 0x40 keeps the bus, and at once after the first", i, err, took)
			}
		}
	})
}

func TestChipsThatTakeTheirTimeMakeASoundOneNoFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowChip{took: i2cUsual} // as long as the kernel waits for a chip that does not answer
		chips := map[uint16]fakeChip{0x76: bmp280(), 1: slow, 2: slow, 3: slow}
		hw := hardware(t, t.TempDir(), map[string]transport{"1": &fakeBus{chips: chips}})
		defer hw.Close()
		d, err := NewSensor(Spec{Name: "probe", Type: "bmp280", Interval: 10 * time.Second}, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		b, err := hw.bus("1")
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for addr := uint16(1); addr <= 3; addr++ {
			all.Go(func() {
				for ctx.Err() == nil {
					if err := b.transfer(ctx, addr, []byte{0}, nil, i2cUsual); err != nil && ctx.Err() == nil {
						t.Errorf("0x%02x: got %v", addr, err)
					}
				}
			})
		}
		out := &fakeLog{}
		run(t, d, out, time.Minute)
		cancel()
		all.Wait()
		if faults, readings := out.all(EventFault), out.all(EventReading); len(faults) > 0 || len(readings) < 3 {
			t.Errorf("got %d faults and %d readings, want no fault on a bus that three others keep busy", len(faults), len(readings))
		}
	})
}

func TestTheKernelsStructures(t *testing.T) {
	t.Parallel()
	word := unsafe.Sizeof(uintptr(0)) // struct i2c_msg and i2c_rdwr_ioctl_data end in, and begin with, a pointer
	if got, at := unsafe.Sizeof(i2cMsg{}), unsafe.Offsetof(i2cMsg{}.buf); got != 8+word || at != 8 {
		t.Errorf("i2c_msg: got %d bytes and its buffer at %d, want %d and 8", got, at, 8+word)
	}
	if got, at := unsafe.Sizeof(i2cTransaction{}), unsafe.Offsetof(i2cTransaction{}.n); got != 2*word || at != word {
		t.Errorf("i2c_rdwr_ioctl_data: got %d bytes and its count at %d, want %d and %d", got, at, 2*word, word)
	}
	if _, err := openI2C(os.DevNull); !errors.Is(err, syscall.ENOTTY) {
		t.Errorf("a file that is no bus: got %v, want that it is none", err)
	}
}

func TestABusIsFair(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := &slowChip{took: 10 * time.Millisecond}
		hw := hardware(t, t.TempDir(), map[string]transport{"1": &fakeBus{chips: map[uint16]fakeChip{1: slow, 2: slow, 3: slow}}})
		defer hw.Close()
		b, err := hw.bus("1")
		if err != nil {
			t.Fatal(err)
		}
		// Each asks again as soon as it has had its turn: nobody gets two turns between two of another's.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var mu sync.Mutex
		var order []uint16
		var all sync.WaitGroup
		for addr := uint16(1); addr <= 3; addr++ {
			all.Go(func() {
				for ctx.Err() == nil {
					if b.transfer(ctx, addr, []byte{0}, nil, time.Second) == nil {
						mu.Lock()
						order = append(order, addr)
						mu.Unlock()
					}
				}
			})
		}
		all.Wait()
		counts := map[uint16]int{}
		for _, addr := range order {
			counts[addr]++
		}
		for addr, n := range counts {
			if n < 32 || n > 34 || len(counts) != 3 {
				t.Errorf("0x%02x had %d of %d turns, want a third: %v", addr, n, len(order), counts)
			}
		}
	})
}

// slowChip takes its time.
type slowChip struct{ took time.Duration }

func (c *slowChip) tx(_, _ []byte) error {
	pass(c.took)
	return nil
}

func TestABusThatIsNotThereOrNotAllowedSaysWhatToDo(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err         error
		class, hint string
	}{
		{&os.PathError{Op: "open", Path: "/dev/i2c-1", Err: syscall.EACCES}, FaultPermission, "group i2c"},
		{&os.PathError{Op: "open", Path: "/dev/i2c-1", Err: syscall.ENOENT}, FaultMissing, "enable I2C"},
		{fmt.Errorf("set retries: %w", syscall.EREMOTEIO), FaultMissing, "wiring"},
		{syscall.ETIMEDOUT, FaultStuck, "power-cycle"},
		{syscall.EIO, FaultOther, ""},
		{syscall.EBADMSG, FaultCRC, "cable"},
	} {
		class, hint := classify(fmt.Errorf("i2c-1 0x40: %w", opened(c.err, filepath.Join(t.TempDir(), "i2c-1"), "i2c", "enable I2C")))
		if class != c.class || !strings.Contains(hint, c.hint) {
			t.Errorf("%v: got class %q, hint %q, want %q and %q", c.err, class, hint, c.class, c.hint)
		}
	}
	// The group is the one that the device has.
	file := filepath.Join(t.TempDir(), "i2c-1")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(file, -1, 1); err != nil {
		t.Skipf("only root may give a file away: %v", err)
	}
	if got := groupOf(file, "i2c"); got != "daemon" && got != "bin" {
		t.Errorf("the group of a file of gid 1: got %q, want its name", got)
	}
}

func TestTheKernelsDeviceIsOpenedOnlyWhenItIsUsed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hw := NewHardware(HardwareOptions{Dev: t.TempDir()})
		d, err := NewSensor(Spec{Name: "probe", Type: "sht4x", Interval: time.Minute}, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		out := &fakeLog{}
		run(t, d, out, time.Second)
		if err := hw.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		faults := out.all(EventFault)
		if len(faults) != 1 {
			t.Fatalf("got %v, want a fault", out.all())
		}
		f := data(t, faults[0])
		if hint, _ := f["hint"].(string); f["class"] != FaultMissing || !strings.Contains(hint, "raspi-config") || faults[0].Subject != "devices/probe/fault" {
			t.Errorf("got %v, want class missing and how to enable I2C", f)
		}
	})
}

func TestAnErrorOfATransferOpensTheBusAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		opens, bus := 0, one(0x76, bmp280())
		hw := NewHardware(HardwareOptions{i2c: func(string) (transport, error) { opens++; return bus, nil }})
		defer hw.Close()
		d, err := NewSensor(Spec{Name: "probe", Type: "bmp280", Interval: time.Second}, hw, common())
		if err != nil {
			t.Fatal(err)
		}
		out := &fakeLog{}
		stop := start(t, d, out)
		pass(2500 * time.Millisecond)
		bus.plug(0x76, nil)
		pass(20 * time.Second)
		bus.plug(0x76, bmp280())
		pass(40 * time.Second)
		if got := d.Status(); got.State != gateway.DeviceOK || got.Faults != 1 || got.Value != "25.08 Cel, 1006.53 hPa" || got.Where != "i2c-1 0x76" {
			t.Errorf("status: got %+v", got)
		}
		stop()
		faults, recovered := out.all(EventFault), out.all(EventRecovered)
		if len(faults) != 1 || len(recovered) != 1 || data(t, faults[0])["class"] != FaultMissing {
			t.Fatalf("got %d faults and %d recoveries, want one of each, of a chip that is missing", len(faults), len(recovered))
		}
		if r := data(t, recovered[0]); r["attempts"].(float64) < 4 || r["down_seconds"].(float64) < 19 || r["class"] != FaultMissing {
			t.Errorf("got %v, want at least 4 attempts and 19 s", r)
		}
		if opens < 4 {
			t.Errorf("the bus was opened %d times, want it anew after each error", opens)
		}
	})
}
