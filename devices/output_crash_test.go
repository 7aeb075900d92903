package devices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gateway"
	"gateway/devices/gpiochip"
)

const (
	crashDir   = "OUTPUT_CRASH_DIR"
	crashSeed  = "OUTPUT_CRASH_SEED"
	crashTotal = 200 // commands
)

// crashWorld is what survives a process: the memory, the forwarder's cursor with the outcomes, the level of the wire, and a journal of all that happened.
type crashWorld struct {
	dir string
	rng *rand.Rand

	mu    sync.Mutex
	noted []byte
}

// settled is the forwarder's own state, written as one.
type settled struct {
	Cursor   int
	Outcomes map[int]string
}

func (c *crashWorld) path(name string) string { return filepath.Join(c.dir, name) }

// note appends a line to the journal.
func (c *crashWorld) note(format string, args ...any) {
	f, err := os.OpenFile(c.path("journal"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintf(f, format+"\n", args...)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		panic(err)
	}
}

func (c *crashWorld) write(name string, value []byte) {
	if err := errors.Join(os.WriteFile(c.path(name+".new"), value, 0o600), os.Rename(c.path(name+".new"), c.path(name))); err != nil {
		panic(err)
	}
}

// chance kills this process, sometimes.
func (c *crashWorld) chance(place string, odd float64) {
	c.mu.Lock()
	die := c.rng.Float64() < odd
	c.mu.Unlock()
	if die {
		c.note("killed %s", place)
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func (c *crashWorld) Get(string) ([]byte, error) {
	value, err := os.ReadFile(c.path("memory"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return value, err
}

func (c *crashWorld) Commit(_ context.Context, _ string, value []byte) error {
	c.chance("before the intent", 0.03)
	var j journal
	if err := json.Unmarshal(value, &j); err != nil {
		return err
	}
	c.mu.Lock()
	c.noted = nil
	c.write("memory", value)
	c.note("intent %d", j.Ring[len(j.Ring)-1].Offset)
	c.mu.Unlock()
	c.chance("between intent and act", 0.03)
	return nil
}

func (c *crashWorld) Note(_ string, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noted = slices.Clone(value); c.rng.IntN(3) == 0 {
		c.write("memory", c.noted)
	}
}

// settle is what the log does with the forwarder's cursor: what was noted before is durable with it.
func (c *crashWorld) settle(s settled) {
	c.chance("between act and settling", 0.2)
	value, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noted != nil {
		c.write("memory", c.noted)
	}
	c.write("settled", value)
}

func (c *crashWorld) Open(_, _ string, config gpiochip.Config) (line, error) {
	c.note("open %s", level(config.Value))
	return &crashLine{c}, nil
}

func (c *crashWorld) Adopt(*os.File, gpiochip.Config) (line, error) {
	return nil, errors.New("nothing is kept")
}

func (c *crashWorld) Now() time.Duration { return time.Duration(time.Now().UnixNano()) }

type crashLine struct{ c *crashWorld }

func (l *crashLine) Events(context.Context, []gpiochip.Event) (int, error) {
	return 0, gpiochip.ErrGone
}
func (l *crashLine) Level() (bool, error) { return false, nil }
func (l *crashLine) File() *os.File       { return nil }
func (l *crashLine) Close() error         { return nil }

func (l *crashLine) Set(on bool) error {
	l.c.note("set %s", level(on))
	l.c.chance("between act and note", 0.03)
	return nil
}

func crashCommand(n int) string {
	return []string{"on", "off", "toggle", "pulse 3ms", "blink 10ms 10ms 2"}[n%5]
}

// TestOutputCrashChild is the process that is killed: a forwarder that sends batches and settles them late. It does nothing when it is run by itself.
func TestOutputCrashChild(t *testing.T) {
	dir := os.Getenv(crashDir)
	if dir == "" {
		t.Skip("run by TestACrashNeverRepeatsACommand")
	}
	seed, err := strconv.ParseUint(os.Getenv(crashSeed), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	c := &crashWorld{dir: dir, rng: rand.New(rand.NewPCG(seed, 1))}
	s := settled{Outcomes: map[int]string{}}
	if value, err := os.ReadFile(c.path("settled")); err == nil {
		if err := json.Unmarshal(value, &s); err != nil {
			t.Fatal(err)
		}
	}
	c.note("start")
	all, err := NewOutputs([]Spec{outputSpec("pump", keeps)}, c, OutputOptions{Memory: c, Boot: "one"})
	if err != nil {
		t.Fatal(err)
	}
	sink, err := all.Sink("pump")
	if err != nil {
		t.Fatal(err)
	}
	for s.Cursor < crashTotal {
		n := min(1+rand.IntN(30), crashTotal-s.Cursor)
		batch := make([]gateway.Entry, n)
		for i := range batch {
			batch[i] = command(gateway.Offset(s.Cursor+i+1), crashCommand(s.Cursor+i+1))
		}
		err := sink.Send(t.Context(), batch)
		for i := range batch {
			result := "delivered"
			var parts *gateway.BatchError
			if errors.As(err, &parts) && parts.Errors[i] != nil {
				if result = "unknown"; !errors.Is(parts.Errors[i], gateway.ErrUnknown) {
					t.Fatal(parts.Errors[i])
				}
			} else if err != nil && parts == nil {
				t.Fatal(err)
			}
			s.Outcomes[s.Cursor+i+1] = result
		}
		s.Cursor += n
		if rand.IntN(3) > 0 || s.Cursor == crashTotal {
			c.settle(s)
		}
	}
	if err := all.Close(false); err != nil {
		t.Fatal(err)
	}
}

func TestACrashNeverRepeatsACommand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts many processes")
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	kills := 0
	for ; ; kills++ {
		if kills == 200 {
			t.Fatal("it never comes to an end")
		}
		done, err := crashOnce(t, dir, rng, kills)
		if err != nil {
			t.Fatal(err)
		}
		if done {
			break
		}
	}
	value, err := os.ReadFile(filepath.Join(dir, "settled"))
	if err != nil {
		t.Fatal(err)
	}
	var s settled
	if err := json.Unmarshal(value, &s); err != nil {
		t.Fatal(err)
	}
	journal, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	checkCrashes(t, s, strings.Fields(strings.ReplaceAll(string(journal), " ", "_")), kills)
}

// crashOnce runs the child until it is done, or killed: by itself at a place that matters, or from here at any time.
func crashOnce(t *testing.T, dir string, rng *rand.Rand, kills int) (done bool, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	child := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestOutputCrashChild$")
	child.Env = append(os.Environ(), crashDir+"="+dir, fmt.Sprintf("%s=%d", crashSeed, rng.Uint64()), "GORACE=atexit_sleep_ms=0")
	var out bytes.Buffer
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		return false, err
	}
	timer := time.AfterFunc(time.Duration(30+rng.IntN(150)+20*kills)*time.Millisecond, func() { _ = child.Process.Kill() })
	defer timer.Stop()
	err = child.Wait()
	var exit *exec.ExitError
	if err == nil {
		return true, nil
	}
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return false, nil
	}
	return false, fmt.Errorf("%w: %s", err, out.String())
}

// checkCrashes wants each command carried out once, or at most once if it was reported as unknown; in order; and the line safe after each that is unknown.
func checkCrashes(t *testing.T, s settled, journal []string, kills int) {
	intents, acts, places := map[int]int{}, map[int]int{}, map[string]int{}
	current, last, mustBeSafe := 0, 0, false
	for _, l := range journal {
		what, arg, _ := strings.Cut(l, "_")
		switch what {
		case "start":
			mustBeSafe = current != 0 && s.Outcomes[current] == "unknown"
			current = 0
		case "open":
			if mustBeSafe && arg != OutputOff {
				t.Errorf("the output was %s after a command that is unknown", arg)
			}
		case "intent":
			n, err := strconv.Atoi(arg)
			if err != nil || n <= last {
				t.Fatalf("got the intent %s after %d: out of order, or repeated", arg, last)
			}
			current, last = n, n
			intents[n]++
		case "set":
			if current != 0 && acts[current] == 0 {
				acts[current] = 1
			}
		case "killed":
			places[arg]++
		}
	}
	unknown := 0
	for n := 1; n <= crashTotal; n++ {
		switch result := s.Outcomes[n]; {
		case result == "delivered" && intents[n] == 1 && acts[n] == 1:
		case result == "unknown" && intents[n] <= 1: // 0: killed before the journal had it
			unknown++
		default:
			t.Errorf("command %d (%s): got %q with %d intents and %d acts", n, crashCommand(n), result, intents[n], acts[n])
		}
	}
	t.Logf("%d kills (%v): %d commands carried out once, %d reported as unknown", kills, places, crashTotal-unknown, unknown)
	if unknown == 0 || unknown > kills {
		t.Errorf("got %d unknown with %d kills, want some, and no more than kills", unknown, kills)
	}
}
