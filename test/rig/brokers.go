package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience is how long a process may take to listen.
const patience = 20 * time.Second

// Broker is a running MQTT broker, of whatever make.
type Broker struct {
	*Process
	Addr string // of MQTT, host:port
}

// FindMosquitto returns the path of the Mosquitto broker.
func FindMosquitto() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no mosquitto is installed: apt-get install mosquitto (%w)", exec.ErrNotFound)
}

// MosquittoVersion is what the broker says about itself, such as "2.0.11".
func MosquittoVersion(program string) string {
	out, _ := exec.Command(program, "-h").Output() // exits with 1
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(line, "mosquitto version ")
}

// StartMosquitto starts a Mosquitto that keeps everything in memory and has no bound on its queues. addr "" is a free
// one; extra are further lines of its configuration.
func StartMosquitto(ctx context.Context, dir, name, addr string, extra ...string) (*Broker, error) {
	program, err := FindMosquitto()
	if err != nil {
		return nil, err
	}
	if addr == "" {
		if addr, err = FreeAddr(); err != nil {
			return nil, err
		}
	}
	port := addr[strings.LastIndexByte(addr, ':')+1:]
	lines := append([]string{
		"listener " + port + " 127.0.0.1", "persistence false", "max_queued_messages 0", "max_inflight_messages 1000", "log_type error", "log_type warning",
		"log_dest stderr", "user root",
	}, extra...)
	if !strings.Contains(strings.Join(extra, "\n"), "allow_anonymous") {
		lines = append(lines, "allow_anonymous true")
	}
	conf := filepath.Join(dir, name+".conf")
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
		return nil, err
	}
	return startBroker(ctx, addr, dir, name, program, "-c", conf)
}

// StartNATS starts a NATS server with MQTT and a JetStream that syncs every write, in <dir>/<name>.
func StartNATS(ctx context.Context, program, dir, name string) (*Broker, error) {
	return StartNATSWith(ctx, program, dir, name, "always")
}

// StartNATSWith is StartNATS with a sync_interval, such as "2m".
func StartNATSWith(ctx context.Context, program, dir, name, syncInterval string) (*Broker, error) {
	addr, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, name+".conf")
	text := fmt.Sprintf("server_name: %s\nlisten: \"127.0.0.1:-1\"\njetstream { store_dir: %q, sync_interval: %s }\nmqtt { listen: %q }\n",
		name, filepath.Join(dir, name), syncInterval, addr)
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return startBroker(ctx, addr, dir, name, program, "-c", conf)
}

func startBroker(ctx context.Context, addr, dir, name, program string, args ...string) (*Broker, error) {
	p, err := Start(dir, name, program, args...)
	if err != nil {
		return nil, err
	}
	if err := p.WaitUntil(ctx, patience, func() error { return Accepts(addr) }); err != nil {
		p.Kill()
		return nil, err
	}
	return &Broker{Process: p, Addr: addr}, nil
}
