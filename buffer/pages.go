package buffer

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// residentBound is how many bytes of mapped files may be resident before the engine's tables are asked to leave.
const residentBound = 24 << 20

// releasePages takes the pages of the engine's tables out of the resident memory, if there are many. The engine
// writes and reads tables through memory maps and never lets go of their pages, so that a backlog would look like
// memory in use, and be it for a cgroup. MADV_PAGEOUT never changes what memory holds, so that a map that came or
// went since /proc was read does no harm. Kernels before 5.4 refuse it; then nothing happens.
func releasePages(dir string) {
	if residentFiles() < residentBound {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	prefix := []byte(dir + "/")
	for line := range bytes.Lines(maps) {
		line = bytes.TrimSpace(line)
		if !bytes.HasSuffix(line, []byte(".sst")) || !bytes.Contains(line, prefix) {
			continue
		}
		span, _, _ := bytes.Cut(line, []byte(" "))
		from, to, ok := bytes.Cut(span, []byte("-"))
		start, err1 := strconv.ParseUint(string(from), 16, 64)
		end, err2 := strconv.ParseUint(string(to), 16, 64)
		if !ok || err1 != nil || err2 != nil || end <= start {
			continue
		}
		// An error is an old kernel, or a map that went: nothing to do about it.
		_, _, _ = syscall.Syscall(unix.SYS_MADVISE, uintptr(start), uintptr(end-start), unix.MADV_PAGEOUT)
	}
}

// residentFiles is the part of our resident memory that is mapped files.
func residentFiles() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := bytes.Fields(statm)
	if len(fields) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[2]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
