package gpiochip

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// TestLayouts: the structures and requests are those of linux/gpio.h, on every architecture.
func TestLayouts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		got, want uintptr
	}{
		{"gpiochip_info", unsafe.Sizeof(chipInfo{}), 68},
		{"gpio_v2_line_attribute", unsafe.Sizeof(lineAttribute{}), 16},
		{"gpio_v2_line_config", unsafe.Sizeof(lineConfig{}), 272},
		{"gpio_v2_line_request", unsafe.Sizeof(lineRequest{}), 592},
		{"gpio_v2_line_info", unsafe.Sizeof(lineInfo{}), 256},
		{"gpio_v2_line_values", unsafe.Sizeof(lineValues{}), 16},
		{"gpio_v2_line_event", unsafe.Sizeof(lineEvent{}), 48},
		{"request.config", unsafe.Offsetof(lineRequest{}.config), 288},
		{"request.fd", unsafe.Offsetof(lineRequest{}.fd), 588},
		{"config.attrs", unsafe.Offsetof(lineConfig{}.attrs), 32},
		{"attribute.value", unsafe.Offsetof(lineAttribute{}.value), 8},
		{"line_info.flags", unsafe.Offsetof(lineInfo{}.flags), 72},
		{"GPIO_GET_CHIPINFO_IOCTL", uintptr(getChipInfo), 0x8044b401},
		{"GPIO_V2_GET_LINEINFO_IOCTL", uintptr(getLineInfo), 0xc100b405},
		{"GPIO_V2_GET_LINE_IOCTL", uintptr(getLine), 0xc250b407},
		{"GPIO_V2_LINE_SET_CONFIG_IOCTL", uintptr(setConfig), 0xc110b40d},
		{"GPIO_V2_LINE_GET_VALUES_IOCTL", uintptr(getValues), 0xc010b40e},
		{"GPIO_V2_LINE_SET_VALUES_IOCTL", uintptr(setValues), 0xc010b40f},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %#x, want %#x", c.name, c.got, c.want)
		}
	}
}

func TestConfigForTheKernel(t *testing.T) {
	t.Parallel()
	in := Config{ActiveLow: true, Pull: gpio.PullUp, Edge: gpio.BothEdges, Debounce: 5 * time.Millisecond}
	k := in.abi()
	if want := uint64(flagActiveLow | flagPullUp | flagInput | flagRising | flagFalling); k.flags != want || k.numAttrs != 1 || k.attrs[0].attr.id != attrDebounce {
		t.Errorf("got %+v, want the flags %#x and a debounce", k, want)
	}
	if us := *(*uint32)(unsafe.Pointer(&k.attrs[0].attr.value)); us != 5000 {
		t.Errorf("got %d us of debounce, want 5000", us)
	}
	out := Config{Output: true, Value: true, Pull: gpio.PullNoChange}
	if k := out.abi(); k.flags != flagOutput || k.numAttrs != 1 || k.attrs[0].attr.id != attrOutputValues || k.attrs[0].attr.value != 1 || k.attrs[0].mask != 1 {
		t.Errorf("got %+v, want an output that is on from the beginning", k)
	}
	for _, c := range []Config{
		{Consumer: strings.Repeat("x", 32)}, {Output: true, Edge: gpio.BothEdges}, {Debounce: -1}, {Buffer: MaxBuffer + 1},
	} {
		if err := c.check(); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	chips := []ChipInfo{
		{"/dev/gpiochip0", "gpiochip0", "pinctrl-bcm2711", 58}, {"/dev/gpiochip1", "gpiochip1", "raspberrypi-exp-gpio", 8},
	}
	all := map[string][]LineInfo{
		"/dev/gpiochip0": {{Offset: 2, Name: "SDA1"}, {Offset: 17, Name: "GPIO17"}, {Offset: 40, Name: "TWICE"}},
		"/dev/gpiochip1": {{Offset: 2, Name: "BT_ON"}, {Offset: 5, Name: "TWICE"}},
	}
	lines := func(path string) ([]LineInfo, error) { return all[path], nil }
	for _, c := range []struct {
		chip, pin string
		path      string
		offset    int
		fails     string
	}{
		{"", "GPIO17", "/dev/gpiochip0", 17, ""},
		{"", "17", "/dev/gpiochip0", 17, ""},
		{"", "2", "/dev/gpiochip0", 2, ""}, // the board's own chip
		{"gpiochip1", "2", "/dev/gpiochip1", 2, ""},
		{"raspberrypi-exp-gpio", "TWICE", "/dev/gpiochip1", 5, ""},
		{"/dev/gpiochip0", "TWICE", "/dev/gpiochip0", 40, ""},
		{"", "TWICE", "", 0, "pinctrl-bcm2711 line 40 or raspberrypi-exp-gpio line 5: say which with chip"},
		{"", "GPIO99", "", 0, "there are pinctrl-bcm2711, raspberrypi-exp-gpio"},
		{"pinctrl-rp1", "GPIO17", "", 0, `of the chip "pinctrl-rp1"`},
	} {
		at, line, err := find(chips, nil, c.chip, c.pin, lines)
		if c.fails != "" {
			if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%q of %q: got %v, want %q", c.pin, c.chip, err, c.fails)
			}
			continue
		}
		if err != nil || at.Path != c.path || line.Offset != c.offset {
			t.Errorf("%q of %q: got %v, %v, %v; want %s line %d", c.pin, c.chip, at, line, err, c.path, c.offset)
		}
	}
	if _, _, err := find(nil, os.ErrPermission, "", "GPIO17", lines); !errors.Is(err, os.ErrPermission) || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want the reason why nothing was found", err)
	}
	if _, _, err := find(nil, nil, "", "GPIO17", lines); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "no GPIO chip at all") {
		t.Errorf("got %v", err)
	}
}

