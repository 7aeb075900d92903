package main

import (
	"context"
	"log/slog"

	"gateway"
	"gateway/buffer"
)

// counterLog is the log as counters see it.
type counterLog struct{ *buffer.Log }

// Load returns the value of key, nil if there is none.
func (l counterLog) Load(key string) ([]byte, error) { return valueOf(l.Log, key) }

// outputMemory is where outputs keep what they are about to do.
type outputMemory struct {
	log    *buffer.Log
	logger *slog.Logger
}

// Get returns the value of key, nil if there is none.
func (m outputMemory) Get(key string) ([]byte, error) { return valueOf(m.log, key) }

// Commit returns when the value survives a power cut.
func (m outputMemory) Commit(ctx context.Context, key string, value []byte) error {
	_, err := m.log.Commit(ctx, gateway.Batch{KV: []gateway.KeyValue{{Key: key, Value: value}}})
	return err
}

// Note hands the value over to be written.
func (m outputMemory) Note(key string, value []byte) {
	ended, cancel := context.WithCancel(context.Background()) // it does not wait for room
	cancel()
	err := m.log.Submit(ended, gateway.Batch{KV: []gateway.KeyValue{{Key: key, Value: value}}}, func(gateway.Offset, error) {})
	if err != nil { // what it is about counts as unknown then
		m.logger.Warn("what an output has done cannot be noted", "key", key, "error", err)
	}
}

// valueOf is the value of exactly that key, nil if there is none.
func valueOf(log *buffer.Log, key string) (value []byte, err error) {
	err = log.Scan(key, func(k string, v []byte) error {
		if k == key {
			value = append([]byte{}, v...)
		}
		return nil
	})
	return value, err
}
