package mqtt

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"reflect"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// conn is a client's connection. To mochi it is the net.Conn of the client: what mochi reads from it are the
// client's frames, one at a time and without PUBLISH and PUBREL, which are handled on the way (see nextPass), and
// what mochi writes never blocks. All its methods but those of net.Conn that write or close, send, shut and stop
// belong to the connection's own goroutine.
type conn struct {
	b   *Broker
	raw net.Conn
	in  reader
	out outbox
	log *slog.Logger // with the client's address and, once it is known, its id

	// ctx ends when the connection has to: it bounds every wait of the connection's goroutine. It is a field
	// because mochi stands between the goroutine's start and Read.
	ctx    context.Context
	cancel context.CancelCauseFunc

	// Since CONNECT.
	s         *session
	mapper    *mapper
	user, id  string
	v5        bool
	clean     bool   // the CONNECT asked for a new session
	lasting   bool   // the session outlives the connection
	expiry    uint32 // of the session, in seconds; all ones: never
	will      *will  // nil once it is cancelled
	assigned  bool   // the id is ours
	keepAlive time.Duration

	// Reading.
	ws        *workspace // nil while nothing is there
	batch     *batch     // gathered from ws; nil while nothing is
	topics    topics
	aliases   map[uint16]*topic
	taken     int64  // QoS 1 and 2 publishes taken; less acknowledged is what the Receive Maximum bounds
	published bool   // there may be publishes that are not yet routed
	pass      []byte // the rest of the frame that mochi is reading
	passHolds bool   // routing stands still while mochi handles it
	holding   bool   // the router is held
	resuming  bool   // mochi is handling CONNECT
	gone      bool   // the client left by itself
	token     chan struct{}
	subID     uint16 // packet id of the SUBSCRIBE or UNSUBSCRIBE that mochi handles
	counts    counts

	// Publishes that are sent again. See kept.
	owing    owing     // guarded by s.mu
	tail     []kept    // of the client's previous connection
	recalled bool      // and the log has no more to say about it
	ids      packetIDs // of the client's publishes

	welcome, told atomic.Bool  // CONNACK was sent; DISCONNECT was
	hanging       atomic.Bool  // hangUp is under way
	acknowledged  atomic.Int64 // see taken

	// Deliveries. See awaitDelivery.
	queue    reflect.Value // mochi's, a channel
	awaiting atomic.Bool
	moved    chan struct{} // size one
}

var _ net.Conn = (*conn)(nil)

// lingerTime is how long a client may take to notice that it was disconnected.
const lingerTime = 300 * time.Millisecond

// Causes for which a connection's context ends.
var (
	errEnded     = errors.New("the connection ended")
	errOverflow  = errors.New("the client does not read what is sent to it")
	errKeepAlive = errors.New("the client was silent for one and a half times its keep-alive")
	errSilent    = errors.New("no complete CONNECT came in time")
)

func (b *Broker) newConn(ctx context.Context, raw net.Conn) *conn {
	c := &conn{b: b, raw: raw, moved: make(chan struct{}, 1), log: b.log.With("remote", raw.RemoteAddr().String())}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	c.owing.all = &b.retries.live
	c.out = outbox{raw: raw, try: newDirectWriter(raw), peer: newPeerView(raw), spare: &b.buffers, base: b.o.WriteBuffer, limit: b.o.WriteBuffer, fail: c.stop}
	return c
}

// Read gives mochi the next frame, or the rest of it. mochi asks for one when it is done with the one before.
func (c *conn) Read(p []byte) (int, error) {
	c.letRoute()
	if len(c.pass) == 0 {
		if err := c.nextPass(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.pass)
	c.pass = c.pass[n:]
	if len(c.pass) == 0 && c.passHolds {
		c.passHolds = false
		c.holdRoutes()
	}
	return n, nil
}

// holdRoutes stops the router while mochi changes what it routes by: a session that is taken over keeps what is
// routed to it meanwhile, and a subscriber gets each retained message once.
func (c *conn) holdRoutes() {
	c.b.router.hold.Lock()
	c.holding = true
}

func (c *conn) letRoute() {
	if !c.holding {
		return
	}
	c.holding = false
	if c.resuming { // mochi has sent again what was in flight, in one go
		c.resuming = false
		c.out.allowBacklog()
	}
	c.b.router.hold.Unlock()
}

// Write takes a whole packet that mochi encoded: it writes each one by itself, because its write buffer is set to
// one byte. It never blocks.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) == 0 || c.ctx.Err() != nil {
		return 0, net.ErrClosed
	}
	switch p[0] >> 4 {
	case packets.Connack:
		_, size, err := varint(p[1:])
		c.welcome.Store(err == nil && len(p) > 2+size && p[2+size] == 0)
	case packets.Disconnect:
		if !c.v5 || !c.welcome.Load() {
			return len(p), nil // a server cannot send it before MQTT 5, nor before CONNACK (MQTT-3.14.0-1)
		}
		c.told.Store(true)
	case packets.Publish:
		return len(p), c.deliver(p)
	}
	c.send(p)
	return len(p), nil
}

