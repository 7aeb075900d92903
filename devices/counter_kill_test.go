package devices

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

// childFolder is the environment variable that makes TestCounterChild a counter that is to be killed.
const childFolder = "GATEWAY_COUNTER_CHILD"

// Sizes of a batch of edges in the pipe to the child: one that ends it, and the largest.
const (
	batchStop = 0xffff
	batchMost = 40
)

// fileLog is a log in a file of lines, which survives the process, and takes a while.
type fileLog struct {
	f   *os.File
	rng *rand.Rand
}

type fileBatch struct {
	Events []json.RawMessage
	KV     []gateway.KeyValue
}

func (l *fileLog) Load(key string) (value []byte, err error) {
	b, err := os.ReadFile(l.f.Name())
	if err := errors.Join(err, l.f.Truncate(int64(len(wholeLines(b))))); err != nil {
		return nil, err
	}
	return loadLine(l.f.Name(), key)
}

func loadLine(path, key string) (value []byte, err error) {
	b, err := os.ReadFile(path)
	for line := range bytes.Lines(wholeLines(b)) {
		var batch fileBatch
		if err := json.Unmarshal(line, &batch); err != nil {
			return nil, err
		}
		for _, kv := range batch.KV {
			if kv.Key == key {
				value = kv.Value
			}
		}
	}
	return value, err
}

// wholeLines leaves out what a kill has torn.
func wholeLines(b []byte) []byte { return b[:bytes.LastIndexByte(b, '\n')+1] }

func (l *fileLog) Commit(ctx context.Context, b gateway.Batch) (gateway.Offset, error) {
	line := fileBatch{KV: b.KV}
	for _, e := range b.Events {
		line.Events = append(line.Events, encode(map[string]any{"type": e.Type, "data": json.RawMessage(e.Data)}))
	}
	pause(ctx, time.Duration(l.rng.IntN(2000))*time.Microsecond)
	if l.rng.IntN(200) == 0 {
		return 0, gateway.ErrFull
	}
	if _, err := l.f.Write(append(encode(line), '\n')); err != nil {
		return 0, err
	}
	pause(ctx, time.Duration(l.rng.IntN(2000))*time.Microsecond)
	return 1, nil
}

// pipeLine is a line whose kernel is the parent: a byte asks for edges, and says that the counter is done with those before.
type pipeLine struct {
	ask    *os.File
	edges  *bufio.Reader
	onStop func()
	d      func() *counter
}

func (l *pipeLine) Now() time.Duration { return time.Since(time.Unix(0, 0)) }

func (l *pipeLine) Open(string, string, gpiochip.Config) (line, error) {
	c := l.d().tally.at(0)
	_, err := l.ask.Write(binary.LittleEndian.AppendUint64(nil, c.total))
	return l, err
}

func (l *pipeLine) Adopt(*os.File, gpiochip.Config) (line, error) { return nil, errors.ErrUnsupported }

func (l *pipeLine) Events(ctx context.Context, buf []gpiochip.Event) (int, error) {
	if _, err := l.ask.Write([]byte{1}); err != nil {
		return 0, err
	}
	var n uint16
	if err := binary.Read(l.edges, binary.LittleEndian, &n); err != nil {
		return 0, err
	}
	if n == batchStop {
		l.onStop()
		return 0, ctx.Err()
	}
	numbers := make([]uint32, n)
	if err := binary.Read(l.edges, binary.LittleEndian, numbers); err != nil {
		return 0, err
	}
	for i, number := range numbers {
		buf[i] = gpiochip.Event{Rising: true, At: l.Now(), Sequence: number}
	}
	return int(n), nil
}

func (l *pipeLine) Level() (bool, error) { return false, nil }
func (l *pipeLine) Set(bool) error       { return errors.ErrUnsupported }
func (l *pipeLine) File() *os.File       { return nil }
func (l *pipeLine) Close() error         { return nil }

