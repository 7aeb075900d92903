// Package filesink appends events to a file as JSON lines, one CloudEvents JSON object a line, and rotates it by size.
// Every batch is synced before it counts as delivered.
package filesink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"gateway"
)

// Options are all that a Sink needs. Default has the values that suit most; a zero is not replaced by them.
type Options struct {
	// Path is the file that is written. Older ones are Path.1 (the newest of them), Path.2 and so on. Its folder must exist.
	Path string
	// MaxSize is the size in bytes beyond which a file is not written further; a batch is never split over two files. 0: no rotation.
	MaxSize int64
	// MaxFiles is how many files are kept, the one being written included: the oldest is deleted, with a log line. At least 1.
	MaxFiles int
	// Logger is told of files that rotation deletes and of torn lines; nil means nobody is.
	Logger *slog.Logger
}

// Default are options without a path: ten files of 64 MiB.
func Default() Options { return Options{MaxSize: 64 << 20, MaxFiles: 10} }

// Sink is a gateway.Sink that writes a file. It opens it when it sends.
type Sink struct {
	o      Options
	mu     sync.Mutex // guards what follows
	f      *os.File   // nil until the first Send, and after an error
	size   int64
	buf    []byte
	closed bool
}

var _ gateway.Sink = (*Sink)(nil)

// New checks the options. It does not touch the file.
func New(o Options) (*Sink, error) {
	switch {
	case o.Path == "":
		return nil, errors.New("file sink: path is empty: name the file to write")
	case o.MaxSize < 0:
		return nil, fmt.Errorf("file sink: max_size is %d: it must be 0 (no rotation) or more", o.MaxSize)
	case o.MaxFiles < 1:
		return nil, fmt.Errorf("file sink: max_files is %d: it must be 1 or more", o.MaxFiles)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Sink{o: o}, nil
}

// Name is "file" and the path.
func (s *Sink) Name() string { return "file " + s.o.Path }

// Send appends the batch and syncs it. If that fails, the file is cut back to what it had, so that a line is whole or
// not there, and none of the batch was delivered. An event that cannot be a line is Permanent.
func (s *Sink) Send(ctx context.Context, batch []gateway.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return gateway.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	refused := s.encode(batch)
	if len(s.buf) > 0 {
		if err := s.write(); err != nil {
			return explain(s.o.Path, err)
		}
	}
	if refused == nil {
		return nil
	}
	return &gateway.BatchError{Errors: refused}
}

// encode fills s.buf with the lines, and says which events have none; nil if all have.
func (s *Sink) encode(batch []gateway.Entry) []error {
	var refused []error
	s.buf = s.buf[:0]
	for i := range batch {
		before := len(s.buf)
		line, err := batch[i].Event.AppendJSON(s.buf)
		if err == nil {
			s.buf = append(line, '\n')
			continue
		}
		s.buf = s.buf[:before]
		if refused == nil {
			refused = make([]error, len(batch))
		}
		refused[i] = gateway.Permanent(fmt.Errorf("offset %d has no JSON form: %w", batch[i].Offset, err))
	}
	return refused
}

func (s *Sink) write() error {
	if err := s.open(); err != nil {
		return err
	}
	if s.o.MaxSize > 0 && s.size > 0 && s.size+int64(len(s.buf)) > s.o.MaxSize {
		if err := s.rotate(); err != nil {
			return err
		}
	}
	_, err := s.f.Write(s.buf)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		return errors.Join(err, s.takeBack())
	}
	s.size += int64(len(s.buf))
	return nil
}

// takeBack cuts the file to what was delivered, and closes it: after a failed sync only a new look tells what it has.
func (s *Sink) takeBack() error {
	err := s.f.Truncate(s.size)
	return errors.Join(err, s.release())
}

