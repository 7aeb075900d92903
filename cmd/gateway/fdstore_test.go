package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestStoredFiles: what systemd keeps is sent with its name, and a process that is given it finds it under that name, once.
func TestStoredFiles(t *testing.T) {
	t.Parallel()
	if names := os.Getenv("GATEWAY_TEST_STORED"); names != "" {
		files := storedFiles(os.Getenv, os.Unsetenv)
		for _, name := range strings.Split(names, ",") {
			f := files[name]
			if f == nil {
				t.Fatalf("%s is not among %v", name, files)
			}
			if _, err := f.WriteString(name); err != nil {
				t.Fatal(err)
			}
		}
		if os.Getenv("LISTEN_FDS") != "" || storedFiles(os.Getenv, os.Unsetenv) != nil {
			t.Error("the variables are still there")
		}
		return
	}
	path := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = systemd.Close() }()
	n, err := openNotifier(func(string) string { return path })
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if err := n.keepFile("output/chip/GPIO17/high/off", w); err != nil {
		t.Fatal(err)
	}
	text, rights := make([]byte, 1000), make([]byte, 1000)
	k, kr, _, _, err := systemd.ReadMsgUnix(text, rights)
	if err != nil || string(text[:k]) != "FDSTORE=1\nFDNAME=output/chip/GPIO17/high/off" {
		t.Fatalf("got %q, %v", text[:k], err)
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:kr])
	if err != nil || len(messages) != 1 {
		t.Fatal(messages, err)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		t.Fatal(fds, err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	kept := os.NewFile(uintptr(fds[0]), "kept")
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	// The shell says which process it is, and becomes it.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" -test.run '^TestStoredFiles$'`, os.Args[0])
	cmd.Env = append(os.Environ(), "GATEWAY_TEST_STORED=first,output/chip/GPIO17/high/off", "LISTEN_FDS=2", "LISTEN_FDNAMES=first:output/chip/GPIO17/high/off")
	first, err := os.Create(filepath.Join(t.TempDir(), "first"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.ExtraFiles = []*os.File{first, kept}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := kept.Close(); err != nil {
		t.Fatal(err)
	}
	if k, err := r.Read(text); err != nil || string(text[:k]) != "output/chip/GPIO17/high/off" {
		t.Errorf("got %q, %v through the kept descriptor", text[:k], err)
	}
	for name, env := range map[string]map[string]string{
		"another process": {"LISTEN_PID": "1", "LISTEN_FDS": "1"}, "none": {}, "nonsense": {"LISTEN_PID": "x", "LISTEN_FDS": "-3"},
	} {
		if got := storedFiles(func(key string) string { return env[key] }, func(string) error { return nil }); got != nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
