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
	letters map[string]*bookedLetter // by key
	order   []*bookedLetter          // the oldest first; those that are gone are among them
	bytes   int64
	// news are the letters that were booked, and those that were deleted, since the log is being read; nil while it is not.
	news []news
}

type bookedLetter struct {
	key   string
	parts int
	bytes int64
	at    time.Time // of the last attempt
	gone  bool
}

// news is a letter that came or went.
type news struct {
	letter bookedLetter
	gone   bool
}

// readBook finds the letters in the log. What comes and goes meanwhile is added.
func (f *Forwarder) readBook() error {
	f.mu.Lock()
	f.book.news = []news{}
	f.mu.Unlock()
	var found []bookedLetter
	err := stored(f.o.Log, deadPrefix+f.o.Name+"/", func(s *storedLetter) error {
		found = append(found, bookedLetter{key: s.key, parts: len(s.parts), bytes: s.size(), at: s.letter().Last})
		return nil
	})
	slices.SortStableFunc(found, func(a, b bookedLetter) int { return a.at.Compare(b.at) })
	book := letterBook{letters: map[string]*bookedLetter{}}
	for _, l := range found {
		book.add(l)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, n := range f.book.news {
		if n.gone {
			book.remove(n.letter.key)
			continue
		}
		book.add(n.letter)
	}
	f.book = book
	return err
}

func (k *letterBook) add(l bookedLetter) {
	k.remove(l.key) // the same event has died again
	k.letters[l.key] = &l
	k.order = append(k.order, &l)
	k.bytes += l.bytes
	if k.news != nil {
		k.news = append(k.news, news{letter: l})
	}
}

func (k *letterBook) remove(key string) {
	l := k.letters[key]
	if l == nil {
		return
	}
	l.gone = true
	k.bytes -= l.bytes
	delete(k.letters, key)
	if k.news != nil {
		k.news = append(k.news, news{letter: *l, gone: true})
	}
}

// drop takes the oldest letters out that the bounds do not leave, and returns how to delete them. now is zero where the clock is not known.
func (k *letterBook) drop(b LetterBounds, now time.Time) (gone []bookedLetter, kv []gateway.KeyValue) {
	for len(k.order) > 0 && len(kv) < 4*letterCount {
		l := k.order[0]
		old := b.Age > 0 && !now.IsZero() && now.Sub(l.at) > b.Age
		if !l.gone && !old && (b.Bytes == 0 || k.bytes <= b.Bytes) {
			break
		}
		k.order = k.order[1:]
		if l.gone {
			continue
		}
		k.remove(l.key)
		gone = append(gone, *l)
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
