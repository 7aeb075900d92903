package devices

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cautious is an I2C bus that notes how it was asked. Its chips answer to their address; to a read only those that are not shy.
type cautious struct {
	chips, shy []uint16
	noKnock    error // of an adapter that cannot
	read       []uint16
}

func (c *cautious) Transfer(address uint16, w, r []byte, _ time.Duration) error {
	c.read = append(c.read, address)
	if len(w) != 0 || len(r) != 1 {
		return fmt.Errorf("a scan wrote % x", w)
	}
	return c.answer(slices.Contains(c.chips, address))
}

func (c *cautious) Knock(address uint16, _ time.Duration) error {
	if c.noKnock != nil {
		return c.noKnock
	}
	return c.answer(slices.Contains(c.chips, address) || slices.Contains(c.shy, address))
}

func (c *cautious) answer(there bool) error {
	if !there {
		return syscall.EREMOTEIO
	}
	return nil
}

func (c *cautious) Close() error { return nil }

// scanOf scans one bus with that transport. The kernel has a driver for the chip at 0x68.
func scanOf(t *testing.T, c *cautious) (FoundBus, string) {
	t.Helper()
	o := scanRoots(t, map[string]string{"dev/i2c-1": "", "sys/bus/i2c/devices/1-0068/driver": "-> ../../rtc-ds1307"})
	o.i2c = func(string) (transport, error) { return c, nil }
	f := Scan(t.Context(), o)
	if len(f.Buses) != 1 {
		t.Fatalf("got %+v, want one bus", f.Buses)
	}
	return f.Buses[0], f.Text()
}

func addresses(b FoundBus) (all []int) {
	for _, c := range b.Chips {
		all = append(all, c.Address)
	}
	return all
}

// TestScanIsCautious: what may hold the bus when it is read is not, nor what belongs to the kernel, and what refuses a read is found all the same.
func TestScanIsCautious(t *testing.T) {
	t.Parallel()
	c := &cautious{chips: []uint16{0x40, 0x68, 0x69, 0x76}, shy: []uint16{0x44, 0x62, 0x30}}
	b, text := scanOf(t, c)
	if got, want := addresses(b), []int{0x40, 0x44, 0x62, 0x68, 0x69, 0x76}; !slices.Equal(got, want) || b.Problem != "" || b.Skipped != nil {
		t.Errorf("got %#x, %+v; want %#x", got, b, want)
	}
	if slices.Contains(c.read, 0x68) || slices.Contains(c.read, 0x69) {
		t.Errorf("read from %#x: not from 0x68, which is the kernel's, nor 0x69, which may hold the bus", c.read)
	}
	for _, want := range []string{"{name: sht4x-1-44, type: sht4x, bus: 1, address: 0x44}", "{name: scd4x-1-62, type: scd4x, bus: 1, address: 0x62}"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// TestScanSaysWhatItCannotAsk: an adapter that cannot say an address alone leaves some unknown.
func TestScanSaysWhatItCannotAsk(t *testing.T) {
	t.Parallel()
	b, text := scanOf(t, &cautious{chips: []uint16{0x44, 0x69}, shy: []uint16{0x62}, noKnock: syscall.EOPNOTSUPP})
	if got, want := addresses(b), []int{0x44, 0x68}; !slices.Equal(got, want) {
		t.Errorf("got %#x, want %#x", got, want)
	}
	if want := []int{0x45, 0x46, 0x62, 0x69}; !slices.Equal(b.Skipped, want) || !strings.Contains(text, "not asked about 0x45, 0x46, 0x62, 0x69") {
		t.Errorf("got %#x, want %#x, and that it is said in\n%s", b.Skipped, want, text)
	}
}
