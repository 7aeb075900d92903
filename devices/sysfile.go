package devices

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// readFile reads a file of /sys or /proc on the owner's goroutine: what a driver of the kernel does behind it may take long. The path is below root.
func readFile(ctx context.Context, o *owner, timeout time.Duration, path ...string) (string, error) {
	name := filepath.Join(path...)
	text := make(chan string, 1)
	err := o.do(ctx, timeout, filepath.Base(name), func() error {
		data, err := os.ReadFile(name)
		text <- string(data)
		return err
	})
	if err != nil {
		return "", err
	}
	return <-text, nil
}

// readNumber reads a file that holds one number. base is as strconv has it.
func readNumber(ctx context.Context, o *owner, timeout time.Duration, base int, path ...string) (int64, error) {
	text, err := readFile(ctx, o, timeout, path...)
	if err != nil {
		return 0, err
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, fmt.Errorf("%s: %w", filepath.Join(path...), errNothing)
	}
	n, err := strconv.ParseInt(text, base, 64)
	if err != nil {
		return 0, faultf(FaultCRC, "%s: %w", filepath.Join(path...), err)
	}
	return n, nil
}
