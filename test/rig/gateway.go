package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Gateway says how to run this gateway. Its configuration and log are <Dir>/<Name>.yaml and .log, its data <Dir>/<Name>.
type Gateway struct {
	// Program is the binary, Args what stands before "run", for a binary that an emulator runs.
	Program   string
	Wrapper   []string
	Dir, Name string
	// Addr is where it listens; "" lets StartGateway choose a free one.
	Addr string
	// Upstream is the host:port of the MQTT broker that it forwards to; "" for none.
	Upstream string
	// Raw forwards payloads alone instead of structured CloudEvents.
	Raw bool
	// Window is how many events are in flight upstream, 0 for the default; Prefix is put before the topics.
	Window int
	Prefix string
	// MaxSize bounds the log, such as "4GB"; "" is the default. MaxClients 0 is the default.
	MaxSize    string
	MaxClients int
	// CommitInterval is buffer.commit_interval.
	CommitInterval time.Duration
	// DataDir is where the log is, "" for <Dir>/<Name>.
	DataDir string
	// RetryMax bounds the pause between attempts; 0 for half a second, so that a program does not wait for a minute.
	RetryMax time.Duration
	// AckTimeout is how long the upstream may take to acknowledge; 0 for the default.
	AckTimeout time.Duration
	// Delivery, if not "", is the text of the sections forwarders and sources, instead of what Upstream says.
	Delivery string
	// Username goes to the upstream, with a password of the same text.
	Username string
}

// Data is the data directory.
func (g *Gateway) Data() string {
	if g.DataDir != "" {
		return g.DataDir
	}
	return filepath.Join(g.Dir, g.Name)
}

// config is the text of the configuration file.
func (g *Gateway) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "id: %s\ndata_dir: %q\nlog:\n  level: info\nmqtt:\n  listen: %q\n", g.Name, g.Data(), g.Addr)
	if g.MaxClients > 0 {
		fmt.Fprintf(&b, "  max_clients: %d\n", g.MaxClients)
	}
	if g.MaxSize != "" || g.CommitInterval > 0 {
		fmt.Fprintf(&b, "buffer:\n  commit_interval: %s\n", g.CommitInterval)
	}
	if g.MaxSize != "" {
		fmt.Fprintf(&b, "  max_size: %s\n", g.MaxSize)
	}
	if g.Upstream == "" || g.Delivery != "" {
		return b.String() + g.Delivery
	}
	format, retry := "cloudevents", g.RetryMax
	if g.Raw {
		format = "raw"
	}
	if retry == 0 {
		retry = 500 * time.Millisecond
	}
	fmt.Fprintf(&b, "forwarders:\n  - name: up\n    retry: {min: 50ms, max: %s}\n    sink:\n      type: mqtt\n      url: tcp://%s\n      format: %s\n", retry, g.Upstream, format)
	if g.Window > 0 {
		fmt.Fprintf(&b, "      window: %d\n", g.Window)
	}
	if g.AckTimeout > 0 {
		fmt.Fprintf(&b, "      ack_timeout: %s\n", g.AckTimeout)
	}
	if g.Prefix != "" {
		fmt.Fprintf(&b, "      topic_prefix: %q\n", g.Prefix)
	}
	if g.Username != "" {
		fmt.Fprintf(&b, "      username: %s\n      password: %s\n", g.Username, g.Username)
	}
	return b.String()
}

// Launch writes the configuration and starts the gateway without waiting for it.
func (g *Gateway) Launch() (*Broker, error) {
	if g.Addr == "" {
		addr, err := FreeAddr()
		if err != nil {
			return nil, err
		}
		g.Addr = addr
	}
	conf := filepath.Join(g.Dir, g.Name+".yaml")
	if err := os.WriteFile(conf, []byte(g.config()), 0o600); err != nil {
		return nil, err
	}
	args := append(append([]string{}, g.Wrapper...), g.Program, "run", "--config", conf)
	p, err := Start(g.Dir, g.Name, args[0], args[1:]...)
	if err != nil {
		return nil, err
	}
	return &Broker{Process: p, Addr: g.Addr}, nil
}

// Start starts the gateway and waits until it listens.
func (g *Gateway) Start(ctx context.Context) (*Broker, error) {
	b, err := g.Launch()
	if err != nil {
		return nil, err
	}
	if err := b.WaitUntil(ctx, patience, func() error { return Accepts(b.Addr) }); err != nil {
		b.Kill()
		return nil, err
	}
	return b, nil
}
