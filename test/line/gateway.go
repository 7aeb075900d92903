package line

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gateway/test/rig"
)

// Gateway is a gateway with one forwarder, "up", whose delivery is what a test is about. Its configuration and log are
// <Dir>/<Name>.yaml and .log. What is zero is left to the gateway's defaults.
type Gateway struct {
	Program   string // the binary
	Dir, Name string
	Data      string // the data directory; "" for <Dir>/<Name>
	Addr      string // where it listens; "" lets Start choose a free one
	Upstream  string // host:port of the broker

	CatchUp        string // in_order or live_first
	Window         int
	AckTimeout     time.Duration
	BytesPerSecond string // of the budget, such as 100kB
	Raw            bool   // payloads alone, not CloudEvents
}

// Retries are quick, so that a test does not wait for a pause that a real line would need.
const retries = "{min: 10ms, max: 200ms}"

func (g *Gateway) config() string {
	var b strings.Builder
	data, format := g.Data, "cloudevents"
	if data == "" {
		data = filepath.Join(g.Dir, g.Name)
	}
	if g.Raw {
		format = "raw"
	}
	fmt.Fprintf(&b, "id: line\ndata_dir: %q\nmqtt:\n  listen: %q\nbuffer:\n  max_size: 16GB\n", data, g.Addr)
	fmt.Fprintf(&b, "forwarders:\n  - name: up\n    retry: %s\n", retries)
	if g.CatchUp != "" {
		fmt.Fprintf(&b, "    catch_up: %s\n", g.CatchUp)
	}
	if g.BytesPerSecond != "" {
		fmt.Fprintf(&b, "    budget:\n      bytes_per_second: %s\n", g.BytesPerSecond)
	}
	fmt.Fprintf(&b, "    sink:\n      type: mqtt\n      url: tcp://%s\n      format: %s\n", g.Upstream, format)
	if g.Window > 0 {
		fmt.Fprintf(&b, "      window: %d\n", g.Window)
	}
	if g.AckTimeout > 0 {
		fmt.Fprintf(&b, "      ack_timeout: %s\n", g.AckTimeout)
	}
	return b.String()
}

// startWithin is how long the gateway may take to listen.
const startWithin = 20 * time.Second

// Start starts the gateway and waits until it listens.
func (g *Gateway) Start(ctx context.Context) (*rig.Broker, error) {
	if g.Addr == "" {
		addr, err := rig.FreeAddr()
		if err != nil {
			return nil, err
		}
		g.Addr = addr
	}
	file := filepath.Join(g.Dir, g.Name+".yaml")
	if err := os.WriteFile(file, []byte(g.config()), 0o600); err != nil {
		return nil, err
	}
	p, err := rig.Start(g.Dir, g.Name, g.Program, "run", "--config", file)
	if err != nil {
		return nil, err
	}
	if err := p.WaitUntil(ctx, startWithin, func() error { return rig.Accepts(g.Addr) }); err != nil {
		p.Kill()
		return nil, err
	}
	return &rig.Broker{Process: p, Addr: g.Addr}, nil
}
