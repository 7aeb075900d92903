package buffer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gateway"
)

// verifyPage is how many blocks are looked up at once: readers and the writer get their turn in between.
const verifyPage = 64

// Verify reads every block and every value of the log, and says what is wrong. It changes nothing, and what is appended
// meanwhile is not looked at. progress, if not nil, is told how many offsets of how many were done, now and then. An error is ctx's, or
// says that the log is closed; what is wrong with the log is in the report.
func (l *Log) Verify(ctx context.Context, progress func(done, total uint64)) (gateway.LogReport, error) {
	v := verifier{l: l, end: l.durable(), told: time.Now(), progress: progress}
	v.report.First, v.report.Last = gateway.Offset(l.first.Load()), v.end
	if err := v.blocks(ctx); err != nil {
		return v.report, err
	}
	err := v.values()
	return v.report, err
}

type verifier struct {
	l        *Log
	end      gateway.Offset
	report   gateway.LogReport
	progress func(done, total uint64)
	told     time.Time
	before   header // the block before; its count is 0 if there is none
}

func (v *verifier) problem(offset gateway.Offset, err error) {
	const most = 1000
	if len(v.report.Problems) < most {
		v.report.Problems = append(v.report.Problems, gateway.LogProblem{Offset: offset, Text: err.Error()})
	}
}

// blocks goes through the log from block to block. Where there is none it asks for the next.
func (v *verifier) blocks(ctx context.Context) error {
	next := v.report.First // what must come
	for seek := next; next <= v.end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		v.tell(next)
		refs, err := v.l.engine.blocksFrom(seek, make([]blockRef, 0, verifyPage), verifyPage)
		if errors.Is(err, gateway.ErrClosed) {
			return err
		}
		if err != nil {
			v.problem(next, err)
			v.gone(next, v.end, nil)
			return nil
		}
		if len(refs) == 0 {
			v.gone(next, v.end, nil)
			return nil
		}
		for _, ref := range refs {
			if ref.first > v.end || next > v.end {
				break
			}
			next = v.block(next, ref)
		}
		seek = refs[len(refs)-1].first + 1
	}
	return nil
}

// block verifies one block and what is missing before it, and returns the offset behind it.
func (v *verifier) block(next gateway.Offset, ref blockRef) gateway.Offset {
	var h header
	err := v.l.engine.get(blockKey(ref.first), func(block []byte) (err error) {
		v.report.Bytes += uint64(len(block))
		v.l.usage.read(len(block))
		if h, _, err = v.l.dec.decode(block); err == nil && h.first != ref.first {
			err = fmt.Errorf("it says it begins at %d", h.first)
		}
		return err
	})
	first := gateway.Offset(v.l.first.Load())
	switch {
	case errors.Is(err, ErrNotFound) && ref.first < first: // trimmed meanwhile
		return max(next, first)
	case err != nil:
		v.problem(ref.first, fmt.Errorf("the block at offset %d: %w", ref.first, err))
		return next // it counts as missing
	}
	if h.first > next && next >= first {
		v.gone(next, h.first-1, &h)
	}
	v.report.Blocks++
	v.report.Events += uint64(h.count)
	v.before = h
	return max(next, h.last()+1)
}

// gone notes what is missing, as far as that is not known.
func (v *verifier) gone(from, to gateway.Offset, after *header) {
	g := hole(from, to, &v.before, after)
	for _, known := range v.l.gaps.all() {
		if known.From <= g.From && known.To >= g.From {
			g.From = known.To + 1
		}
	}
	if g.From <= g.To {
		v.report.Gone = append(v.report.Gone, g)
	}
}

// values verifies everything that is not a block.
func (v *verifier) values() error {
	for _, prefix := range []string{prefixCursor, prefixKey, prefixMeta} {
		err := v.l.engine.each(prefix, func(string, []byte) error { return nil })
		if errors.Is(err, gateway.ErrClosed) {
			return err
		}
		if err != nil {
			v.problem(0, err)
		}
	}
	return nil
}

func (v *verifier) tell(next gateway.Offset) {
	if v.progress == nil || time.Since(v.told) < 200*time.Millisecond {
		return
	}
	v.told = time.Now()
	v.progress(uint64(next-v.report.First), uint64(v.end-v.report.First)+1)
}

// Compact has deleted events merged away now, and so gives their space back. It may write some tens of MiB.
func (l *Log) Compact(ctx context.Context) error {
	if l.o.ReadOnly {
		return gateway.ErrClosed
	}
	done := make(chan error, 1)
	go func() { done <- releasing(l.engine.dir, l.engine.reclaim) }()
	select {
	case err := <-done:
		l.usage.look()
		if err != nil {
			return fmt.Errorf("merge deleted events away: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
