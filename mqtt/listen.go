package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"
)

// listener is a Listener that is bound.
type listener struct {
	net.Listener
	tls *tls.Config
}

// spareConns is how many connections beyond MaxClients may be there without being clients: those that have not yet
// sent their CONNECT, and those that come to take over.
const spareConns = 256

// listen binds all listeners, or none.
func (b *Broker) listen() error {
	for _, l := range b.o.Listeners {
		bound, err := b.bind(l)
		if err != nil {
			return errors.Join(err, b.Close())
		}
		b.listeners = append(b.listeners, listener{bound, l.TLS})
	}
	return nil
}

func (b *Broker) bind(l Listener) (net.Listener, error) {
	open := func(addr *net.TCPAddr) error {
		if !b.o.Policy.Anonymous() || addr.IP.IsLoopback() {
			return nil
		}
		return fmt.Errorf("listen on %s: no user is configured, so anyone in the network could publish: add a user with "+
			"\"gateway user add\" and name the users file in mqtt.users_file, or listen on 127.0.0.1", l.Address)
	}
	if l.TLS != nil {
		if err := CertificateDates(l.TLS, time.Now()); err != nil {
			b.log.Warn("certificate dates", "address", l.Address, "error", err)
		}
	}
	addr, err := net.ResolveTCPAddr("tcp", l.Address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w: give host:port, such as 127.0.0.1:1883", l.Address, err)
	}
	if err := open(addr); err != nil {
		return nil, err
	}
	bound, err := net.ListenTCP("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on %s: the port is taken: stop the other MQTT broker or gateway that has it, "+
			"or choose another port in mqtt.listen: %w", l.Address, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen on %s: not permitted: choose a port above 1023 in mqtt.listen: %w", l.Address, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen on %s: this machine does not have that address: %w", l.Address, err)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", l.Address, err)
	}
	return bound, nil
}

// accept accepts connections until the listener is closed.
func (b *Broker) accept(ctx context.Context, l listener) {
	pause := time.NewTimer(0)
	defer pause.Stop()
	<-pause.C
	failures := &throttle{log: b.log, message: "cannot accept connections: are there too many open files?", relief: "connections are accepted again"}
	for {
		raw, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			failures.report(err.Error())
			pause.Reset(100 * time.Millisecond)
			select {
			case <-pause.C:
				continue
			case <-ctx.Done():
				return
			}
		}
		failures.over()
		b.stats.connections.Add(1)
		b.wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					b.panicked("connection", p)
					_ = raw.Close() // the panic is what matters
				}
			}()
			if n := b.open.Add(1); n <= b.maxOpen {
				b.serve(ctx, raw, l.tls)
			} else {
				b.crowded.report("")
				_ = raw.Close() // nobody knows it yet
			}
			b.open.Add(-1)
		})
	}
}
