package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"gateway/internal/faultproxy"
	"gateway/internal/load/wire"
	"gateway/test/rig"
)

// upstream is a Mosquitto on the host, the line to it that the guest uses, which can be cut, and a recorder of what arrives there. The recorder and what
// sends commands use a good line of their own.
type upstream struct {
	broker *rig.Broker
	line   *faultproxy.Proxy
	ledger *ledger
	done   chan struct{} // closed when the recorder has ended
	cancel context.CancelFunc
}

// startUpstream starts everything; its name must be new for each, for the logs.
func (l *lab) startUpstream(ctx context.Context, name string) (*upstream, error) {
	broker, err := rig.StartMosquitto(ctx, l.dir, name+"-mosquitto", "", "persistence false")
	if err != nil {
		return nil, err
	}
	u := &upstream{broker: broker, ledger: newLedger(), done: make(chan struct{})}
	if u.line, err = faultproxy.New(broker.Addr); err != nil {
		broker.Kill()
		return nil, err
	}
	recording, cancel := context.WithCancel(context.WithoutCancel(ctx))
	u.cancel = cancel
	if err := u.record(recording); err != nil {
		cancel()
		return nil, errors.Join(err, u.line.Close(), killed(broker))
	}
	return u, nil
}

func killed(b *rig.Broker) error {
	b.Kill()
	return nil
}

// close ends all of it.
func (u *upstream) close() {
	u.cancel()
	<-u.done
	_ = u.line.Close() // what it could say is of no interest any more
	u.broker.Kill()
}

// url is where the guest finds the line: qemu's user network has the host at 10.0.2.2.
func (u *upstream) url() string {
	_, port, _ := net.SplitHostPort(u.line.Addr()) // it listens there, so it has a port
	return "tcp://10.0.2.2:" + port
}

// record subscribes to everything and writes down what arrives until ctx ends.
func (u *upstream) record(ctx context.Context) error {
	conn, _, err := wire.Dial(u.broker.Addr, wire.Options{ClientID: "recorder"}, 10*time.Second)
	if err != nil {
		return err
	}
	r := wire.NewReader(conn, 64<<10)
	if _, err := conn.Write(wire.AppendSubscribe(nil, 1, "#", 1)); err != nil {
		conn.Close()
		return err
	}
	if first, body, err := r.Next(); err != nil || first != wire.Suback || len(body) != 3 || body[2] > 2 {
		conn.Close()
		return fmt.Errorf("subscribe at the upstream: packet 0x%02x % x, %w", first, body, err)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	go func() {
		defer close(u.done)
		defer stop()
		defer conn.Close()
		u.ledger.ended(u.listen(ctx, conn, r))
	}()
	return nil
}

func (u *upstream) listen(ctx context.Context, conn net.Conn, r *wire.Reader) error {
	for {
		first, body, err := r.Next()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("record at the upstream: %w", err)
		}
		if first&0xf0 != wire.Publish {
			continue
		}
		m, err := wire.ParsePublish(first, body)
		if err != nil {
			return err
		}
		if !strings.HasPrefix(string(m.Topic), "commands/") { // those are ours
			if err := u.ledger.arrived(m.Payload); err != nil {
				return err
			}
		}
		if m.QoS == 0 {
			continue
		}
		if _, err := conn.Write(wire.AppendAck(nil, wire.Puback, m.ID)); err != nil {
			return err
		}
	}
}

// publish sends a message to a broker, acknowledged.
func publish(addr string, o wire.Options, topic string, payload []byte) error {
	conn, _, err := wire.Dial(addr, o, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write(wire.AppendPublish(nil, topic, 1, 1, false, payload)); err != nil {
		return err
	}
	if first, body, err := wire.NewReader(conn, 4<<10).Next(); err != nil || first != wire.Puback {
		return fmt.Errorf("publish %s: packet 0x%02x % x, %w", topic, first, body, err)
	}
	return nil
}
