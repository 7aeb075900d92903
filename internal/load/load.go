// Package load publishes to an MQTT broker as fast as the broker acknowledges, or at a fixed rate, and measures it.
// A client is one goroutine with one buffer: it writes what its window has room for in one call, and reads as many
// acknowledgements as have come in the next, so that the brokers are measured and not this program.
package load

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what to publish, and for how long.
type Config struct {
	// Addr is the broker's host:port.
	Addr string
	// Clients connect, each with Window publishes in flight.
	Clients, Window int
	// QoS is 1 or 2; the latency of QoS 2 is up to its PUBCOMP.
	QoS byte
	// Payload is the kind, Size its least length in bytes, Devices how many devices the JSON readings come from, Seed makes them repeatable.
	Payload       string
	Size, Devices int
	Seed          uint64
	// Prefix begins each client's topic and client id: "load" gives load/0003/reading and load-0003.
	Prefix string
	// FirstClient is the number of the first client, in payloads, topics and client ids.
	FirstClient int
	// Count ends the run after so many publishes; where it is 0, Warmup passes and then Duration is measured.
	Count            uint64
	Warmup, Duration time.Duration
	// Rate is the publishes a second of all clients together; 0 is as fast as the window allows.
	Rate float64
	// Patience bounds connecting, and the wait for any one acknowledgement.
	Patience time.Duration
	// User and Password go into CONNECT where User is set.
	User, Password string
}

// Result is what a run measured. Acknowledged and Sent are of the whole run, all else is of the measured part.
type Result struct {
	Clients      int     `json:"clients"`
	Window       int     `json:"window"`
	QoS          byte    `json:"qos"`
	Sent         uint64  `json:"sent"`
	Acknowledged uint64  `json:"acknowledged"`
	PayloadBytes uint64  `json:"payload_bytes"` // of all that was sent
	Measured     uint64  `json:"measured"`
	Seconds      float64 `json:"seconds"`
	PerSecond    float64 `json:"per_second"`
	// Latencies from the write of a publish to the read of its acknowledgement, in microseconds.
	P50    float64 `json:"p50_us"`
	P90    float64 `json:"p90_us"`
	P99    float64 `json:"p99_us"`
	P999   float64 `json:"p999_us"`
	Max    float64 `json:"max_us"`
	CPU    float64 `json:"cpu_seconds"` // user and system time of this process, whole run
	FirstN int64   `json:"first_publish_unix_ns"`
	LastN  int64   `json:"last_ack_unix_ns"`
}

func (c *Config) validate() error {
	switch {
	case c.Clients < 1 || c.FirstClient < 0 || c.FirstClient+c.Clients > 10_000:
		return fmt.Errorf("clients are %d from number %d, want at least 1, and numbers of 0 to 9999", c.Clients, c.FirstClient)
	case c.Window < 1 || c.Window > 65535:
		return fmt.Errorf("window is %d, want 1 to 65535", c.Window)
	case c.QoS != 1 && c.QoS != 2:
		return fmt.Errorf("qos is %d, want 1 or 2", c.QoS)
	case c.Payload != JSON && c.Payload != Random && c.Payload != Fixed:
		return fmt.Errorf("payload is %q, want %s, %s or %s", c.Payload, JSON, Random, Fixed)
	case c.Count == 0 && c.Duration <= 0:
		return errors.New("neither a count nor a duration is given")
	case c.Patience <= 0:
		return errors.New("patience must be more than 0")
	}
	return nil
}

// Run publishes as cfg says and returns what was measured. It fails when a client cannot connect, loses its
// connection or waits longer than Patience for an acknowledgement; the result then tells how far it came.
func Run(ctx context.Context, cfg Config) (Result, error) {
	if err := cfg.validate(); err != nil {
		return Result{}, err
	}
	clients := make([]*client, cfg.Clients)
	defer func() {
		for _, c := range clients {
			if c != nil {
				c.conn.Close()
			}
		}
	}()
	for i := range clients {
		c, err := dial(&cfg, i)
		if err != nil {
			return Result{}, err
		}
		clients[i] = c
	}
	before := cpuTime()
	start := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range clients {
		group.Go(func() error { return c.run(ctx, start) })
	}
	err := group.Wait()
	return summary(&cfg, clients, start, cpuTime()-before), err
}

func summary(cfg *Config, clients []*client, start time.Time, cpu time.Duration) Result {
	r := Result{Clients: cfg.Clients, Window: cfg.Window, QoS: cfg.QoS, CPU: cpu.Seconds(), FirstN: start.UnixNano()}
	var all histogram
	last := start
	for _, c := range clients {
		r.Sent += c.seq
		r.Acknowledged += c.acked
		r.PayloadBytes += c.payloadBytes
		all.merge(&c.latency)
		if c.lastAck.After(last) {
			last = c.lastAck
		}
	}
	r.LastN, r.Measured = last.UnixNano(), all.total
	r.Seconds = last.Sub(start).Seconds()
	if cfg.Count == 0 {
		r.Seconds = cfg.Duration.Seconds()
	}
	if r.Seconds > 0 {
		r.PerSecond = float64(r.Measured) / r.Seconds
	}
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }
	r.P50, r.P90, r.P99 = us(all.quantile(0.5)), us(all.quantile(0.9)), us(all.quantile(0.99))
	r.P999, r.Max = us(all.quantile(0.999)), us(all.max)
	return r
}

// cpuTime is the user and system time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