// pipeLine is a line whose events come out of a pipe.
func pipeLine(t *testing.T) (l *Line, w *os.File) {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	l = newLine(fds[0], 1, "line 1 of a pipe", Config{Edge: gpio.BothEdges})
	l.call = (&fakeRequest{}).call
	w = os.NewFile(uintptr(fds[1]), "pipe")
	t.Cleanup(func() { _, _ = l.Close(), w.Close() })
	return l, w
}

func rawEvent(e lineEvent) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(&e)), eventSize) }

// TestEvents: as many as there are at once; an end of the context, a Close and the end of the chip free who waits.
func TestEvents(t *testing.T) {
	t.Parallel()
	l, w := pipeLine(t)
	var raw []byte
	for i := range uint32(5) {
		raw = append(raw, rawEvent(lineEvent{timestamp: uint64(i) * 1000, id: 1 + i%2, lineSeq: i + 1, sequence: 77})...)
	}
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	buf := make([]Event, 3)
	for _, want := range []int{3, 2} {
		if n, err := l.Events(t.Context(), buf); n != want || err != nil {
			t.Fatalf("got %d events, %v; want %d", n, err, want)
		}
	}
	if buf[1] != (Event{Rising: true, At: 4 * time.Microsecond, Sequence: 5}) {
		t.Errorf("got %+v", buf[1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.Events(ctx, buf); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	if _, err := w.Write(rawEvent(lineEvent{id: 1})); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Events(t.Context(), buf); n != 1 || err != nil { // an old deadline is over
		t.Errorf("got %d events, %v; want 1", n, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Events(t.Context(), buf); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
	l, _ = pipeLine(t)
	freed := make(chan error)
	go func() {
		_, err := l.Events(context.Background(), buf)
		freed <- err
	}()
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Error(err)
	}
	if err := <-freed; !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v, want %v", err, os.ErrClosed)
	}
}

// TestPinWaits: for ever with -1, not at all with 0, and Halt frees who waits, also who comes to wait after it.
func TestPinWaits(t *testing.T) {
	t.Parallel()
	l, w := pipeLine(t)
	p := l.Pin()
	if p.WaitForEdge(0) {
		t.Error("an edge where there was none")
	}
	freed := make(chan bool)
	go func() { freed <- p.WaitForEdge(-1) }()
	select {
	case <-freed:
		t.Error("-1 did not wait")
	case <-time.After(50 * time.Millisecond):
	}
	if _, err := w.Write(rawEvent(lineEvent{id: 1})); err != nil {
		t.Fatal(err)
	}
	if !<-freed {
		t.Error("the edge was not told")
	}
	if err := p.Halt(); err != nil {
		t.Fatal(err)
	}
	if p.WaitForEdge(-1) { // the Halt came before
		t.Error("an edge where there was none")
	}
	go func() { freed <- p.WaitForEdge(-1) }()
	for { // whether it waits already or not
		if err := p.Halt(); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-freed:
			if got {
				t.Error("Halt made an edge")
			}
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func TestAdoptTakesLinesOnly(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = w.Close() }()
	if _, err := Adopt(r, Config{Output: true}); err == nil || !strings.Contains(err.Error(), "not a GPIO line") {
		t.Errorf("got %v, want that it is none", err)
	}
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("got %v: the descriptor is still open", err)
	}
}

// TestFindOnARaspberryPi: a pin of the header is found by its number under any name, and a chip by a link to it.
func TestFindOnARaspberryPi(t *testing.T) {
	t.Parallel()
	chips := []ChipInfo{{"/dev/gpiochip0", "gpiochip0", "pinctrl-rp1", 54}, {"/dev/gpiochip10", "gpiochip10", "gpio-brcmstb@107d508500", 32}, {"/dev/gpiochip11", "gpiochip11", "pinctrl-other", 32}}
	all := map[string][]LineInfo{
		"/dev/gpiochip0":  {{Offset: 0, Name: "ID_SDA"}, {Offset: 2, Name: "GPIO3"}, {Offset: 3, Name: ""}},
		"/dev/gpiochip10": {{Offset: 0, Name: "-"}, {Offset: 3, Name: "2712_WAKE"}},
		"/dev/gpiochip11": {{Offset: 0, Name: "X"}},
	}
	lines := func(path string) ([]LineInfo, error) { return all[path], nil }
	for pin, want := range map[string]int{"GPIO0": 0, "ID_SDA": 0, "GPIO2": 2, "GPIO3": 2} { // a name before a number
		if at, line, err := find(chips, nil, "", pin, lines); err != nil || at.Label != "pinctrl-rp1" || line.Offset != want {
			t.Errorf("%s: got %v, %v, %v; want line %d of the header", pin, at, line, err, want)
		}
	}
	for _, pin := range []string{"GPIO00", "GPIO", "GPIO-0", "GPIO+2", "gpio0"} {
		if at, line, err := find(chips, nil, "", pin, lines); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, %v, %v; want nothing", pin, at, line, err)
		}
	}
	if at, line, err := find(chips, nil, "gpiochip10", "GPIO3", lines); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, %v, %v; want nothing: the number of a pin counts on the header", at, line, err)
	}

	dev := t.TempDir()
	if err := errors.Join(os.WriteFile(dev+"/gpiochip0", nil, 0o600), os.Symlink("gpiochip0", dev+"/gpiochip4"), os.Symlink("nothing", dev+"/gpiochip5")); err != nil {
		t.Fatal(err)
	}
	for chip, want := range map[string]string{"gpiochip4": "gpiochip0", dev + "/gpiochip4": "gpiochip0", "gpiochip0": "gpiochip0", "gpiochip5": "gpiochip5", "pinctrl-rp1": "pinctrl-rp1", "": ""} {
		if got := ownName(dev, chip); got != want {
			t.Errorf("%q: got %q, want %q", chip, got, want)
		}
	}
}

// TestWhatIsNoChip: neither an empty folder nor another file is one, and the error says which.
func TestWhatIsNoChip(t *testing.T) {
	t.Parallel()
	dev := t.TempDir()
	if chips, err := Chips(dev); len(chips) > 0 || err != nil {
		t.Errorf("got %v, %v; want none", chips, err)
	}
	if err := os.WriteFile(dev+"/gpiochip0", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if chips, err := Chips(dev); len(chips) > 0 || err == nil || !strings.Contains(err.Error(), "gpiochip0 is no GPIO chip") {
		t.Errorf("got %v, %v; want that it is none", chips, err)
	}
	if _, err := Open(dev+"/gpiochip0", 0, Config{}); err == nil || !strings.Contains(err.Error(), "is no GPIO chip") {
		t.Errorf("got %v, want that it is none", err)
	}
	if _, err := Open(dev+"/gpiochip1", 0, Config{}); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
}

// TestAdoptKnowsTheLine: what the kernel tells of a request, and what of it must not differ.
func TestAdoptKnowsTheLine(t *testing.T) {
	t.Parallel()
	const linux61 = "pos:\t0\nflags:\t02004000\nmnt_id:\t14\nino:\t8705\ngpio-chip:\tgpiochip2\ngpio-line:\t7\n"
	if chip, offset := parseOrigin(linux61); chip != "/dev/gpiochip2" || offset != 7 {
		t.Errorf("got %q, %d; want line 7 of gpiochip2", chip, offset)
	}
	for _, other := range []string{"", "pos:\t0\n", "gpio-chip:\tgpiochip0\n", "gpio-line:\t3\n", "gpio-chip:\t\ngpio-line:\t1\n"} {
		if chip, offset := parseOrigin(other); chip != "" || offset != -1 {
			t.Errorf("%q: got %q, %d; want that it is not told", other, chip, offset)
		}
	}
	now := lineInfo{flags: flagUsed | flagOutput | flagActiveLow}
	for want, c := range map[string]Config{
		"": {Output: true, ActiveLow: true}, "direction": {ActiveLow: true}, "polarity": {Output: true}, "drive": {Output: true, ActiveLow: true, OpenDrain: true},
	} {
		if err := c.wants(&now); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want %q", c, err, want)
		}
	}
	c := Config{Edge: gpio.RisingEdge, Pull: gpio.PullUp, Debounce: 7 * time.Millisecond}
	now = lineInfo{flags: c.flags() | flagUsed, numAttrs: 1, attrs: [maxAttrs]lineAttribute{c.abi().attrs[0].attr}}
	if !c.same(&now) {
		t.Errorf("%+v is not the same as %+v", c, now)
	}
	for _, other := range []Config{{Edge: gpio.BothEdges, Pull: gpio.PullUp, Debounce: c.Debounce}, {Edge: c.Edge, Debounce: c.Debounce}, {Edge: c.Edge, Pull: c.Pull}} {
		if other.same(&now) {
			t.Errorf("%+v is the same as %+v", other, now)
		}
	}
}
