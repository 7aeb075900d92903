package writelog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

// request is an entry of a synthetic log: letter fills its data.
type request struct {
	flags, sector, sectors uint64
	letter                 byte
}

func write(sector, sectors uint64, letter byte) request { return request{0, sector, sectors, letter} }

var flush = request{flags: Flush}

// logOf writes a log as blklogwrites does; marks carry 600 bytes.
func logOf(requests ...request) []byte {
	b := make([]byte, SectorSize)
	binary.LittleEndian.PutUint64(b, magic)
	binary.LittleEndian.PutUint64(b[8:], version)
	binary.LittleEndian.PutUint64(b[16:], uint64(len(requests)))
	binary.LittleEndian.PutUint32(b[24:], SectorSize)
	for _, r := range requests {
		header := make([]byte, SectorSize)
		data := bytes.Repeat([]byte{r.letter}, int(r.sectors)*SectorSize)
		binary.LittleEndian.PutUint64(header, r.sector)
		binary.LittleEndian.PutUint64(header[8:], r.sectors)
		binary.LittleEndian.PutUint64(header[16:], r.flags)
		if r.flags&Mark != 0 {
			binary.LittleEndian.PutUint64(header[24:], 600)
			data = make([]byte, 2*SectorSize)
		}
		if r.flags&Discard != 0 {
			data = nil
		}
		b = append(append(b, header...), data...)
	}
	return b
}

// disk is an image in memory.
type disk []byte

func (d disk) WriteAt(p []byte, at int64) (int, error) { return copy(d[at:], p), nil }

// letters is the first byte of each sector.
func (d disk) letters() string {
	var s []byte
	for at := 0; at < len(d); at += SectorSize {
		s = append(s, d[at])
	}
	return string(s)
}

func blank(sectors int) disk { return bytes.Repeat([]byte{'.'}, sectors*SectorSize) }

func entriesOf(t *testing.T, log []byte) []Entry {
	t.Helper()
	entries, err := Read(bytes.NewReader(log), int64(len(log)))
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// cutAt rebuilds the disk at a position.
func cutAt(t *testing.T, log []byte, n int, rng *rand.Rand) string {
	t.Helper()
	image := blank(8)
	d := NewDisk(bytes.NewReader(log), entriesOf(t, log), image)
	if err := d.MoveTo(n); err != nil {
		t.Fatal(err)
	}
	if err := d.Finish(image, n, rng); err != nil {
		t.Fatal(err)
	}
	return image.letters()
}

func TestWhatNoFlushCoversIsLeftOut(t *testing.T) {
	t.Parallel()
	log := logOf(write(0, 2, 'a'), write(4, 1, 'b'), flush, write(1, 1, 'c'), request{FUA, 6, 1, 'd'}, write(7, 1, 'e'), flush, write(0, 1, 'f'))
	for n, want := range []string{
		"........", "........", "........", // two writes, nothing flushed
		"aa..b...",             // flush
		"aa..b...",             // c is not durable
		"aa..b.d.", "aa..b.d.", // FUA is, and e is not
		"ac..b.de", "ac..b.de",
	} {
		if got := cutAt(t, log, n, nil); got != want {
			t.Errorf("cut at position %d: got %q, want %q", n, got, want)
		}
	}
}

func TestAFlushWithDataCoversWhatIsBeforeItOnly(t *testing.T) {
	t.Parallel()
	log := logOf(write(0, 1, 'a'), request{Flush, 1, 1, 'b'}, request{Flush | FUA, 2, 1, 'c'})
	for n, want := range []string{"........", "........", "a.......", "abc....."} {
		if got := cutAt(t, log, n, nil); got != want {
			t.Errorf("cut at position %d: got %q, want %q", n, got, want)
		}
	}
}

func TestADiskMovesForwardThroughPositions(t *testing.T) {
	t.Parallel()
	log := logOf(write(0, 1, 'a'), flush, write(1, 1, 'b'), write(0, 1, 'c'), flush, write(2, 1, 'd'))
	image := blank(8)
	d := NewDisk(bytes.NewReader(log), entriesOf(t, log), image)
	for _, step := range []struct {
		n, unflushed int
		want         string
	}{{0, 0, "........"}, {2, 0, "a......."}, {4, 2, "a......."}, {4, 2, "a......."}, {5, 0, "cb......"}, {6, 1, "cb......"}} {
		if err := d.MoveTo(step.n); err != nil {
			t.Fatal(err)
		}
		if got := image.letters(); got != step.want || d.Unflushed(step.n) != step.unflushed {
			t.Errorf("at position %d: got %q with %d unflushed, want %q with %d", step.n, got, d.Unflushed(step.n), step.want, step.unflushed)
		}
	}
	if err := d.MoveTo(1); err == nil {
		t.Error("moved back to position 1")
	}
	if err := d.Complete(); err != nil {
		t.Fatal(err)
	}
	if got, want := image.letters(), "cbd....."; got != want {
		t.Errorf("complete: got %q, want %q", got, want)
	}
}

// TestAnyPartOfTheUnflushedMaySurvive sees every outcome of two unflushed writes, and nothing else.
func TestAnyPartOfTheUnflushedMaySurvive(t *testing.T) {
	t.Parallel()
	log := logOf(write(7, 1, 'x'), flush, write(0, 1, 'a'), write(0, 1, 'b'))
	seen := map[string]bool{}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		seen[cutAt(t, log, 4, rng)] = true
	}
	for _, want := range []string{".......x", "a......x", "b......x"} {
		if !seen[want] {
			t.Errorf("never saw %q", want)
		}
		delete(seen, want)
	}
	for other := range seen {
		t.Errorf("saw %q", other)
	}
}

