package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// scenario is one thing that is proved. Its play returns the numbers, and an error where it did not hold.
type scenario struct {
	name, claim string
	play        func(ctx context.Context, l *lab) (numbers string, err error)
	patience    time.Duration
}

// verdict is what became of a scenario.
type verdict struct {
	scenario
	numbers string
	err     error
	took    time.Duration
}

// choose keeps the scenarios that are wanted.
func choose(all []scenario, only, skip string) ([]scenario, error) {
	var chosen []scenario
	known := map[string]bool{}
	for _, sc := range all {
		known[sc.name] = true
		if (only == "" || listed(only, sc.name)) && !listed(skip, sc.name) {
			chosen = append(chosen, sc)
		}
	}
	for name := range strings.SplitSeq(only+","+skip, ",") {
		if name != "" && !known[name] {
			return nil, fmt.Errorf("there is no scenario %q", name)
		}
	}
	return chosen, nil
}

func listed(list, name string) bool { return slices.Contains(strings.Split(list, ","), name) }

// tableOf is the final table, and how many failed.
func tableOf(verdicts []verdict) (table string, failed int) {
	var b strings.Builder
	for _, v := range verdicts {
		word := "PASSED"
		if v.err != nil {
			word = "FAILED"
			failed++
		}
		fmt.Fprintf(&b, "%-10s %s %6.1f s  %s\n", v.name, word, v.took.Seconds(), v.claim)
	}
	return b.String(), failed
}

// lab is what the scenarios share. It belongs to one goroutine.
type lab struct {
	settings
	dir     string
	began   time.Time
	kernels map[string]*kernel // by the board's name
	roots   map[string]string  // the initramfs, likewise
}

// say shows progress.
func (l *lab) say(format string, args ...any) {
	fmt.Printf("%6.1f  %s\n", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
}

// play plays one scenario and prints its verdict.
func (l *lab) play(ctx context.Context, sc scenario) verdict {
	l.say("%s: %s", sc.name, sc.claim)
	began := time.Now()
	bounded, cancel := context.WithTimeout(ctx, sc.patience)
	defer cancel()
	numbers, err := sc.play(bounded, l)
	v := verdict{scenario: sc, numbers: numbers, err: err, took: time.Since(began)}
	if err != nil {
		fmt.Printf("%s: FAILED: %v (%s)\n", sc.name, err, numbers)
	} else {
		fmt.Printf("%s: PASSED: %s\n", sc.name, numbers)
	}
	return v
}

// machine boots a new machine of a board. The caller cuts its power at the end.
func (l *lab) machine(ctx context.Context, b board, name string) (*machine, error) {
	if l.roots[b.name] == "" {
		k, err := findKernel(ctx, b, l.say)
		if err != nil {
			return nil, err
		}
		l.kernels[b.name] = k
		if l.roots[b.name], err = bootFile(ctx, k, l.dir, l.say); err != nil {
			return nil, err
		}
	}
	disk := filepath.Join(l.dir, name+".img")
	if err := os.Remove(disk); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	m, err := newMachine(ctx, l.kernels[b.name], l.roots[b.name], l.dir, name)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := m.boot(ctx); err != nil {
		return nil, err
	}
	l.say("%s: %s booted in %.1f s", name, m.kernel.version, time.Since(began).Seconds())
	return m, nil
}
