package forwarder

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gateway"
)

// takeOver moves what the log keeps under the forwarder's former name to its own: places, memory and budget in one write, and its dead letters and
// replays after that. If it has a place of its own already, the places stay as they are.
func (f *Forwarder) takeOver() error {
	from, to := f.o.RenamedFrom, f.o.Name
	cursors := f.o.Log.Status().Cursors
	if from == "" {
		return nil
	}
	if len(cursorsOf(to, cursors)) > 0 {
		if len(cursorsOf(from, cursors)) > 0 {
			f.o.Logger.Warn("renamed_from has no effect: the forwarder has a place of its own already, and that of its former name is kept too", "was", from,
				"hint", "take renamed_from out, and give up one of the two: gateway forwarder forget NAME")
			return nil
		}
		return f.takeOverLetters(from, to) // of a start that was cut off
	}
	var change gateway.Batch
	for _, cursor := range cursorsOf(from, cursors) {
		name := CursorPrefix + to + strings.TrimPrefix(cursor, CursorPrefix+from)
		change.Cursors = append(change.Cursors, gateway.CursorMove{Name: name, Offset: cursors[cursor]})
		change.Forget = append(change.Forget, cursor)
	}
	if len(change.Cursors) == 0 {
		f.o.Logger.Warn("renamed_from has no effect: the log has no place of that name, so the forwarder is a new one", "was", from)
		return nil
	}
	for _, key := range []func(string) string{memoryKey, spentKey} {
		kv, err := f.moved(key(from), key(from), key(to))
		if err != nil {
			return err
		}
		change.KV = append(change.KV, kv...)
	}
	if err := f.durably(change); err != nil {
		return fmt.Errorf("take over the places of forwarder %q: %w", from, err)
	}
	f.o.Logger.Info("the forwarder goes on where it was under its former name", "was", from, "cursors", len(change.Cursors))
	return f.takeOverLetters(from, to)
}

// takeOverLetters moves the dead letters, requeued or not, and the replays. It can be repeated.
func (f *Forwarder) takeOverLetters(from, to string) error {
	for _, prefix := range []string{deadPrefix, requeuePrefix, replayPrefix} {
		kv, err := f.moved(prefix+from+"/", prefix+from, prefix+to)
		if err != nil {
			return err
		}
		for i := 0; i < len(kv); i += 2 { // of their own: a write has a bound
			if err := f.durably(gateway.Batch{KV: kv[i : i+2]}); err != nil {
				return fmt.Errorf("take over the dead letters of forwarder %q: %w", from, err)
			}
		}
	}
	return nil
}

// moved are the writes that give the values below prefix keys that begin with to instead of from: a new one and a deletion for each.
func (f *Forwarder) moved(prefix, from, to string) (kv []gateway.KeyValue, err error) {
	err = f.o.Log.Scan(prefix, func(key string, value []byte) error {
		if key == prefix || strings.HasSuffix(prefix, "/") {
			kv = append(kv, gateway.KeyValue{Key: to + strings.TrimPrefix(key, from), Value: slices.Clone(value)}, gateway.KeyValue{Key: key})
		}
		return nil
	})
	return kv, err
}

// durably writes b and waits until it is durable.
func (f *Forwarder) durably(b gateway.Batch) error {
	done := make(chan error, 1)
	if err := f.o.Log.Submit(context.Background(), b, func(_ gateway.Offset, err error) { done <- err }); err != nil {
		return err
	}
	return <-done
}