// TestCounterChild is no test of its own: it is the process that TestCounterLosesNothingToKills kills.
func TestCounterChild(t *testing.T) {
	dir := os.Getenv(childFolder)
	if dir == "" {
		t.Skip("a part of TestCounterLosesNothingToKills")
	}
	f, err := os.OpenFile(filepath.Join(dir, "log"), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var d *counter
	l := &pipeLine{ask: os.NewFile(3, "ask"), edges: bufio.NewReader(os.NewFile(4, "edges")), onStop: cancel, d: func() *counter { return d }}
	spec := counterSpec()
	spec.Interval = 4 * time.Millisecond
	log := &fileLog{f: f, rng: rand.New(rand.NewPCG(uint64(os.Getpid()), 1))}
	made, err := NewCounter(spec, l, Counting{Log: log, LogID: "log", Runtime: filepath.Join(dir, "run")}, testCommon())
	if err != nil {
		t.Fatal(err)
	}
	d = made.(*counter)
	if err := d.Run(ctx, nil); err != nil {
		t.Fatal(err)
	}
}

// killed is a counter's process, and what it was given.
type killed struct {
	t        *testing.T
	cmd      *exec.Cmd
	asks     *os.File
	edges    *os.File
	stderr   bytes.Buffer
	started  uint64 // the total it began with
	done     uint64 // edges that it was given and was done with
	underWay uint64 // those of the read that was under way
	number   uint32
	rng      *rand.Rand
	close    func()
}

func startKilled(t *testing.T, dir string, rng *rand.Rand) *killed {
	t.Helper()
	askRead, askWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	edgeRead, edgeWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := &killed{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestCounterChild$"), asks: askRead, edges: edgeWrite, rng: rng}
	p.cmd.Env = append(os.Environ(), childFolder+"="+dir)
	p.cmd.ExtraFiles = []*os.File{askWrite, edgeRead}
	p.cmd.Stdout, p.cmd.Stderr = &p.stderr, &p.stderr
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	askWrite.Close()
	edgeRead.Close()
	p.close = sync.OnceFunc(func() { askRead.Close(); edgeWrite.Close() })
	t.Cleanup(p.close)
	if err := binary.Read(askRead, binary.LittleEndian, &p.started); err != nil {
		t.Fatalf("the counter did not start: %v\n%s", err, p.stderr.String())
	}
	return p
}

// serve waits until the counter asks, and gives it edges; now and then some are lost on the way, which the numbers tell.
func (p *killed) serve() error {
	if _, err := io.ReadFull(p.asks, make([]byte, 1)); err != nil {
		return err
	}
	p.done, p.underWay = p.done+p.underWay, 0
	n := 1 + p.rng.IntN(batchMost)
	b := binary.LittleEndian.AppendUint16(nil, uint16(n))
	for range n {
		if p.number++; p.rng.IntN(30) == 0 {
			p.number += p.rng.Uint32N(10)
		}
		b = binary.LittleEndian.AppendUint32(b, p.number)
	}
	p.underWay = uint64(p.number) - p.done
	_, err := p.edges.Write(b)
	return err
}

// kill kills the process, and finds out what it was done with.
func (p *killed) kill() {
	p.t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	_ = p.cmd.Wait() // killed
	if asked, _ := io.ReadAll(p.asks); len(asked) > 0 {
		p.done, p.underWay = p.done+p.underWay, 0
	}
	p.close()
}

func TestCounterLosesNothingToKills(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	expected, open := uint64(0), uint64(0) // open: of a read that was under way
	check := func(p *killed) {
		t.Helper()
		if p.started != expected && p.started != expected+open {
			t.Fatalf("the counter went on from %d, want %d, or %d with the read that was under way", p.started, expected, expected+open)
		}
	}
	recovered := 0
	for kill := range 20 {
		p := startKilled(t, dir, rng)
		check(p)
		for range rng.IntN(600) {
			if err := p.serve(); err != nil {
				t.Fatalf("kill %d: %v\n%s", kill, err, p.stderr.String())
			}
		}
		p.kill()
		expected, open = p.started+p.done, p.underWay
		if durableTotal(t, dir) < expected {
			recovered++
		}
	}
	if recovered < 5 {
		t.Errorf("got %d kills with something that was not durable: the test does not show much", recovered)
	}

	// A power cut takes the files in memory.
	if err := os.RemoveAll(filepath.Join(dir, "run")); err != nil {
		t.Fatal(err)
	}
	durable := durableTotal(t, dir)
	p := startKilled(t, dir, rng)
	if p.started != durable {
		t.Errorf("after a power cut the counter went on from %d, want the durable %d", p.started, durable)
	}
	for range 300 {
		if err := p.serve(); err != nil {
			t.Fatal(err)
		}
	}
	// A stop.
	if _, err := io.ReadFull(p.asks, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.edges.Write(binary.LittleEndian.AppendUint16(nil, batchStop)); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("the counter did not stop: %v\n%s", err, p.stderr.String())
	}
	if got, want := durableTotal(t, dir), durable+p.done+p.underWay; got != want {
		t.Errorf("after a stop the durable total is %d, want %d", got, want)
	}

	var all counts
	all.add(t, loggedEvents(t, dir))
	t.Logf("%d edges in %d events, %d lost by the kernel; %d kills with something that was not durable; the power cut cost %d", all.total, len(all.events), all.missed, recovered, expected-durable)
	if len(all.of(t, EventGap)) == 0 || all.total != durableTotal(t, dir) {
		t.Errorf("the events add up to %d, with %d gaps", all.total, len(all.of(t, EventGap)))
	}
}

func durableTotal(t *testing.T, dir string) uint64 {
	t.Helper()
	value, err := loadLine(filepath.Join(dir, "log"), CounterKey("water"))
	if errors.Is(err, os.ErrNotExist) || err == nil && value == nil {
		return 0
	}
	var s storedCount
	if err := errors.Join(err, json.Unmarshal(value, &s)); err != nil {
		t.Fatal(err)
	}
	return s.Total
}

func loggedEvents(t *testing.T, dir string) (events []gateway.Event) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(wholeLines(b)) {
		var batch fileBatch
		if err := json.Unmarshal(line, &batch); err != nil {
			t.Fatal(err)
		}
		for _, raw := range batch.Events {
			var e struct {
				Type string
				Data json.RawMessage
			}
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			events = append(events, gateway.Event{Type: e.Type, Data: e.Data})
		}
	}
	return events
}
