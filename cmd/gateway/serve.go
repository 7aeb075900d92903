package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gateway"
)

const (
	// reportEvery is how often the log gets a line about what goes through, if something did.
	reportEvery = time.Minute
	// lookEvery is how often the parts are asked whether they still work.
	lookEvery = 5 * time.Second
)

// serve watches the running gateway until ctx ends (nil) or a part of it fails for good.
func (g *instance) serve(ctx context.Context, notify *notifier) error {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	defer watching.Wait()
	defer stop()
	notify.send("READY=1", "STATUS=ready")
	if dog := newWatchdog(os.Getenv, os.Getpid(), notify, g); dog != nil {
		watching.Go(func() { dog.run(ctx) })
	}
	look, report := time.NewTicker(lookEvery), time.NewTicker(reportEvery)
	defer look.Stop()
	defer report.Stop()
	r := reporter{logger: g.logger}
	var burst ebb
	for {
		select {
		case <-ctx.Done():
			log, broker, forwarders := g.status()
			r.report(log, broker, forwarders)
			return failure(log)
		case err := <-g.failed:
			return err
		case <-look.C:
			log, broker, forwarders := g.status()
			if err := failure(log); err != nil {
				return err
			}
			notify.status(statusText(log, broker, forwarders))
			burst.look(log.Appended)
			g.board.keepLines()
		case <-report.C:
			r.report(g.status())
		}
	}
}

func failure(log gateway.LogStatus) error {
	if log.Failed == "" {
		return nil
	}
	return fmt.Errorf("the log has failed, nothing can be kept: %s", log.Failed)
}

// writeReadyFile replaces the file as a whole, so that who waits for it never reads a part.
func writeReadyFile(path string, addresses []string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".ready-*")
	if err != nil {
		return fmt.Errorf("write the ready file: %w", err)
	}
	_, err = f.WriteString(strings.Join(addresses, "\n") + "\n")
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the ready file: %w", err), os.Remove(f.Name()))
	}
	return nil
}