func TestAWriteTearsAtBlocksOfTheDisk(t *testing.T) {
	t.Parallel()
	log := logOf(write(4, 16, 'a')) // half a block, a whole one, half a block
	seen := map[string]bool{}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		image := blank(24)
		d := NewDisk(bytes.NewReader(log), entriesOf(t, log), image)
		if err := d.Finish(image, 1, rng); err != nil {
			t.Fatal(err)
		}
		seen[image.letters()] = true
	}
	if len(seen) != 8 {
		t.Errorf("saw %d states of three blocks, want 8: %v", len(seen), seen)
	}
	if want := "....aaaa........aaaa...."; !seen[want] {
		t.Errorf("never saw %q", want)
	}
}

func TestAnUnfinishedEndDoesNotCount(t *testing.T) {
	t.Parallel()
	log := logOf(write(0, 1, 'a'), flush, write(1, 2, 'b'))
	whole := entriesOf(t, log)
	if len(whole) != 3 || whole[2].End != int64(len(log)) {
		t.Fatalf("got %d entries that end at %d, want 3 and %d", len(whole), whole[2].End, len(log))
	}
	for size, want := range map[int]int{0: 0, 100: 0, SectorSize: 0, len(log) - 1: 2, int(whole[1].End): 2, int(whole[1].End) - 1: 1} {
		if entries := entriesOf(t, log[:size]); len(entries) != want {
			t.Errorf("of %d bytes: got %d entries, want %d", size, len(entries), want)
		}
	}
	hole := append(bytes.Clone(log[:whole[1].End]), make([]byte, 4*SectorSize)...)
	if entries := entriesOf(t, hole); len(entries) != 2 {
		t.Errorf("before a hole: got %d entries, want 2", len(entries))
	}
	unflushed := append(make([]byte, SectorSize), log[SectorSize:]...)
	if entries := entriesOf(t, unflushed); len(entries) != 3 {
		t.Errorf("without a superblock: got %d entries, want 3", len(entries))
	}
}

func TestMarksAndDiscardsChangeNothing(t *testing.T) {
	t.Parallel()
	log := logOf(write(0, 1, 'a'), request{flags: Mark}, request{flags: Discard, sector: 0, sectors: 4}, flush)
	if got, want := cutAt(t, log, 4, nil), "a......."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsNoWriteLogIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := Read(bytes.NewReader(bytes.Repeat([]byte{7}, 2048)), 2048); err == nil {
		t.Error("took a file of sevens")
	}
	log := logOf(write(0, 1, 'a'), write(1, 1, 'b'))
	log[3*SectorSize+17] = 9 // the flags of the second
	if _, err := Read(bytes.NewReader(log), int64(len(log))); !errors.Is(err, errImplausible) {
		t.Errorf("a header of nonsense: got %v, want %v", err, errImplausible)
	}
}
