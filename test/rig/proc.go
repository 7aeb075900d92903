package rig

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

// Memory is what a process holds of the machine's, in bytes: all of it, and the anonymous part.
type Memory struct{ RSS, Anon int64 }

// MemoryOf reads /proc/PID/status.
func MemoryOf(pid int) (Memory, error) {
	name := fmt.Sprintf("/proc/%d/status", pid)
	rss, err := procField(name, "VmRSS:")
	if err != nil {
		return Memory{}, err
	}
	anon, err := procField(name, "RssAnon:")
	return Memory{RSS: rss << 10, Anon: anon << 10}, err
}

// PeakMemory samples a process until ctx ends and returns the largest of each.
func PeakMemory(ctx context.Context, pid int) (Memory, error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var peak Memory
	for {
		m, err := MemoryOf(pid)
		if err != nil {
			return peak, err
		}
		peak.RSS, peak.Anon = max(peak.RSS, m.RSS), max(peak.Anon, m.Anon)
		select {
		case <-ctx.Done():
			return peak, nil
		case <-tick.C:
		}
	}
}

// Written is how many bytes a process has caused to be written to block devices (write_bytes of /proc/PID/io: counted
// when a page is made dirty, less what was cut off before it was written).
func Written(pid int) (int64, error) {
	name := fmt.Sprintf("/proc/%d/io", pid)
	wrote, err := procField(name, "write_bytes:")
	if err != nil {
		return 0, err
	}
	cancelled, err := procField(name, "cancelled_write_bytes:")
	return wrote - cancelled, err
}

// DeviceWritten is how many bytes the block device that dir is on has been written: by everybody, with the journal of
// the filesystem.
func DeviceWritten(dir string) (int64, error) {
	var st syscall.Stat_t
	if err := syscall.Stat(dir, &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", dir, err)
	}
	major, minor := st.Dev>>8&0xfff|st.Dev>>32&^0xfff, st.Dev&0xff|st.Dev>>12&^0xff
	b, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", major, uint32(minor)))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b)
	if len(fields) < 7 {
		return 0, fmt.Errorf("the device's stat has %d fields", len(fields))
	}
	sectors, err := strconv.ParseInt(string(fields[6]), 10, 64)
	return sectors * 512, err
}

// CPU is the user and system time that a process has used.
func CPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err := strconv.ParseInt(string(fields[11]), 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(string(fields[12]), 10, 64)
	return time.Duration(user+system) * 10 * time.Millisecond, err // USER_HZ is 100 on every Linux that Go runs on
}

func procField(file, field string) (int64, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		words := bytes.Fields(line)
		if len(words) >= 2 && string(words[0]) == field {
			return strconv.ParseInt(string(words[1]), 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, field)
}
