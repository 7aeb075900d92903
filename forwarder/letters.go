package forwarder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gateway"
)

// Dead letters are values of the log. What is to be delivered once more is moved to keys that begin otherwise.
//
//	dead/<forwarder>/<offset, 16 hex digits>       a dead letter
//	dead/<forwarder>/<offset>/<n>                  a part of its event, where that is large
//	requeue/<forwarder>/…                          the same, to be delivered
const (
	deadPrefix    = "dead/"
	requeuePrefix = "requeue/"
)

// Scanner is the values of the log.
type Scanner interface {
	Scan(prefix string, fn func(key string, value []byte) error) error
}

// Letters calls fn with the dead letters of the named forwarder, of all if name is "", in the order of their offsets. A letter that cannot be
// read is given with its offset and a cause that says so. fn's error ends it.
func Letters(log Scanner, name string, fn func(gateway.DeadLetter) error) error {
	prefix := deadPrefix
	if name != "" {
		prefix += name + "/"
	}
	return stored(log, prefix, func(s *storedLetter) error { return fn(s.letter()) })
}

// storedLetter is a letter as it is in the log.
type storedLetter struct {
	forwarder string
	offset    gateway.Offset
	key       string
	value     []byte
	parts     map[int][]byte
}

// stored calls fn with each letter below prefix. It is fn's to keep.
func stored(log Scanner, prefix string, fn func(*storedLetter) error) error {
	var s *storedLetter
	err := log.Scan(prefix, func(key string, value []byte) error {
		rest := key[strings.IndexByte(key, '/')+1:]
		parts := strings.Split(rest, "/")
		if len(parts) < 2 {
			return nil
		}
		offset, err := strconv.ParseUint(parts[1], 16, 64)
		if err != nil {
			return nil // not ours
		}
		if len(parts) == 3 {
			n, err := strconv.Atoi(parts[2])
			if s != nil && err == nil && strings.HasPrefix(key, s.key+"/") {
				s.parts[n] = slices.Clone(value)
			}
			return nil
		}
		if s != nil {
			if err := fn(s); err != nil {
				return err
			}
		}
		s = &storedLetter{forwarder: parts[0], offset: gateway.Offset(offset), key: key, value: slices.Clone(value), parts: map[int][]byte{}}
		return nil
	})
	if err == nil && s != nil {
		err = fn(s)
	}
	return err
}

// size is about what it takes.
func (s *storedLetter) size() (n int64) {
	n = int64(len(s.key) + len(s.value))
	for _, p := range s.parts {
		n += int64(len(s.key) + len(p))
	}
	return n
}

// letter reads it.
func (s *storedLetter) letter() gateway.DeadLetter {
	var d deadLetter
	l := gateway.DeadLetter{Forwarder: s.forwarder, Offset: s.offset}
	if err := json.Unmarshal(s.value, &d); err != nil {
		l.Cause = "the letter cannot be read: " + err.Error()
		return l
	}
	l.Sink, l.Class, l.Cause, l.Attempts, l.First, l.Last = d.Sink, d.Class, d.Cause, d.Attempts, d.FirstAttempt, d.LastAttempt
	if err := d.restore(s.parts, &l.Event); err != nil {
		l.Cause += "; the event cannot be read: " + err.Error()
	}
	return l
}

// restore reads the event of the letter.
func (d *deadLetter) restore(parts map[int][]byte, e *gateway.Event) error {
	event, raw := d.Event, d.RawEvent
	if d.Parts > 0 {
		var body []byte
		for n := 1; n <= d.Parts; n++ {
			part, ok := parts[n]
			if !ok {
				return fmt.Errorf("part %d of %d is missing", n, d.Parts)
			}
			body = append(body, part...)
		}
		event, raw = body, nil
		if d.Raw {
			event, raw = nil, body
		}
	}
	if raw != nil {
		return json.Unmarshal(raw, e)
	}
	var err error
	*e, err = gateway.ParseJSON(event)
	return err
}

// keys are all of its keys.
func (s *storedLetter) keys() []string {
	keys := []string{s.key}
	for n := range s.parts {
		keys = append(keys, fmt.Sprintf("%s/%d", s.key, n))
	}
	return keys
}

// Committer takes a batch and returns when it is durable.
type Committer interface {
	Scanner
	Commit(ctx context.Context, b gateway.Batch) (gateway.Offset, error)
}

// DropLetters deletes dead letters of the named forwarder: those that which says yes to. It returns how many. What was written before an error stays.
func DropLetters(ctx context.Context, log Committer, name string, which func(*gateway.DeadLetter) bool) (n int, err error) {
	return eachLetter(ctx, log, name, which, func(s *storedLetter) error {
		_, err := log.Commit(context.WithoutCancel(ctx), gateway.Batch{KV: removed(s)})
		return err
	})
}

// RequeueLetters has the named forwarder deliver dead letters once more: those that which says yes to. It returns how many. If the forwarder does
// not run it does so when it does; one that runs is told by Poke.
func RequeueLetters(ctx context.Context, log Committer, name string, which func(*gateway.DeadLetter) bool) (n int, err error) {
	return eachLetter(ctx, log, name, which, func(s *storedLetter) error {
		key := requeuePrefix + strings.TrimPrefix(s.key, deadPrefix)
		for n, part := range s.parts { // of their own: a write has a bound
			if _, err := log.Commit(context.WithoutCancel(ctx), gateway.Batch{KV: []gateway.KeyValue{{Key: fmt.Sprintf("%s/%d", key, n), Value: part}}}); err != nil {
				return err
			}
		}
		_, err := log.Commit(context.WithoutCancel(ctx), gateway.Batch{KV: append(removed(s), gateway.KeyValue{Key: key, Value: s.value})})
		return err
	})
}

// eachLetter calls do with the letters that are meant, outside of the scan.
func eachLetter(ctx context.Context, log Scanner, name string, which func(*gateway.DeadLetter) bool, do func(*storedLetter) error) (n int, err error) {
	var meant []gateway.Offset
	if err := Letters(log, name, func(l gateway.DeadLetter) error {
		if which(&l) {
			meant = append(meant, l.Offset)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	for _, offset := range meant {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		s, err := oneLetter(log, letterKey(name, offset))
		if err == nil && s != nil {
			err = do(s)
		}
		if err != nil {
			return n, fmt.Errorf("dead letter of offset %d of forwarder %s: %w", offset, name, err)
		}
		if s != nil {
			n++
		}
	}
	return n, nil
}

var errFound = errors.New("found")

// oneLetter is the letter with that key, nil if there is none.
func oneLetter(log Scanner, key string) (found *storedLetter, err error) {
	err = stored(log, key, func(s *storedLetter) error {
		if s.key == key {
			found = s
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		err = nil
	}
	return found, err
}

func letterKey(name string, offset gateway.Offset) string {
	return fmt.Sprintf("%s%s/%016x", deadPrefix, name, uint64(offset))
}

// removed deletes all keys of s.
func removed(s *storedLetter) (kv []gateway.KeyValue) {
	for _, key := range s.keys() {
		kv = append(kv, gateway.KeyValue{Key: key})
	}
	return kv
}
