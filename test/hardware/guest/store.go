package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"gateway/test/hardware/talk"
)

// store keeps descriptors for a program over its restarts, as systemd does (FileDescriptorStoreMax).
type store struct {
	conn *net.UnixConn
	path string

	add    chan kept
	remove chan string
	take   chan chan []kept
}

type kept struct {
	name string
	file *os.File
}

// openStore listens where the program is to send its descriptors.
func openStore(program string) (*store, error) {
	s := &store{path: "/run/notify-" + program, add: make(chan kept), remove: make(chan string), take: make(chan chan []kept)}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: s.path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	s.conn = conn
	go s.own()
	go s.listen()
	return s, nil
}

// own is the only one who touches what is kept.
func (s *store) own() {
	var all []kept
	for {
		select {
		case k := <-s.add:
			all = append(all, k)
		case name := <-s.remove:
			all = slices.DeleteFunc(all, func(k kept) bool {
				if k.name == name {
					_ = k.file.Close() // it is let go of
				}
				return k.name == name
			})
		case reply := <-s.take:
			reply <- slices.Clone(all)
		}
	}
}

// listen ends with the machine.
func (s *store) listen() {
	text, rights := make([]byte, 4<<10), make([]byte, 4<<10)
	for {
		n, rn, _, _, err := s.conn.ReadMsgUnix(text, rights)
		if err != nil {
			return
		}
		said := map[string]string{}
		for _, line := range strings.Split(string(text[:n]), "\n") {
			key, value, _ := strings.Cut(line, "=")
			said[key] = value
		}
		if said["FDSTOREREMOVE"] == "1" {
			s.remove <- said["FDNAME"]
		}
		for _, fd := range descriptors(rights[:rn]) {
			s.add <- kept{said["FDNAME"], os.NewFile(uintptr(fd), said["FDNAME"])}
		}
	}
}

func descriptors(rights []byte) (fds []int) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range messages {
		if more, err := syscall.ParseUnixRights(&messages[i]); err == nil {
			fds = append(fds, more...)
		}
	}
	return fds
}

// hand gives cmd the socket, and what was kept. Only the program itself knows its process id, so a shell becomes it.
func (s *store) hand(cmd *exec.Cmd) {
	reply := make(chan []kept)
	s.take <- reply
	var names []string
	for _, k := range <-reply {
		names = append(names, k.name)
		cmd.ExtraFiles = append(cmd.ExtraFiles, k.file)
	}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+s.path, fmt.Sprintf("LISTEN_FDS=%d", len(names)), "LISTEN_FDNAMES="+strings.Join(names, ":"))
	args := append([]string{"/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)
	cmd.Path, cmd.Args = args[0], args
}

// keeping is the store of the program, made at its first start; nil if it wants none.
func (a *agent) keeping(r *talk.Request) (*store, error) {
	if !r.Keep || a.stores[r.Name] != nil {
		return a.stores[r.Name], nil
	}
	s, err := openStore(r.Name)
	if err == nil {
		a.stores[r.Name] = s
	}
	return s, err
}
