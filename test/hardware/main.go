// Command hardware proves the devices on a real kernel, without a Raspberry Pi: it boots Debian's kernel in a virtual machine with simulated pins
// (gpio-sim), I2C chips and 1-Wire probes, runs the gateway in it, and plays scenarios with edges, commands, faults and power cuts. It prints a verdict
// for each, and exits with 1 where one failed.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"gateway/test/vm"
)

// settings are the flags.
type settings struct {
	only, skip string
	dir        string
	seed       uint64
	edges      int
	kills      int
	list       bool
}

// tools names what the rig runs, by the Debian package that has it.
var tools = map[string][]string{
	"qemu-system-arm": {"qemu-system-aarch64", "qemu-system-arm"}, "qemu-user": {"qemu-arm"}, "mosquitto": {"mosquitto"}, "e2fsprogs": {"mkfs.ext4"},
	"kmod": {"depmod", "modprobe"}, "apt": {"apt-get", "apt-cache"}, "dpkg": {"dpkg", "dpkg-deb"}, "coreutils": {"cp"}, "tar": {"tar"}, "xz-utils": {"xz"},
	"make": {"make"}, "gcc-aarch64-linux-gnu": {"aarch64-linux-gnu-gcc"}, "gcc-arm-linux-gnueabihf": {"arm-linux-gnueabihf-gcc"},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	var s settings
	flags := flag.NewFlagSet("hardware", flag.ContinueOnError)
	flags.StringVar(&s.only, "only", "", "only these `scenarios`, with commas")
	flags.StringVar(&s.skip, "skip", "", "all but these `scenarios`, with commas")
	flags.StringVar(&s.dir, "dir", "", "`folder` for disks, consoles and logs, kept; otherwise a temporary one, kept only after a failure")
	flags.Uint64Var(&s.seed, "seed", uint64(time.Now().UnixNano()), "of what is random: moments of kills, values")
	flags.IntVar(&s.edges, "edges", 10_000, "edges at 100 Hz")
	flags.IntVar(&s.kills, "kills", 20, "kill -9 of a counting gateway")
	flags.BoolVar(&s.list, "list", false, "only say what scenarios there are")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if s.edges < 100 || s.kills < 1 {
		return errors.New("want 100 edges and one kill at least")
	}
	chosen, err := choose(scenarios(), s.only, s.skip)
	if err != nil {
		return err
	}
	if s.list {
		for _, sc := range chosen {
			fmt.Printf("%-10s %s\n", sc.name, sc.claim)
		}
		return nil
	}
	return s.prove(ctx, chosen)
}

// prove plays the scenarios one after the other and prints the table.
func (s *settings) prove(ctx context.Context, chosen []scenario) error {
	if err := vm.Need(tools); err != nil {
		return err
	}
	dir, err := s.folder()
	if err != nil {
		return err
	}
	l := &lab{settings: *s, dir: dir, began: time.Now(), roots: map[string]string{}, kernels: map[string]*kernel{}}
	l.say("seed %d, in %s", s.seed, dir)
	var verdicts []verdict
	for _, sc := range chosen {
		if ctx.Err() != nil {
			break
		}
		verdicts = append(verdicts, l.play(ctx, sc))
	}
	table, failed := tableOf(verdicts)
	fmt.Printf("\n%s", table)
	if failed > 0 || ctx.Err() != nil || len(verdicts) == 0 {
		return fmt.Errorf("hardware: NOT PASSED: %d of %d scenarios failed (seed %d; consoles and logs are in %s)", failed, len(chosen), s.seed, dir)
	}
	fmt.Printf("hardware: PASSED in %s\n", time.Since(l.began).Round(time.Second))
	if s.dir != "" {
		return nil
	}
	return os.RemoveAll(dir)
}

// folder is where everything goes. It is short, for the names of sockets have a bound.
func (s *settings) folder() (string, error) {
	if s.dir == "" {
		return os.MkdirTemp("", "gateway-hw-")
	}
	dir, err := filepath.Abs(s.dir)
	if err == nil && strings.Contains(dir, ",") {
		err = errors.New("the folder's path has a comma, which qemu's options cannot")
	}
	if err != nil {
		return "", err
	}
	return dir, os.MkdirAll(dir, 0o755)
}
