package forwarder

import (
	"context"
	"slices"
	"time"

	"gateway"
)

// LetterBounds is how much is kept of what could not be delivered. Beyond it the oldest make room. 0: no bound.
type LetterBounds struct {
	Bytes int64
	Age   time.Duration
}

// letterAges is how often letters that are too old are looked for.
const letterAges = 10 * time.Minute

// letterBook knows the dead letters that there are, the oldest first, so that they can be bounded. Guarded by f.mu.
type letterBook struct {
	letters []bookedLetter
	bytes   int64
}

type bookedLetter struct {
	key   string
	parts int
	bytes int64
	at    time.Time // of the last attempt
}

// readBook finds the letters in the log.
func (f *Forwarder) readBook() error {
	var book letterBook
	err := stored(f.o.Log, deadPrefix+f.o.Name+"/", func(s *storedLetter) error {
		book.add(bookedLetter{key: s.key, parts: len(s.parts), bytes: s.size(), at: s.letter().Last})
		return nil
	})
	slices.SortStableFunc(book.letters, func(a, b bookedLetter) int { return a.at.Compare(b.at) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.book = book
	return err
}

func (k *letterBook) add(l bookedLetter) {
	if i := slices.IndexFunc(k.letters, func(other bookedLetter) bool { return other.key == l.key }); i >= 0 && len(k.letters) > 0 {
		k.bytes -= k.letters[i].bytes // the same event has died again
		k.letters = slices.Delete(k.letters, i, i+1)
	}
	k.letters = append(k.letters, l)
	k.bytes += l.bytes
}

// drop takes the oldest letters out that the bounds do not leave, and returns how to delete them. now is zero where the clock is not known.
func (k *letterBook) drop(b LetterBounds, now time.Time) (gone []bookedLetter, kv []gateway.KeyValue) {
	for len(k.letters) > 0 && len(kv) < 4*letterCount {
		l := k.letters[0]
		old := b.Age > 0 && !now.IsZero() && now.Sub(l.at) > b.Age
		if !old && (b.Bytes == 0 || k.bytes <= b.Bytes) {
			break
		}
		k.bytes -= l.bytes
		k.letters = k.letters[1:]
		gone = append(gone, l)
		kv = append(kv, gateway.KeyValue{Key: l.key})
		for n := range l.parts {
			kv = append(kv, gateway.KeyValue{Key: partKey(l.key, n+1)})
		}
	}
	return gone, kv
}

// makeRoom deletes the letters that the bounds do not leave.
func (f *Forwarder) makeRoom(ctx context.Context) error {
	for {
		f.mu.Lock()
		gone, kv := f.book.drop(f.o.Letters, f.trustedNow())
		f.status.LettersDropped += uint64(len(gone))
		f.status.Letters, f.status.LetterBytes = len(f.book.letters), f.book.bytes
		f.mu.Unlock()
		if len(gone) == 0 {
			return nil
		}
		if err := f.write(ctx, gateway.Batch{KV: kv}); err != nil {
			return err
		}
		f.o.Logger.Warn("dead letters were deleted: their bounds leave no more room", "letters", len(gone), "oldest", gone[0].at)
	}
}

// booked notes the letters of a write.
func (f *Forwarder) booked(letters, parts []gateway.KeyValue) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range letters {
		b := bookedLetter{key: l.Key, bytes: int64(len(l.Key) + len(l.Value)), at: time.Now()}
		for _, p := range parts {
			if len(p.Key) > len(l.Key) && p.Key[:len(l.Key)] == l.Key {
				b.parts++
				b.bytes += int64(len(p.Key) + len(p.Value))
			}
		}
		f.book.add(b)
	}
}

// keepAges looks for letters that are too old, until ctx ends.
func (f *Forwarder) keepAges(ctx context.Context) {
	if f.o.Letters.Age == 0 {
		return
	}
	ticker := time.NewTicker(letterAges)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := f.makeRoom(ctx); err != nil {
				f.committed(0, err)
			}
		case <-ctx.Done():
			return
		}
	}
}
