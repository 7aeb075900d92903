package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// noRaceDelay takes away the second that the race detector waits at the end of a process.
const noRaceDelay = "atexit_sleep_ms=0"

// asGateway makes this test binary the gateway.
const asGateway = "GATEWAY_TEST_AS_GATEWAY"

func TestMain(m *testing.M) {
	if os.Getenv(asGateway) == "1" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"gateway": main})
}

// TestVerbs runs the scripts in testdata/verbs, in which gateway is a real process.
func TestVerbs(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/verbs",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"waitfile": waitFile,
			"takeport": takePort,
			"exitcode": exitCode,
			"until":    untilOutput,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", noRaceDelay)
			return nil
		},
		Condition: func(cond string) (bool, error) { return cond == "root" && os.Geteuid() == 0, nil },
	})
}

// exitCode runs a command and wants it to end with an exit code: exitcode 2 gateway run --nonsense.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode CODE COMMAND [ARGUMENT]...")
	}
	got := 0
	var failed *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("%s: got exit code %d, want %s", strings.Join(args[1:], " "), got, want)
	}
}

// untilOutput runs a command again and again until what it prints matches: until 'pattern' gateway status.
func untilOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until PATTERN COMMAND [ARGUMENT]...")
	}
	pattern := regexp.MustCompile("(?m)" + args[0])
	ok := until(func() bool {
		_ = ts.Exec(args[1], args[2:]...) // one that fails has printed nothing that matches
		return pattern.MatchString(ts.ReadFile("stdout"))
	})
	if !ok {
		ts.Fatalf("%s never printed what matches %q", strings.Join(args[1:], " "), args[0])
	}
}

// waitFile waits until a file exists.
func waitFile(ts *testscript.TestScript, _ bool, args []string) {
	if !until(func() bool { _, err := os.Stat(ts.MkAbs(args[0])); return err == nil }) {
		ts.Fatalf("%s did not appear", args[0])
	}
}

// takePort listens on a free port until the script ends, and puts the address into a variable.
func takePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv(args[0], l.Addr().String())
}

// until asks ok again and again until it is true, for half a minute at most.
func until(ok func() bool) bool {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ok() {
			return true
		}
	}
	return false
}

// process is a running gateway.
type process struct {
	t    *testing.T
	cmd  *exec.Cmd
	dir  string
	done chan struct{} // closed when it has ended
	mu   sync.Mutex    // guards err
	err  bytes.Buffer
}

// startGateway starts `gateway run` in a folder of its own, with the configuration and further environment given.
func startGateway(t *testing.T, config string, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, dir: t.TempDir(), done: make(chan struct{})}
	file := filepath.Join(p.dir, "gateway.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(self, "run", "--config", file, "--ready-file", filepath.Join(p.dir, "ready"))
	p.cmd.Dir, p.cmd.Stderr = p.dir, p
	p.cmd.Env = append(append(os.Environ(), asGateway+"=1", "GORACE="+noRaceDelay), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait() // the tests look at ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill() // fails where it has ended already
		<-p.done
		if t.Failed() {
			t.Logf("the gateway wrote:\n%s", p.output())
		}
	})
	return p
}

// Write takes what the process writes to standard error.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.Write(b)
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.String()
}

// addresses waits until the gateway is ready.
func (p *process) addresses() []string {
	p.t.Helper()
	var data []byte
	if !until(func() (ok bool) {
		var err error
		data, err = os.ReadFile(filepath.Join(p.dir, "ready"))
		return err == nil
	}) {
		p.t.Fatal("the gateway did not get ready")
	}
	return strings.Fields(string(data))
}

func (p *process) waitFor(text string) {
	p.t.Helper()
	if !until(func() bool { return strings.Contains(p.output(), text) }) {
		p.t.Fatalf("the gateway did not write %q", text)
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// wait waits for the end and returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		p.t.Fatal("the gateway did not end")
		return -1
	}
}
