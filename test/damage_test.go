package test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	vocabulary "gateway"
	"gateway/buffer"
	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// TestCorruptBufferDoesNotStopTheGateway damages the files of a killed gateway with a backlog: it starts, delivers what is right, and a
// gateway.gap event for the rest, and its log says what is gone. Others stop until a person deletes the buffer.
func TestCorruptBufferDoesNotStopTheGateway(t *testing.T) {
	needMosquitto(t)
	t.Parallel()
	upstreamAddr, err := rig.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	g := gateway(t)
	g.Upstream = upstreamAddr // nobody listens there yet
	b := start(t, &g)
	const count = 5000
	if r := publish(t, b.Addr, count); r.Acknowledged != count {
		t.Fatalf("acknowledged %d of %d", r.Acknowledged, count)
	}
	b.Kill()
	engine := filepath.Join(g.Data(), "badger")
	if err := os.Remove(filepath.Join(engine, "MANIFEST")); err != nil {
		t.Fatal(err)
	}
	zeroPages(t, filepath.Join(engine, "00001.mem"), 3)
	upstream, err := rig.StartMosquitto(t.Context(), t.TempDir(), "upstream", upstreamAddr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(upstream.Kill)
	a := collect(t, upstream.Addr)
	b = start(t, &g)
	if !rig.Poll(t.Context(), time.Minute, func() bool { events, gone := a.counts(); return events+gone >= count }) {
		events, gone := a.counts()
		t.Fatalf("%d events arrived, and gaps of %d, of %d: %s", events, gone, count, b.Tail())
	}
	events, gone := a.counts()
	t.Logf("%d events arrived, and gaps for %d", events, gone)
	if events+gone != count || gone == 0 || gone > count/2 {
		t.Errorf("%d events arrived, and gaps of %d; want %d together, and some of each", events, gone, count)
	}
	said, err := os.ReadFile(b.Log)
	if err != nil {
		t.Fatal(err)
	}
	wantTexts(t, string(said), "MANIFEST", "the file is missing", "log repaired", "events of the log are gone", filepath.Join(g.Data(), "quarantine"))
	if r := publish(t, b.Addr, 100); r.Acknowledged != 100 {
		t.Errorf("acknowledged %d of 100 after the damage", r.Acknowledged)
	}
}

// TestNothingToServeIsRefusedWithOneCommand overwrites every file of the log: the gateway does not start, says why, and names the one
// command, after which it starts.
func TestNothingToServeIsRefusedWithOneCommand(t *testing.T) {
	t.Parallel()
	g := gateway(t)
	b := start(t, &g)
	if r := publish(t, b.Addr, 500); r.Acknowledged != 500 {
		t.Fatalf("acknowledged %d of 500", r.Acknowledged)
	}
	b.Kill()
	err := filepath.WalkDir(g.Data(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		return os.WriteFile(path, []byte("overwritten by somebody else"), 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	command := []string{"log", "repair", "--data-dir", g.Data()}
	for range 2 {
		b, err = g.Launch()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Kill)
		wantEnd(t, b, 1, "gateway log repair --data-dir "+g.Data())
	}
	if out, err := exec.CommandContext(t.Context(), program, "log", "repair", "--help").CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--data-dir")) {
		t.Logf("this gateway has no verb to repair yet: %s", out)
		if _, err := buffer.Repair(t.Context(), buffer.RepairOptions{Dir: g.Data()}); err != nil {
			t.Fatal(err)
		}
	} else if out, err := exec.CommandContext(t.Context(), program, command...).CombinedOutput(); err != nil {
		t.Fatalf("%q: %v: %s", command, err, out)
	}
	b = start(t, &g)
	if r := publish(t, b.Addr, 100); r.Acknowledged != 100 {
		t.Errorf("acknowledged %d of 100 after the repair", r.Acknowledged)
	}
}

// zeroPages overwrites pages in the part of a write-ahead log that has something.
func zeroPages(t *testing.T, name string, pages int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	used := len(b)
	for used > 0 && b[used-1] == 0 {
		used--
	}
	for i := range pages {
		at := used * (i + 1) / (pages + 1) &^ 4095
		clear(b[at : at+4096])
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// arrivals are what a subscriber of the upstream got, once each.
type arrivals struct {
	mu   sync.Mutex
	ids  map[string]bool
	gone uint64 // events that gaps stand for
}

// counts are the events that arrived, and those that are said to be gone.
func (a *arrivals) counts() (events, gone uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return uint64(len(a.ids)), a.gone
}

// collect subscribes to the upstream until the test ends.
func collect(t *testing.T, addr string) *arrivals {
	t.Helper()
	conn, _, err := wire.Dial(addr, wire.Options{ClientID: "collector"}, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	r := wire.NewReader(conn, 256<<10)
	if _, err := conn.Write(wire.AppendSubscribe(nil, 1, "#", 1)); err != nil {
		t.Fatal(err)
	}
	if first, _, err := r.Next(); err != nil || first != wire.Suback {
		t.Fatalf("packet 0x%02x, %v", first, err)
	}
	a := &arrivals{ids: map[string]bool{}}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			first, body, err := r.Next()
			if err != nil {
				if ctx.Err() == nil {
					t.Errorf("the subscriber: %v", err)
				}
				return
			}
			m, err := wire.ParsePublish(first, body)
			if err != nil {
				t.Error(err)
				return
			}
			a.take(t, m.Payload)
			if _, err := conn.Write(wire.AppendAck(nil, wire.Puback, m.ID)); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() { stop(); conn.Close(); <-done })
	return a
}

func (a *arrivals) take(t *testing.T, payload []byte) {
	e, err := vocabulary.ParseJSON(payload)
	if err != nil {
		t.Errorf("%.200q: %v", payload, err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.Type != vocabulary.TypeGap {
		a.ids[e.ID] = true
		return
	}
	var g vocabulary.Gap
	if err := json.Unmarshal(e.Data, &g); err != nil || g.Reason != vocabulary.LostDamage {
		t.Errorf("gap %q: %v", e.Data, err)
		return
	}
	a.gone += g.Count()
}
