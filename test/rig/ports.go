package rig

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

// FreeAddr returns an address of 127.0.0.1 whose port is free now. It is below the range that outgoing connections
// take theirs from, so that it stays free until its server starts.
func FreeAddr() (string, error) {
	for range 100 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			continue
		}
		return addr, ln.Close()
	}
	return "", errors.New("found no free port in 100 tries")
}

// Accepts returns nil when something listens at addr.
func Accepts(addr string) error {
	conn, err := net.DialTimeout("tcp", addr, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}
