// Command soak keeps the log under full load for ten minutes: with a consumer that keeps up, one that lags and one that is
// stopped, it samples the disk, the memory and the time of Append, and prints a verdict on each. A second, shorter phase
// does so with a log that refuses instead of dropping. It exits with 1 where a verdict is missed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"gateway/buffer"
	"gateway/test/rig"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

var errMissed = errors.New("a verdict was missed")

// plan is what the command line says.
type plan struct {
	length  time.Duration
	maxSize int64
	seed    uint64
	dir     string
	svg     string // file of the plot; "" for none
	doc     string // file whose table is replaced; "" for none
	log     *slog.Logger
}

func run(ctx context.Context, args []string) error {
	var p plan
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.DurationVar(&p.length, "for", 10*time.Minute, "`time` under load, at least 10s; draining and the phase that refuses come on top")
	flags.Int64Var(&p.maxSize, "max-size", 0, "of the log that drops, in `bytes`; 0: 128 MiB, or the smallest where the load is shorter than five minutes and would not fill that")
	flags.Uint64Var(&p.seed, "seed", 1, "of the payloads")
	dir := flags.String("dir", "", "`folder` for the log, on a real disk; bin/ of the checkout where it is not given")
	flags.StringVar(&p.svg, "plot", "", "write the plot to this `file`")
	flags.StringVar(&p.doc, "doc", "", "replace the table in this `file`")
	verbose := flags.Bool("v", false, "print what the log logs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.length < 10*time.Second {
		return errors.New("-for must be at least 10s: there is a first and a last part to compare")
	}
	if p.maxSize == 0 {
		p.maxSize = 128 << 20
		if p.length < 5*time.Minute {
			p.maxSize = buffer.MinMaxSize
		}
	}
	if p.doc != "" {
		if err := rig.HasSection(p.doc, "make soak"); err != nil {
			return err
		}
	}
	p.log = slog.New(slog.DiscardHandler)
	if *verbose {
		p.log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	made, err := makeDir(*dir)
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(made) }() // what is left is named by its folder
	p.dir = made
	return p.phases(ctx)
}

// phases runs both and prints the table.
func (p *plan) phases(ctx context.Context) error {
	begun := time.Now()
	dropping, err := p.soak(ctx)
	if err != nil {
		return err
	}
	if p.svg != "" {
		if err := os.WriteFile(p.svg, dropping.figure().SVG(), 0o644); err != nil {
			return err
		}
	}
	refusing, err := p.refuse(ctx)
	if err != nil {
		return err
	}
	text, ok := report(append(dropping.summary(), refusing.summary()...), append(dropping.verdicts(), refusing.verdicts()...))
	fmt.Print(text)
	if p.doc != "" {
		head := fmt.Sprintf("A run of %s under load, on %s, %d cores:\n\n", p.length, begun.UTC().Format("2006-01-02"), runtime.NumCPU())
		if err := rig.ReplaceSection(p.doc, "make soak", head+text); err != nil {
			return err
		}
	}
	if !ok {
		return errMissed
	}
	return nil
}

func makeDir(dir string) (string, error) {
	if dir == "" {
		top, err := rig.Top()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(top, "bin")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return os.MkdirTemp(dir, "soak-")
}

// verdict is one line of the table.
type verdict struct {
	what, got, want string
	ok              bool
}

// report is the facts and the table as Markdown, and whether all verdicts are met.
func report(facts []string, verdicts []verdict) (string, bool) {
	var out strings.Builder
	for _, f := range facts {
		fmt.Fprintln(&out, "-", f)
	}
	fmt.Fprint(&out, "\n| | measured | wanted | |\n|---|---|---|---|\n")
	ok := true
	for _, v := range verdicts {
		word := "met"
		if !v.ok {
			word, ok = "**missed**", false
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", v.what, v.got, v.want, word)
	}
	return out.String(), ok
}
