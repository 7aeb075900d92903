// Package mqtt is the gateway's MQTT broker: the source of what devices publish. It has two halves. What devices
// publish is handled at their connections: a frame is read, decided about, handed to the log, and acknowledged after
// the log has synced it. Connections, sessions, subscriptions, retained messages and what is delivered to subscribers
// here are mochi's, which sees our connection in the place of the client's. A router hands it what was published,
// behind the commit, and nobody's acknowledgement waits for that.
//
// MQTT 3.1, 3.1.1 and 5.0 (OASIS Standard, 7 March 2019) are spoken, QoS 0, 1 and 2.
package mqtt

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"gateway"
)

// Log is where publishes go. Submit copies what it needs of the batch before it returns, and calls done once, if it
// returns nil, when the batch is durable or never will be: in the order of the calls, from one goroutine, and done
// does not block. Submit may wait for room until ctx ends; it returns gateway.ErrFull at once when the log is full
// for longer, and another error only when the log has failed for good. Called by many connections at the same time.
type Log interface {
	Submit(ctx context.Context, batch gateway.Batch, done func(last gateway.Offset, err error)) error
	// Recent calls fn with the newest events, oldest first, and the marks that they were submitted with (see gateway.Batch),
	// as far back as the log cares to keep them. fn's error ends it and is returned. Called once, when a device first sends again.
	Recent(fn func(e *gateway.Entry, mark uint32) error) error
}

// Listener is an address to listen on.
type Listener struct {
	// Address is host:port. A host that is not loopback needs users: see Policy.Anonymous.
	Address string
	// TLS is nil for plain TCP.
	TLS *tls.Config
}

// Options configure a Broker. Numbers and times that are zero or less stand for the value in their comment.
type Options struct {
	// GatewayID is the authority of the events' sources.
	GatewayID string
	// LogID is the log's: with GatewayID it tells the gateway's own events from those of another that was given the same id.
	LogID     string
	Listeners []Listener
	// Policy says who may do what.
	Policy *Policy
	// Capture says which topics go through the log.
	Capture Capture
	// MaxPacketSize bounds what a client may send as one packet, in bytes: 256 KiB.
	MaxPacketSize int
	// ConnectTimeout is how long a new connection has for its CONNECT: 10 s.
	ConnectTimeout time.Duration
	// FullTimeout is how long a publish waits for room in a full log before its client is disconnected: 30 s.
	FullTimeout time.Duration
	// MaxClients bounds how many clients are connected: 10,000.
	MaxClients int
	// WriteBuffer bounds the bytes that wait to be sent to one client: 1 MiB, and never less than twice MaxPacketSize.
	WriteBuffer int
	// RouteQueue bounds the publishes that wait to be routed to local subscribers: 10,000.
	RouteQueue int
	// ReceiveMaximum is how many unacknowledged QoS 1 and 2 publishes an MQTT 5 client may have: 1,024.
	ReceiveMaximum uint16
	// Logger may be nil.
	Logger *slog.Logger
}

