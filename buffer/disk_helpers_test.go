package buffer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// insideDisk is set for the process of a test that has mounts of its own.
const insideDisk = "GATEWAY_BUFFER_TEST_MOUNTS"

// smallDisk gives a test a real file system of size bytes, "tmpfs" or "ext4". It runs the test once more in a process with a
// mount namespace, so that nothing is mounted for anybody else; there it returns the directory, and "" in the process outside,
// which has nothing left to do. Where mounting is not permitted the test is skipped, but not by CI.
func smallDisk(t *testing.T, kind string, size int64) string {
	t.Helper()
	if os.Getenv(insideDisk) == "" {
		runInside(t)
		return ""
	}
	dir := filepath.Join(t.TempDir(), "disk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil && kind == "tmpfs" {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size))
	}
	if err == nil && kind == "ext4" {
		err = mountImage(filepath.Join(filepath.Dir(dir), "image"), dir, size)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("mount a %s of %s: %v", kind, mib(size), err)
		}
		t.Skipf("a %s cannot be mounted here: %v", kind, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil && !errors.Is(err, unix.EINVAL) { // gone already
			t.Errorf("unmount: %v: something holds a file open", err)
		}
	})
	return dir
}

func mountImage(image, dir string, size int64) error {
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", image).CombinedOutput(); err != nil {
		return fmt.Errorf("mkfs.ext4: %w: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount: %w: %s", err, out)
	}
	return nil
}

// runInside runs the test that calls it in a process with mounts of its own.
func runInside(t *testing.T) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v", "-test.timeout=240s")
	cmd.Env = append(os.Environ(), insideDisk+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	switch {
	case errors.Is(err, syscall.EPERM) && os.Getenv("CI") != "true":
		t.Skipf("no mount namespace is permitted here: %v", err)
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	case regexp.MustCompile(`(?m)^\s*--- SKIP`).Match(out):
		t.Skipf("inside: %s", out)
	}
	t.Logf("inside:\n%s", out)
}

// noise is incompressible.
type noise struct{ rng *rand.ChaCha8 }

func newNoise(seed byte) noise { return noise{rand.NewChaCha8([32]byte{seed})} }

func (n noise) bytes(size int) []byte {
	data := make([]byte, size)
	_, _ = n.rng.Read(data)
	return data
}

// freeOn is what the file system of dir has left.
func freeOn(t *testing.T, dir string) int64 {
	t.Helper()
	free, err := freeBytes(dir)
	if err != nil {
		t.Fatal(err)
	}
	return free
}

// fillDisk writes a file until the disk has nothing left, as a neighbour does, and returns its path.
func fillDisk(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "neighbour")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	chunk := make([]byte, 256<<10)
	for size := len(chunk); size >= 512; {
		if _, err := f.Write(chunk[:size]); err == nil {
			continue
		} else if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		size /= 2
	}
	return path
}
