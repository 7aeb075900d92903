package load

import (
	"fmt"
	"net"
	"time"

	"gateway/internal/load/wire"
)

// Idle opens n connections that finish their CONNECT and then say nothing. The returned function closes them.
func Idle(addr, prefix string, n int, patience time.Duration) (closeAll func(), err error) {
	conns := make([]net.Conn, 0, n)
	closeAll = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	for i := range n {
		conn, _, err := wire.Dial(addr, wire.Options{ClientID: fmt.Sprintf("%s-%05d", prefix, i)}, patience)
		if err != nil {
			closeAll()
			return nil, fmt.Errorf("idle connection %d of %d: %w", i+1, n, err)
		}
		conns = append(conns, conn)
	}
	return closeAll, nil
}
