package main

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// firstStored is the first descriptor that systemd hands over (sd_listen_fds(3)).
const firstStored = 3

// storedFiles are the descriptors that systemd has kept for us over a restart (systemd.service(5), FileDescriptorStoreMax), by their names. The variables that say so
// are taken out of the environment.
func storedFiles(getenv func(string) string, unset func(string) error) map[string]*os.File {
	defer func() {
		for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
			_ = unset(name) // a name that is there can be taken out
		}
	}()
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 1 || getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	files := map[string]*os.File{}
	for i := range n {
		fd := firstStored + i
		syscall.CloseOnExec(fd)
		name := "unknown-" + strconv.Itoa(i)
		if i < len(names) {
			name = names[i]
		}
		file := os.NewFile(uintptr(fd), name)
		if _, twice := files[name]; file == nil || twice {
			if file != nil {
				_ = file.Close() // the first one of a name is as good
			}
			continue
		}
		files[name] = file
	}
	return files
}

// keepFile has systemd keep a duplicate of the file, by that name.
func (n *notifier) keepFile(name string, file *os.File) error {
	if n == nil {
		return nil
	}
	return n.sendFile("FDSTORE=1\nFDNAME="+name, file)
}

// letGo has systemd close what it keeps under the name.
func (n *notifier) letGo(name string) { n.send("FDSTOREREMOVE=1", "FDNAME="+name) }

// sendFile sends a message with a duplicate of the file's descriptor. File.Fd would make the file block.
func (n *notifier) sendFile(text string, file *os.File) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	out, err := n.conn.SyscallConn() // UnixConn.WriteMsgUnix does not work where the socket is connected
	if err != nil {
		return err
	}
	if err := n.conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	var failed error
	send := func(fd uintptr) error {
		return out.Write(func(socket uintptr) bool {
			failed = syscall.Sendmsg(int(socket), []byte(text), syscall.UnixRights(int(fd)), nil, syscall.MSG_NOSIGNAL)
			return !errors.Is(failed, syscall.EAGAIN)
		})
	}
	var late error
	if err := conn.Control(func(fd uintptr) { late = send(fd) }); err != nil {
		return err
	}
	return errors.Join(late, failed)
}