// deliver sends a PUBLISH within the client's Receive Maximum.
func (c *conn) deliver(p []byte) error {
	c.out.mu.Lock()
	fits := c.out.closed || c.out.backlog()+len(p) <= c.out.limit
	if fits && (c.out.flow == nil || c.out.closed || c.out.flow.pass(p)) {
		fits = c.out.putLocked(p)
	}
	c.out.mu.Unlock()
	if !fits {
		c.overflow()
		return errOverflow
	}
	return nil
}

// send puts whole packets into the outbox. It never blocks; a client that lets too much gather is closed. It returns
// where in the output they stand, -1 if the connection has ended. Safe for concurrent use.
func (c *conn) send(p []byte) (start int64) {
	start, ok := c.out.put(p)
	if !ok {
		c.overflow()
	}
	return start
}

func (c *conn) overflow() {
	if c.ctx.Err() != nil {
		return
	}
	c.b.stats.overflows.Add(1)
	c.out.discard()
	c.stop(errOverflow) // live logs it
}

// acknowledgement makes room for held deliveries.
func (c *conn) acknowledgement(f frame) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.flow == nil || c.out.closed {
		return
	}
	limit := c.out.limit
	c.out.limit = int(^uint(0) >> 1) // what was held was counted when it came
	for _, raw := range c.out.flow.finished(f) {
		c.out.putLocked(raw)
	}
	c.out.limit = limit
}

// Close is mochi's end of the connection: what was written before is still sent. Safe for concurrent use.
func (c *conn) Close() error {
	c.stop(errEnded)
	return nil
}

// shut ends the connection for a reason that an MQTT 5 client is told. Safe for concurrent use.
func (c *conn) shut(code packets.Code) { c.stop(code) }

// stop wakes the connection's goroutine, wherever it waits, to end the connection. The first cause counts. Safe for
// concurrent use.
func (c *conn) stop(cause error) {
	c.cancel(cause)
	if !c.hanging.Load() {
		_ = c.raw.SetReadDeadline(time.Unix(1, 0)) // an error means that it is closed
	}
}

// farewell tells an MQTT 5 client why the connection ends, unless it is the client that ends it or mochi has told it:
// for the cause that the connection was stopped for, or the error that mochi ended with.
func (c *conn) farewell(err error) {
	var code packets.Code
	cause := context.Cause(c.ctx)
	if !c.v5 || !c.welcome.Load() || c.told.Load() || !errors.As(cause, &code) && !errors.As(err, &code) || code.Code < packets.ErrUnspecifiedError.Code {
		return
	}
	c.send([]byte{packets.Disconnect << 4, 2, code.Code, 0})
}

// hangUp writes what is left and closes the socket. If it is us who end the connection, the client is given a moment
// to read that: closing over unread input would reset the connection and destroy it.
func (c *conn) hangUp() {
	c.hanging.Store(true)
	c.out.drain()
	if tcp, ok := c.raw.(*net.TCPConn); ok && !c.gone && tcp.CloseWrite() == nil {
		_ = tcp.SetReadDeadline(time.Now().Add(lingerTime))
		_, _ = io.Copy(io.Discard, io.LimitReader(tcp, 1<<20))
	}
	if err := c.raw.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		c.log.Debug("close socket", "error", err)
	}
}

// LocalAddr is part of net.Conn.
func (c *conn) LocalAddr() net.Addr { return c.raw.LocalAddr() }

// RemoteAddr is part of net.Conn.
func (c *conn) RemoteAddr() net.Addr { return c.raw.RemoteAddr() }

// SetDeadline is mochi's keep-alive, which does not see PUBLISH frames: ours is in fill.
func (c *conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline is part of net.Conn, see SetDeadline.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is part of net.Conn; writes never wait.
func (c *conn) SetWriteDeadline(time.Time) error { return nil }
