package main

import (
	"fmt"
	"net"
	"strings"
	"time"
)

// notifier tells systemd how the service is (sd_notify(3)). A nil one, where nobody asked, says nothing. Safe for
// concurrent use, but for status.
type notifier struct {
	conn *net.UnixConn
	last string // the last status
}

// openNotifier connects to the socket that systemd names, also an abstract one ("@…"); nil if it names none.
func openNotifier(getenv func(string) string) (*notifier, error) {
	name := getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil, nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("connect to $NOTIFY_SOCKET: %w", err)
	}
	return &notifier{conn: conn}, nil
}

// send sends assignments such as READY=1 as one message. It never blocks for long; a message that is lost is lost: the
// worst that follows is a restart.
func (n *notifier) send(assignments ...string) {
	if n == nil {
		return
	}
	if n.conn.SetWriteDeadline(time.Now().Add(time.Second)) == nil {
		_, _ = n.conn.Write([]byte(strings.Join(assignments, "\n")))
	}
}

// status sends a status if it is another than the last. Called by one goroutine.
func (n *notifier) status(text string) {
	if n == nil || n.last == text {
		return
	}
	n.last = text
	n.send("STATUS=" + text)
}

func (n *notifier) close() {
	if n != nil {
		_ = n.conn.Close() // there is nothing to be done about it at the very end
	}
}