func (o *Options) complete() error {
	if o.Policy == nil {
		return errors.New("mqtt: no policy is given")
	}
	if err := o.Capture.Validate(); err != nil {
		return err
	}
	orInt := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	orInt(&o.MaxPacketSize, 256<<10)
	orInt(&o.MaxClients, 10_000)
	orInt(&o.WriteBuffer, 1<<20)
	orInt(&o.RouteQueue, 10_000)
	o.WriteBuffer = max(o.WriteBuffer, 2*o.MaxPacketSize)
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	if o.FullTimeout <= 0 {
		o.FullTimeout = 30 * time.Second
	}
	if o.ReceiveMaximum == 0 {
		o.ReceiveMaximum = 1024
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Broker is the MQTT broker. New acquires, Run serves, Close releases.
type Broker struct {
	o         Options
	log       *slog.Logger
	sink      Log
	server    *mochi.Server
	listeners []listener
	router    *router
	waiting   waiting
	sessions  sessions
	retries   *retries
	started   time.Time
	stats     stats
	full      *throttle // the log is full
	unfit     *throttle // publishes that the log can never take
	slowRoute *throttle // the routing queue is full
	evicted   *throttle // sessions ended because there are too many
	laggard   *throttle // deliveries that find no room to wait
	crowded   *throttle // more connections than allowed
	hoard     *throttle // retained publishes beyond the bound
	refused   *throttle // connections that got no session
	denied    *throttle // publishes that no rule allows
	looping   *throttle // events that were here before
	unheard   *throttle // subscriptions refused
	faulty    *throttle // clients disconnected over what they sent
	deaf      *throttle // clients disconnected because they do not read

	workspaces, batches, buffers sync.Pool

	open        atomic.Int64 // connections
	maxOpen     int64        // bounds open
	clients     atomic.Int64
	subscribers atomic.Int64 // sessions that subscribed to something
	running     atomic.Bool
	stopping    atomic.Bool
	failed      atomic.Bool // the log has failed
	stopTime    atomic.Pointer[time.Time]
	keeperWake  chan struct{} // size one

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu
	wg    sync.WaitGroup     // of connections
}

// New makes the broker and listens, but accepts nothing yet. It refuses an address that is not loopback while no
// user is configured.
func New(o Options, log Log) (*Broker, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	b := &Broker{
		o: o, log: o.Logger, sink: log, started: time.Now(), retries: newRetries(),
		keeperWake: make(chan struct{}, 1), conns: map[*conn]struct{}{},
	}
	b.sessions = newSessions(b)
	b.makeThrottles()
	if err := b.newServer(); err != nil {
		return nil, err
	}
	b.maxOpen = openBound(o.MaxClients, fileLimit())
	if b.maxOpen < int64(b.o.MaxClients) {
		b.log.Warn("fewer clients than max_clients can connect: the system allows this process too few open files",
			"connections", b.maxOpen, "max_clients", b.o.MaxClients, "hint", "raise LimitNOFILE in the unit, or ulimit -n")
	}
	b.router = newRouter(b, o.RouteQueue)
	if err := b.listen(); err != nil {
		return nil, err
	}
	return b, nil
}

// newServer makes mochi's half. Its Serve is never called: that would only start its clock, which is the wall clock.
func (b *Broker) newServer() error {
	capabilities := mochi.NewDefaultServerCapabilities()
	capabilities.MaximumClients = math.MaxInt64 // ours is asked before
	capabilities.MaximumMessageExpiryInterval = 0
	capabilities.MaximumClientWritesPending = deliveryQueue
	capabilities.MaximumInflight = 2048
	capabilities.ReceiveMaximum = b.o.ReceiveMaximum
	capabilities.TopicAliasMaximum = 0 // ours is in hooks
	b.server = mochi.New(&mochi.Options{
		Capabilities:             capabilities,
		ClientNetReadBufferSize:  64, // a frame is read from our memory
		ClientNetWriteBufferSize: 1,  // each packet is one Write
		InlineClient:             false,
		Logger:                   slog.New(quiet{b.log.Handler()}),
	})
	if err := b.server.AddHook(&hooks{b: b}, nil); err != nil {
		return fmt.Errorf("mqtt: %w", err)
	}
	return nil
}

// drainTime is how long a stop waits for the log to take what it was handed.
const drainTime = 5 * time.Second

// Run serves until ctx ends. It then accepts nothing more, waits (a few seconds at most) until what was handed to the
// log is durable and acknowledged, disconnects the clients, and returns when all its goroutines have ended. Once only.
func (b *Broker) Run(ctx context.Context) error {
	if !b.running.CompareAndSwap(false, true) {
		return errors.New("mqtt: Run was called before")
	}
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(nil)
	var accepting, background sync.WaitGroup
	background.Go(b.router.run)
	background.Go(func() { b.keep(inner) })
	for _, l := range b.listeners {
		accepting.Go(func() { b.accept(inner, l) })
	}
	<-ctx.Done()
	until := time.Now().Add(drainTime)
	b.stopTime.Store(&until)
	b.stopping.Store(true)
	err := b.Close()
	accepting.Wait()
	cancel(packets.ErrServerShuttingDown)
	b.shutAll(packets.ErrServerShuttingDown)
	b.wg.Wait()
	b.awaitDetached(ctx)
	b.router.stop()
	background.Wait()
	return err
}

func (b *Broker) stopBy() time.Time { return *b.stopTime.Load() }

// Close closes the listeners. Run, if it was called, ends with its context. Calling Close twice is fine.
func (b *Broker) Close() error {
	var errs []error
	for _, l := range b.listeners {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			errs = append(errs, fmt.Errorf("close listener %s: %w", l.Addr(), err))
		}
	}
	return errors.Join(errs...)
}

// Addrs are the addresses that the broker listens on, in the order of Options.Listeners.
func (b *Broker) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(b.listeners))
	for i, l := range b.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// Canary returns nil when the router has worked off all that waited when Canary was called. Called by the watchdog.
func (b *Broker) Canary(ctx context.Context) error {
	if b.failed.Load() {
		return errors.New("mqtt: the log has failed, and all clients were disconnected: see the log's error")
	}
	if err := b.router.pass(ctx); err != nil {
		return fmt.Errorf("mqtt: routing makes no progress: %w", err)
	}
	return nil
}

// seconds is the monotonic time since the broker was made, and never 0.
func (b *Broker) seconds() int64 { return 1 + int64(time.Since(b.started)/time.Second) }

func (b *Broker) enlist(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.conns[c] = struct{}{}
}

func (b *Broker) strike(c *conn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.conns, c)
	c.topics, c.aliases, c.pass = topics{}, nil, nil // mochi keeps the connection with a session that lasts
}

func (b *Broker) shutAll(code packets.Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.conns {
		c.shut(code)
	}
}

// logFailed ends it for all clients: nothing that they publish can be kept. It does not block.
func (b *Broker) logFailed(err error) {
	if b.failed.Swap(true) {
		return
	}
	b.log.Error("log failed: all clients are disconnected until the gateway is restarted", "error", err)
	b.wakeKeeper()
}

func (b *Broker) panicked(what string, cause any, attrs ...any) {
	b.stats.panics.Add(1)
	b.log.Error("panic contained: please report it", append(attrs, "in", what, "panic", fmt.Sprint(cause), "stack", string(debug.Stack()))...)
}
