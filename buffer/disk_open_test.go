package buffer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gateway"
)

// TestFullDiskDoesNotKeepTheLogClosed opens a log on a disk that a neighbour has filled to the last byte while nobody looked: it
// gives up what it kept, opens, delivers, refuses events and says why; and takes them when there is room.
func TestFullDiskDoesNotKeepTheLogClosed(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "ext4", 200<<20)
	if disk == "" {
		return
	}
	o := Options{Dir: filepath.Join(disk, "data"), MaxSize: 1 << 30, Reserve: 40 << 20}
	l := openLog(t, o)
	settle(t, l, "up", 0)
	n := onDiskSome(t, l, 0, 2000, func() {})
	if l.usage.ballast.bytes() == 0 {
		t.Fatal("no room is kept for the engine")
	}
	closeLog(t, l)
	neighbour := fillDisk(t, disk)
	if free := freeOn(t, disk); free > 64<<10 {
		t.Fatalf("the disk has %s left", mib(free))
	}
	l = openLog(t, o)
	if s := l.Status(); !s.Full || s.FullReason != gateway.FullDisk || s.Last != gateway.Offset(n) {
		t.Errorf("got status %+v, want a full disk", s)
	}
	if _, err := l.Append(testContext(t), event("x")); !errors.Is(err, gateway.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	for _, e := range readTo(t, l, 0, gateway.Offset(n)) {
		if !isNumbered(&e) {
			t.Fatalf("offset %d has another event", e.Offset)
		}
	}
	settle(t, l, "up", gateway.Offset(n)/2) // delivery goes on
	closeLog(t, l)

	// What it gave up is taken too: it says what to do.
	more := filepath.Join(disk, "more")
	if err := os.Rename(fillDisk(t, filepath.Join(disk, "data")), more); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), "free space") {
		t.Errorf("got %v, want what to do", err)
	}
	if err := errors.Join(os.Remove(neighbour), os.Remove(more)); err != nil {
		t.Fatal(err)
	}
	l = openLog(t, o)
	onDiskSome(t, l, n, 100, func() {})
	if s := l.Status(); s.Last != gateway.Offset(n+100) {
		t.Errorf("got last %d when there is room, want %d", s.Last, n+100)
	}
	waitFor(t, "room to be kept again", func() bool { return l.usage.ballast.bytes() > 0 })
}

// TestReadOnlyDiskStopsTheAcks: after the kernel made the file system read-only, as it does when a card fails, nothing is
// acknowledged that a restart does not find.
func TestReadOnlyDiskStopsTheAcks(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "ext4", 200<<20)
	if disk == "" {
		return
	}
	l, err := Open(Options{Dir: filepath.Join(disk, "data"), MaxSize: 1 << 30, Reserve: 40 << 20})
	if err != nil {
		t.Fatal(err)
	}
	n := onDiskSome(t, l, 0, 100, func() {})
	// MS_REMOUNT alone is refused while files are open for writing; shutting the file system down is what a dead card is.
	if err := shutdownFileSystem(disk); err != nil {
		t.Skipf("the file system cannot be shut down here: %v", err)
	}
	acked := n
	for range 10_000 {
		var last gateway.Offset
		if last, err = l.Append(testContext(t), event("after")); err != nil {
			break
		}
		acked = int(last)
	}
	if err == nil || errors.Is(err, gateway.ErrFull) || l.Status().Failed == "" {
		t.Errorf("got %v after a write error, want the log stopped", err)
	}
	if acked != n {
		t.Errorf("%d events were acknowledged by a dead disk", acked-n)
	}
	if err := l.Close(); err == nil {
		t.Error("got no error from closing a log that cannot write what it has in memory")
	}
	if err := unix.Unmount(disk, unix.MNT_DETACH); err != nil { // the engine does not let go of its files
		t.Error(err)
	}
}

// shutdownFileSystem is EXT4_IOC_SHUTDOWN without a flush of the journal.
func shutdownFileSystem(dir string) error {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	return unix.IoctlSetPointerInt(fd, 0x8004587d, 2)
}

// TestStartDoesNotReadTheBacklog: opening a large log reads no more, and takes no longer, than opening a small one. It runs in a process
// of its own, because the kernel counts what a process reads.
func TestStartDoesNotReadTheBacklog(t *testing.T) {
	t.Parallel()
	if os.Getenv(insideDisk) == "" {
		runInside(t)
		return
	}
	read := map[int]int64{}
	for _, megabytes := range []int{2, 40} {
		dir := t.TempDir()
		l := openLog(t, Options{Dir: dir})
		settle(t, l, "up", 0)
		data := newNoise(1)
		for range megabytes * 50 { // blocks of 20 KB: the engine reads one of every table
			mustAppend(t, l, event(string(data.bytes(10<<10))), event(string(data.bytes(10<<10))))
		}
		closeLog(t, l)
		before, start := readBytes(t), time.Now()
		l = openLog(t, Options{Dir: dir})
		took := time.Since(start)
		read[megabytes] = readBytes(t) - before
		if s := l.Status(); s.First != 1 || s.Last != gateway.Offset(megabytes*100) {
			t.Errorf("got %d to %d", s.First, s.Last)
		}
		t.Logf("%d MB: opened in %s, %d bytes read", megabytes, took, read[megabytes])
		if took > 5*time.Second {
			t.Errorf("opening %d MB took %s", megabytes, took)
		}
		closeLog(t, l)
	}
	if read[40] > read[2]+4<<20 {
		t.Errorf("opening 40 MB read %d bytes, opening 2 MB %d", read[40], read[2])
	}
}

// readBytes is what this process has read by system calls.
func readBytes(t *testing.T) int64 {
	t.Helper()
	return int64(procNumber("/proc/self/io", "rchar:"))
}