// open opens the file behind its last whole line. Something behind that is what a crash left of a batch that was never
// delivered, and is sent again.
func (s *Sink) open() error {
	if s.f != nil && s.inPlace() {
		return nil
	}
	if err := s.release(); err != nil {
		return err
	}
	f, err := os.OpenFile(s.o.Path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	whole, torn, err := wholeLines(f)
	if err == nil && torn > 0 {
		err = checkOurs(f, whole, torn)
	}
	if err == nil && torn > 0 {
		s.o.Logger.Warn("torn last line cut off: its event is written again", "file", s.o.Path, "bytes", torn)
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	if err == nil {
		err = syncDir(filepath.Dir(s.o.Path))
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.f, s.size = f, whole
	return nil
}

// inPlace says whether the open file is still the one at Path: somebody may have moved or deleted it.
func (s *Sink) inPlace() bool {
	have, err := s.f.Stat()
	if err != nil {
		return false
	}
	want, err := os.Stat(s.o.Path)
	return err == nil && os.SameFile(have, want)
}

// errNotOurs is the error for a file whose unfinished last line no Sink has written.
var errNotOurs = errors.New("its last line has no end and is no event: name a file of its own")

var errNotRegular = errors.New("it is not a regular file")

// lineStart is how every line begins.
const lineStart = `{"specversion":`

// checkOurs returns errNotOurs unless what stands in f from the given place on can be the beginning of a line of ours.
func checkOurs(f *os.File, from, size int64) error {
	start := make([]byte, min(size, int64(len(lineStart))))
	if _, err := f.ReadAt(start, from); err != nil {
		return err
	}
	if !strings.HasPrefix(lineStart, string(start)) {
		return errNotOurs
	}
	return nil
}

// wholeLines returns how many bytes of f are whole lines, and how many stand behind them.
func wholeLines(f *os.File) (whole, torn int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, 0, errNotRegular
	}
	size := info.Size()
	chunk := make([]byte, 64<<10)
	for end := size; end > 0; {
		start := max(0, end-int64(len(chunk)))
		part := chunk[:end-start]
		if _, err := f.ReadAt(part, start); err != nil {
			return 0, 0, err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 {
			whole = start + int64(i) + 1
			return whole, size - whole, nil
		}
		end = start
	}
	return 0, size, nil
}

// rotate makes Path.1 of the file, Path.2 of that one, and so on, and begins a new file.
func (s *Sink) rotate() error {
	if err := s.release(); err != nil {
		return err
	}
	name := func(n int) string {
		if n == 0 {
			return s.o.Path
		}
		return fmt.Sprintf("%s.%d", s.o.Path, n)
	}
	oldest := name(s.o.MaxFiles - 1)
	if info, err := os.Stat(oldest); err == nil {
		s.o.Logger.Warn("oldest file deleted by rotation", "file", oldest, "bytes", info.Size(), "max_files", s.o.MaxFiles)
		if err := os.Remove(oldest); err != nil {
			return err
		}
	}
	for n := s.o.MaxFiles - 2; n >= 0; n-- {
		if err := os.Rename(name(n), name(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return s.open()
}

// syncDir makes what was created and renamed in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// explain says what a person can do. Trouble with the file is the endpoint's, never the event's.
func explain(path string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("the disk of %s is full: events wait until there is room: %w", path, err)
	case errors.Is(err, errNotOurs), errors.Is(err, errNotRegular):
		return gateway.Blocked(fmt.Errorf("%s cannot be appended to: %w", path, err))
	case errors.Is(err, fs.ErrNotExist):
		return gateway.Blocked(fmt.Errorf("the folder of %s is not there: make it: %w", path, err))
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return gateway.Blocked(fmt.Errorf("%s cannot be written: give the gateway's user the right to: %w", path, err))
	}
	return fmt.Errorf("write %s: %w", path, err)
}

// Close closes the file. What was delivered is on the disk already. Calling it twice is fine.
func (s *Sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.release()
}

func (s *Sink) release() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f, s.size = nil, 0
	return f.Close()
}
