package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// listenerName is what mochi calls our connections.
const listenerName = "gateway"

// serve runs a connection, from its acceptance until its socket is closed.
func (b *Broker) serve(ctx context.Context, raw net.Conn, secure *tls.Config) {
	connectBy := time.Now().Add(b.o.ConnectTimeout)
	if secure != nil {
		wrapped := tls.Server(raw, secure)
		if err := shake(ctx, wrapped, connectBy); err != nil {
			b.log.Debug("TLS handshake failed", "remote", raw.RemoteAddr().String(), "error", err)
			_ = raw.Close() // the handshake's error is the one to tell
			return
		}
		raw = wrapped
	}
	c := b.newConn(ctx, raw)
	b.enlist(c)
	defer b.strike(c)
	defer c.cancel(errEnded)
	defer c.hangUp()
	defer c.dropWorkspace()
	err := c.guard("connect", func() error {
		if err := c.startReading(connectBy); err != nil {
			return err
		}
		return c.connect()
	})
	if err != nil {
		c.logRefusal(err)
		return
	}
	c.live(ctx)
}

func shake(ctx context.Context, conn *tls.Conn, by time.Time) error {
	if err := conn.SetDeadline(by); err != nil {
		return err
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// guard turns a panic, which only this connection dies of, into an error.
func (c *conn) guard(what string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.b.panicked(what, p, "client", c.id)
			err = fmt.Errorf("%s: panic: %w", what, packets.ErrUnspecifiedError)
			c.stop(err)
		}
	}()
	return f()
}

func (c *conn) logRefusal(err error) {
	var code packets.Code
	var why *refusal
	c.log.Debug("no session", "error", err)
	if errors.As(err, &why) || errors.As(err, &code) {
		c.b.refused.report(fmt.Sprintf("%s, user %.64q, client %.64q: %v", c.raw.RemoteAddr(), c.user, c.id, err))
	}
}

// live is the time in which the connection is its session's.
func (c *conn) live(ctx context.Context) {
	b := c.b
	b.clients.Add(1)
	defer b.clients.Add(-1)
	err := c.guard("serve client", func() error {
		c.begin(ctx)
		return b.server.EstablishConnection(listenerName, c)
	})
	c.letRoute()
	c.abandon()
	c.stop(errEnded)
	if b.stopping.Load() {
		c.s.awaitSettled(ctx)
	}
	c.logEnd(err)
	if gerr := c.guard("end session", func() error { c.leave(ctx); return nil }); gerr != nil {
		c.s.giveTurn()
	}
	c.farewell(err)
}

// logEnd says why the client's connection ended, if that is worth a line.
func (c *conn) logEnd(err error) {
	cause := context.Cause(c.ctx)
	c.log.Debug("client gone", "error", err, "cause", cause)
	var code packets.Code
	switch {
	case errors.Is(cause, errOverflow):
		c.b.deaf.report(c.id)
	case c.b.stopping.Load() || c.b.failed.Load() || errors.Is(cause, packets.ErrSessionTakenOver):
	case errors.As(err, &code) && code.Code >= packets.ErrUnspecifiedError.Code:
		c.b.faulty.report(c.id + ": " + code.Reason)
	}
}

// begin settles what an earlier connection of the session left: a will that waits is published if its session is
// over, and else cancelled (MQTT 5.0 section 3.1.3.2.2).
func (c *conn) begin(ctx context.Context) {
	s := c.s
	w := s.will
	s.will, s.expireAt = nil, time.Time{}
	c.joinTail()
	if c.clean {
		if w != nil {
			s.publishWill(ctx, w)
		}
		s.end()
	}
	if s.offline {
		s.offline = false
		s.b.sessions.release(s)
	}
}

// leave ends the connection's part in its session: the will, and the session itself or the time it has left.
func (c *conn) leave(ctx context.Context) {
	s := c.s
	c.leaveTail()
	c.leaveWill(ctx)
	if c.lasting {
		s.offline = true
		s.b.sessions.hold(s)
		if c.expiry != never {
			s.expireAt = time.Now().Add(time.Duration(c.expiry) * time.Second)
		}
	} else {
		s.b.forgetClient(s.id) // mochi leaves it there when the end came too early or by a panic
		s.end()
	}
	s.detach()
	evicts := c.lasting && s.b.sessions.leaveAlone(s)
	if due := s.giveTurn(); evicts || !due.IsZero() {
		s.b.wakeKeeper()
	}
	s.b.sessions.release(s)
}
