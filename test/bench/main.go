// Command bench runs this gateway and what it is compared with in turn, with one load program in a process of its own,
// and prints medians, ratios and whether each target is met as a Markdown document. It exits with 0 also where a target
// is missed, because a benchmark that depends on the machine is for reading, and with 1 where a row could not be measured.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gateway/test/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is what the rows share. It belongs to one goroutine.
type bench struct {
	rounds   int
	duration time.Duration // measured, in each round
	warmup   time.Duration
	scale    int // divides the numbers of events

	dir     string // of everything that is started
	gateway string // binaries
	load    string
	nats    string // "" where it was not built

	wearTime  time.Duration // of each cell of the wear row
	flashFile string        // a document whose tables the wear row replaces; "" for none
	noDisk    sync.Once     // says why the cells of the wear row have no disks
	sections  []string      // of the document, behind the details

	backlog uint64 // how many events wait in the row delivery

	n       int    // of started processes, for their names
	waiting string // a data directory with the large backlog, left by the memory row for the start row
}

// row is one part of the table, by its name on the command line.
type row struct {
	name string
	run  func(context.Context, *bench) ([]line, error)
}

func rows() []row {
	return []row{
		{"10x50", func(ctx context.Context, b *bench) ([]line, error) { return b.against(ctx, 10, 50, 3, 60) }},
		{"100x20", func(ctx context.Context, b *bench) ([]line, error) { return b.against(ctx, 100, 20, 3, 0) }},
		{"1x50", func(ctx context.Context, b *bench) ([]line, error) { return b.against(ctx, 1, 50, 1, 0) }},
		{"1x1", func(ctx context.Context, b *bench) ([]line, error) { return b.latency(ctx) }},
		{"bridge", func(ctx context.Context, b *bench) ([]line, error) { return b.upstream(ctx) }},
		{"memory", func(ctx context.Context, b *bench) ([]line, error) { return b.memory(ctx) }},
		{"start", func(ctx context.Context, b *bench) ([]line, error) { return b.starts(ctx) }},
		{"flash", func(ctx context.Context, b *bench) ([]line, error) { return b.flash(ctx) }},
		{"wear", func(ctx context.Context, b *bench) ([]line, error) { return b.wearTables(ctx) }},
		{"delivery", func(ctx context.Context, b *bench) ([]line, error) { return b.delivery(ctx) }},
		{"devices", func(ctx context.Context, b *bench) ([]line, error) { return b.devices(ctx) }},
		{"size", func(ctx context.Context, b *bench) ([]line, error) { return b.size(ctx) }},
	}
}

func run(ctx context.Context, args []string) error {
	b := &bench{scale: 1}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&b.rounds, "rounds", 5, "rounds of each comparison")
	flags.DurationVar(&b.duration, "duration", 4*time.Second, "measured in each round")
	flags.DurationVar(&b.warmup, "warmup", time.Second, "before it")
	flags.StringVar(&b.gateway, "gateway", "", "the binary; built where it is not given")
	names := flags.String("rows", "", "only these, by name, with commas: "+strings.Join(rowNames(), ","))
	flags.DurationVar(&b.wearTime, "wear", 30*time.Second, "load of each cell of the row wear: 30s makes 22 minutes, 3s five")
	flags.StringVar(&b.flashFile, "flash", "", "replace the tables of the row wear in this `file`")
	flags.Uint64Var(&b.backlog, "waiting", 1_000_000, "how many events wait in the row delivery")
	out := flags.String("out", "", "also write the document to this `file`")
	dir := flags.String("dir", "", "`folder` for data, on the filesystem to measure; bin/ of the checkout where it is not given")
	quick := flags.Bool("quick", false, "one short round and few events: shows that it runs, and nothing else")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *quick {
		b.rounds, b.duration, b.warmup, b.scale, b.wearTime = 1, 700*time.Millisecond, 300*time.Millisecond, 100, time.Second
	}
	selected, err := selectRows(*names)
	if err != nil {
		return err
	}
	if b.flashFile != "" {
		if err := rig.HasSection(b.flashFile, sectionName); err != nil {
			return err
		}
	}
	if err := b.prepare(ctx, *dir, slices.ContainsFunc(selected, func(r row) bool { return r.name == "10x50" || r.name == "wear" })); err != nil {
		return err
	}
	defer b.remove()
	doc, failed := b.document(ctx, selected, *quick)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	fmt.Print("\n" + doc)
	if *out != "" {
		if err := os.WriteFile(*out, []byte(doc), 0o644); err != nil {
			return err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d lines could not be measured; the details say why", failed)
	}
	return nil
}

func rowNames() (names []string) {
	for _, r := range rows() {
		names = append(names, r.name)
	}
	return names
}

func selectRows(names string) ([]row, error) {
	all := rows()
	if names == "" {
		return all, nil
	}
	var selected []row
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(r row) bool { return r.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no row %q; there are %s", name, strings.Join(rowNames(), ", "))
		}
		selected = append(selected, all[i])
	}
	return selected, nil
}

// prepare builds what is to run. A peer that cannot be had is named, and its rows say so.
func (b *bench) prepare(ctx context.Context, dir string, withNATS bool) error {
	top, err := rig.Top()
	if err != nil {
		return err
	}
	if dir == "" {
		dir = filepath.Join(top, "bin")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp(dir, "bench-"); err != nil {
		return err
	}
	if b.dir, err = filepath.Abs(b.dir); err != nil {
		return err
	}
	if b.gateway == "" {
		b.gateway = filepath.Join(b.dir, "gateway-under-test")
		if err := rig.Build(ctx, b.gateway, "./cmd/gateway"); err != nil {
			return err
		}
	}
	if b.gateway, err = filepath.Abs(b.gateway); err != nil {
		return err
	}
	b.load = filepath.Join(b.dir, "load-program")
	if err := rig.Build(ctx, b.load, "./internal/load/cmd"); err != nil {
		return err
	}
	if !withNATS {
		return nil
	}
	b.nats = filepath.Join(top, "bin", "tools", "nats-server")
	if err := rig.BuildTool(ctx, b.nats, "github.com/nats-io/nats-server/v2"); err != nil {
		fmt.Fprintln(os.Stderr, "skipping NATS, which could not be built:", err)
		b.nats = ""
	}
	return nil
}

// remove deletes everything that was made on the disk.
func (b *bench) remove() {
	if err := os.RemoveAll(b.dir); err != nil {
		b.say("left behind: %v", err)
	}
}

// name returns a name that no process of this run has.
func (b *bench) name(kind string) string {
	b.n++
	return fmt.Sprintf("%s-%d", kind, b.n)
}

// say tells the person who waits what goes on; the document is printed at the end.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
