// Command guest is the rig's agent inside the virtual machine: it does what the rig asks for over a serial port of its own.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gateway/test/hardware/talk"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "AGENT-FAILED", err)
		os.Exit(1)
	}
}

// serve answers requests until the port ends, each in a goroutine of its own.
func serve() error {
	if err := trustClock(); err != nil {
		return err
	}
	name, err := findPort()
	if err != nil {
		return err
	}
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	a := &agent{port: talk.NewPort(file), running: map[string]*process{}, stores: map[string]*store{}}
	fmt.Println("AGENT-READY")
	for {
		var r talk.Request
		if err := a.port.Receive(&r); errors.Is(err, io.EOF) { // the rig has gone, and the machine with it
			return nil
		} else if err != nil {
			return err
		}
		go a.answer(&r)
	}
}

// findPort looks for the port by its name.
func findPort() (string, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil && strings.TrimSpace(string(text)) == talk.PortName {
			return "/dev/" + filepath.Base(filepath.Dir(name)), nil
		}
	}
	return "", fmt.Errorf("there is no serial port %s", talk.PortName)
}
