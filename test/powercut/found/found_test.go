package found

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gateway"
	"gateway/buffer"
)

func TestRangesAreASet(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(5, 6))
	var r Ranges
	set := map[uint64]bool{}
	for range 2000 {
		seq := rng.Uint64N(300)
		if got := r.Add(seq); got == set[seq] {
			t.Fatalf("add %d: got new %v, want %v", seq, got, !set[seq])
		}
		set[seq] = true
		for i := 1; i < len(r); i++ {
			if r[i-1][1]+1 >= r[i][0] {
				t.Fatalf("after %d the ranges touch: %v", seq, r)
			}
		}
	}
	for seq := range uint64(310) {
		if r.Has(seq) != set[seq] {
			t.Errorf("has %d: got %v, want %v", seq, r.Has(seq), set[seq])
		}
	}
}

// publish is an event as the broker makes it.
func publish(client int, data []byte) gateway.Event {
	return gateway.Event{Source: "powercut", Type: "mqtt.publish", Subject: fmt.Sprintf("%s%d", TopicPrefix, client), Data: data}
}

func TestTheGatewaysLogIsReadToItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, err := buffer.Open(buffer.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	events := []gateway.Event{publish(1, Payload(1, 0)), publish(2, Payload(2, 7)), publish(1, Payload(1, 1)), publish(1, Payload(1, 3)),
		publish(1, Payload(1, 3)), publish(1, Payload(1, 2)), publish(1, append(Payload(1, 4), ' ')), publish(3, []byte("hello"))}
	if _, err := l.Append(context.Background(), events...); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f := InGateway(context.Background(), dir)
	if f.Error != "" || f.Events != 8 || f.Last != 8 || f.Twice != 1 || f.Disordered != 1 || f.Altered != 1 || f.Foreign != 1 || f.Faults() != 4 {
		t.Errorf("got %+v, want 8 events with a fault of each kind", f)
	}
	if got, want := fmt.Sprint(*f.Clients[1], *f.Clients[2]), "[[0 3]] [[7 7]]"; got != want {
		t.Errorf("sequences: got %s, want %s", got, want)
	}
}

func TestALogThatDoesNotOpenIsAnError(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f := InGateway(context.Background(), name); f.Error == "" {
		t.Error("got no error of a log in a file")
	}
}

func TestTheControlsFileIsReadUpToItsTornEnd(t *testing.T) {
	t.Parallel()
	var b []byte
	for seq := range uint64(3) {
		b = AppendRecord(b, Payload(0, seq))
	}
	name := filepath.Join(t.TempDir(), "control")
	for cut, want := range map[int]string{len(b): "[[0 2]]", len(b) - 1: "[[0 1]]"} {
		if err := os.WriteFile(name, b[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		f := InAppendFile(name)
		if got := fmt.Sprint(*f.Clients[0]); f.Error != "" || got != want {
			t.Errorf("of %d bytes: got %s, error %q, want %s", cut, got, f.Error, want)
		}
	}
	if f := InAppendFile(name + "-none"); f.Error != "" || f.Events != 0 {
		t.Errorf("without a file: got %+v, want nothing", f)
	}
}

func TestTheConsoleCarriesIt(t *testing.T) {
	t.Parallel()
	f := Found{Events: 3, First: 1, Last: 3, Clients: map[int]*Ranges{2: {{0, 1}, {5, 5}}}, Notes: []string{"x"}}
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	line := "[ 1.0] noise\n" + Prefix + string(text)
	if _, ok, err := OnConsole(line); ok || err != nil {
		t.Errorf("before the end of the line: got %v, %v, want nothing", ok, err)
	}
	got, ok, err := OnConsole(line + "\r\nmore\n")
	if err != nil || !ok || got.Events != 3 || fmt.Sprint(*got.Clients[2]) != "[[0 1] [5 5]]" {
		t.Errorf("got %+v, %v, %v", got, ok, err)
	}
	if _, ok, err := OnConsole(Prefix + "{\n"); !ok || err == nil || !strings.Contains(err.Error(), "report") {
		t.Errorf("a broken line: got %v, %v, want an error", ok, err)
	}
}
