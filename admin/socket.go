package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SocketName is the file name of the local API in the data directory.
const SocketName = "gateway.sock"

// maxSocketPath is what a socket's address holds, without the zero byte at its end.
const maxSocketPath = 107

// dialTimeout bounds how long a connection may take.
const dialTimeout = 10 * time.Second

// socketMode lets in whom the gateway runs as, and root.
const socketMode = 0o600

// socketListener is a listener whose socket may be reached through an open folder.
type socketListener struct {
	net.Listener
	folder *os.File // nil where the path is short enough
}

// Close stops listening and removes the socket.
func (l *socketListener) Close() error {
	err := l.Listener.Close()
	if l.folder != nil {
		err = errors.Join(err, l.folder.Close())
	}
	return err
}

// listenSocket makes the socket at path. One that is there is of a process that has ended: the caller has the lock of the folder.
func listenSocket(path string) (net.Listener, error) {
	if info, err := os.Lstat(path); err == nil {
		if info.Mode().Type() != fs.ModeSocket {
			return nil, fmt.Errorf("%s is not a socket: move it away and restart the gateway", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the socket of a gateway that has ended: %w", err)
		}
	}
	address, folder, err := socketAddress(path)
	if err != nil {
		return nil, err
	}
	config := net.ListenConfig{Control: restrict}
	l, err := config.Listen(context.Background(), "unix", address)
	if err != nil {
		if folder != nil {
			folder.Close()
		}
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	return &socketListener{l, folder}, nil
}

// restrict sets the mode of a socket before it has a name, so that nobody else gets in for a moment.
func restrict(_, _ string, c syscall.RawConn) error {
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.Fchmod(int(fd), socketMode) }); err != nil {
		return err
	}
	return failed
}

// socketAddress is path as the address of a socket: where it is too long, by way of the open folder, which has to stay
// open while the address is used.
func socketAddress(path string) (address string, folder *os.File, err error) {
	if len(path) <= maxSocketPath {
		return path, nil, nil
	}
	folder, err = os.OpenFile(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return "", nil, err
	}
	return filepath.Join("/proc/self/fd", strconv.Itoa(int(folder.Fd())), filepath.Base(path)), folder, nil
}

// ErrNotRunning says that no gateway answers at the socket.
var ErrNotRunning = errors.New("no gateway is running")

// dialSocket connects to the socket at path. The error wraps ErrNotRunning where nobody listens there.
func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	address, folder, err := socketAddress(path)
	if err == nil {
		if folder != nil {
			defer folder.Close()
		}
		dialer := net.Dialer{Timeout: dialTimeout}
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, "unix", address); err == nil {
			return conn, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("connect to the gateway at %s: %w: use sudo, or run as the gateway's user", path, fs.ErrPermission)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ENOTSOCK):
		return nil, fmt.Errorf("%w at %s", ErrNotRunning, path)
	}
	return nil, fmt.Errorf("connect to the gateway at %s: %w", path, err)
}
