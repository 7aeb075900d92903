// Command load publishes to an MQTT broker and prints what it measured as one line of JSON. With -idle it only holds
// connections open; with -subscribe it counts what arrives instead.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"gateway/internal/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	cfg := load.Config{QoS: 1}
	flags := flag.NewFlagSet("load", flag.ContinueOnError)
	flags.StringVar(&cfg.Addr, "addr", "127.0.0.1:1883", "broker's `host:port`")
	flags.IntVar(&cfg.Clients, "clients", 10, "connections")
	flags.IntVar(&cfg.Window, "window", 50, "publishes in flight on each connection")
	qos := flags.Int("qos", 1, "1 or 2")
	flags.StringVar(&cfg.Payload, "payload", load.JSON, "json, random or fixed")
	flags.IntVar(&cfg.Size, "size", 128, "least `bytes` of a payload")
	flags.IntVar(&cfg.Devices, "devices", 20, "devices that the JSON readings come from")
	flags.Uint64Var(&cfg.Seed, "seed", 1, "of the payloads")
	flags.StringVar(&cfg.Prefix, "prefix", "load", "of topics and client ids")
	flags.IntVar(&cfg.FirstClient, "first-client", 0, "number of the first client")
	flags.Uint64Var(&cfg.Count, "count", 0, "publishes to send; 0: use -warmup and -duration")
	flags.DurationVar(&cfg.Warmup, "warmup", time.Second, "not measured")
	flags.DurationVar(&cfg.Duration, "duration", 3*time.Second, "measured")
	flags.Float64Var(&cfg.Rate, "rate", 0, "publishes a second of all clients; 0: as fast as acknowledged")
	flags.DurationVar(&cfg.Patience, "patience", 30*time.Second, "longest wait for one acknowledgement")
	flags.StringVar(&cfg.User, "user", "", "user name")
	flags.StringVar(&cfg.Password, "password", "", "password")
	idle := flags.Int("idle", 0, "only hold so many connections until interrupted")
	subscribe := flags.String("subscribe", "", "count what arrives for this `filter`, until -count or interrupted")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg.QoS = byte(*qos)
	if *idle > 0 {
		return holdIdle(ctx, cfg, *idle)
	}
	if *subscribe != "" {
		return count(ctx, cfg, *subscribe)
	}
	result, err := load.Run(ctx, cfg)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func holdIdle(ctx context.Context, cfg load.Config, n int) error {
	closeAll, err := load.Idle(cfg.Addr, cfg.Prefix+"-idle", n, cfg.Patience)
	if err != nil {
		return err
	}
	defer closeAll()
	fmt.Println("holding", n, "connections")
	<-ctx.Done()
	return nil
}

// count prints the arrivals once a second, and at the end.
func count(ctx context.Context, cfg load.Config, filter string) error {
	counter, err := load.Subscribe(cfg.Addr, cfg.Prefix+"-count", filter, cfg.Patience)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- counter.Run(ctx) }()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			fmt.Printf(`{"received":%d,"distinct":%d}`+"\n", counter.Received(), counter.Distinct())
			return err
		case <-tick.C:
			fmt.Printf(`{"received":%d,"distinct":%d}`+"\n", counter.Received(), counter.Distinct())
			if cfg.Count > 0 && counter.Distinct() >= cfg.Count {
				cancel()
			}
		}
	}
}
