package devices

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"gateway"
)

// CountLog is a log that keeps small values beside its events. A counter's two goroutines use it one after the other.
type CountLog interface {
	// Load returns the durable value of key; nil if there is none.
	Load(key string) ([]byte, error)
	// Commit returns when all of b survives a power cut, or none of it was taken. When ctx ended first, either may be.
	Commit(ctx context.Context, b gateway.Batch) (gateway.Offset, error)
}

// CounterKey is the key under which the counter of that name keeps its total. It is to be deleted with the counter.
func CounterKey(name string) string { return "devices/" + name + "/count" }

// storedCount is the last durable count, as it is kept in the same commit as the event that told of it.
type storedCount struct {
	Version int `json:"version"`
	// ID is random, Previous that of the count before: a runtime record says which of them it goes on from.
	ID       string `json:"id"`
	Previous string `json:"previous"`
	Total    uint64 `json:"total"`
	Unseen   uint64 `json:"unseen"`
	// At is the wall clock, Monotonic the kernel's within Boot.
	At        time.Time     `json:"at"`
	Monotonic time.Duration `json:"monotonic_ns"`
	Boot      string        `json:"boot"`
	// Clean says that the process that wrote it stopped counting before.
	Clean bool `json:"clean,omitempty"`
}

const storedCountVersion = 1

// newCountID is an ID that was never given before.
func newCountID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}

// loadCount returns the count that is kept under the name; false if there is none.
func loadCount(l CountLog, name string) (s storedCount, ok bool, err error) {
	value, err := l.Load(CounterKey(name))
	if err != nil {
		return s, false, fmt.Errorf("load the total of %s: %w", name, err)
	}
	if value == nil {
		return s, false, nil
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return s, false, fmt.Errorf("the total of %s, %q, is not readable: %w", name, value, err)
	}
	if s.Version != storedCountVersion {
		return s, false, fmt.Errorf("the total of %s has version %d: it was written by a newer gateway", name, s.Version)
	}
	return s, true, nil
}
