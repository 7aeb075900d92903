package mqttsource

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"gateway"
)

// goodbye bounds how long a DISCONNECT may take, and how long a dead client's goroutines are waited for.
const goodbye = time.Second

// connection is one connection to the broker, and the library's client on it. A message is acknowledged on the
// connection that it came on and on no other.
type connection struct {
	line    *line
	queue   *queue
	client  paho.Client
	present bool          // the broker had our session
	gone    chan struct{} // closed when the client's goroutines have ended after a lost connection
}

// connect makes a connection and logs in, within ConnectTimeout. Its errors have their class.
func (s *Source) connect(ctx context.Context) (*connection, error) {
	timeout := fmt.Errorf("no connection within %s (connect_timeout)", s.o.ConnectTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.ConnectTimeout, timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, classify(fmt.Errorf("connect to %s: %w", s.endpoint.address, because(ctx, err)))
	}
	c := &connection{line: newLine(conn, s.o.MaxPacket, len(slices.Compact(slices.Sorted(slices.Values(s.o.Topics)))), s.tooLarge), queue: newQueue(), gone: make(chan struct{})}
	c.client = paho.NewClient(s.clientOptions(c))
	stop := context.AfterFunc(ctx, func() { c.line.fail(context.Cause(ctx)) })
	defer stop()
	token, ok := c.client.Connect().(*paho.ConnectToken)
	if !ok {
		c.line.fail(errClosedByClient)
		return nil, fmt.Errorf("log in at %s: the library gave no connect token", s.endpoint.address)
	}
	<-token.Done() // bounded: the line fails when ctx ends
	if err := token.Error(); err != nil {
		c.line.fail(err)
		if code := token.ReturnCode(); code > 0 && code < 0xfe {
			err = refused(code)
		}
		return nil, classify(fmt.Errorf("log in at %s: %w", s.endpoint.address, because(ctx, err)))
	}
	c.present = token.SessionPresent()
	return c, nil
}

// because is the reason for which ctx ended, if it did, else err.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *Source) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.endpoint.address)
	if err != nil || !s.endpoint.secure {
		return conn, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.o.TLS != nil {
		config = s.o.TLS.Clone()
	}
	if config.ServerName == "" {
		config.ServerName = s.endpoint.host
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secured, nil
}

// clientOptions leave the library its handshake, its keep-alive and the acknowledgements that we order, and nothing that
// it would do again by itself. A session that was kept is there with messages at once, before anything is subscribed to,
// so it is the default handler that takes them.
func (s *Source) clientOptions(c *connection) *paho.ClientOptions {
	o := paho.NewClientOptions()
	o.AddBroker("tcp://" + s.endpoint.address) // what it is called; the connection is made already
	o.SetCustomOpenConnectionFn(func(*url.URL, paho.ClientOptions) (net.Conn, error) { return c.line, nil })
	o.SetClientID(s.o.ClientID).SetUsername(s.o.Username).SetPassword(s.o.Password)
	o.SetProtocolVersion(4).SetCleanSession(false).SetAutoReconnect(false).SetConnectRetry(false)
	o.SetAutoAckDisabled(true).SetOrderMatters(true)
	o.SetConnectTimeout(s.o.ConnectTimeout + goodbye) // connect's own limit comes first
	o.SetKeepAlive(s.o.KeepAlive)
	o.SetPingTimeout(s.o.KeepAlive)
	o.SetConnectionLostHandler(func(paho.Client, error) { close(c.gone) })
	o.SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) {
		s.change(func(st *Status) { st.Received++ })
		c.queue.put(message{
			topic: m.Topic(), payload: m.Payload(), qos: m.Qos(), retained: m.Retained(),
			tooLarge: m.Qos() > 0 && c.line.wasLeftOut(m.MessageID()), ack: m.Ack,
		}, c.line.lost)
	})
	return o
}

// subscribe asks for the topics, unless the broker kept our session and has granted them before. An error means that
// nothing will come; what is wrong with single topics is left in the status and the log. The answer stands behind what the broker has kept for us, so
// that has to be stored meanwhile, and for as long as that is held up the answer is not late.
func (s *Source) subscribe(ctx context.Context, c *connection) error {
	if c.present && s.subscribed {
		return nil
	}
	filters := make(map[string]byte, len(s.o.Topics))
	for _, topic := range s.o.Topics {
		filters[topic] = 1
	}
	token, ok := c.client.SubscribeMultiple(filters, nil).(*paho.SubscribeToken)
	if !ok {
		return fmt.Errorf("subscribe at %s: the library gave no subscribe token", s.endpoint.address)
	}
	timer := time.NewTimer(s.o.ConnectTimeout)
	defer timer.Stop()
	for waits := true; waits; {
		select {
		case <-token.Done():
			waits = false
		case <-c.line.lost:
			return fmt.Errorf("subscribe at %s: %w", s.endpoint.address, c.line.cause)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			if !c.queue.fits() {
				timer.Reset(s.o.ConnectTimeout)
				continue
			}
			return fmt.Errorf("subscribe at %s: no SUBACK within %s (connect_timeout)", s.endpoint.address, s.o.ConnectTimeout)
		}
	}
	var denied []string
	for topic, code := range token.Result() {
		if code >= 0x80 {
			denied = append(denied, topic)
		}
	}
	slices.Sort(denied)
	if err := token.Error(); err != nil && len(denied) == 0 {
		return fmt.Errorf("subscribe at %s: %w", s.endpoint.address, err)
	}
	return s.granted(denied)
}

// granted takes note of the answer to SUBSCRIBE.
func (s *Source) granted(denied []string) error {
	s.subscribed = len(denied) == 0
	if s.subscribed {
		s.denied = ""
		return nil
	}
	names := strings.Join(denied, ", ")
	err := fmt.Errorf("subscribe at %s: the broker does not allow %.512s; check topics, and the broker's access rules for this user", s.endpoint.address, names)
	if len(denied) == len(s.o.Topics) {
		return gateway.Blocked(err)
	}
	if s.denied != names {
		s.o.Logger.Error("broker does not allow a part of the topics", "error", err)
	}
	s.denied = names
	s.change(func(st *Status) { st.LastError = err.Error() })
	return nil
}

// close ends the connection, with a DISCONNECT if it still works, which leaves the session at the broker. When it
// returns, nothing more is put into the queue.
func (c *connection) close() {
	if c.line.alive() {
		c.client.Disconnect(uint(goodbye.Milliseconds()))
		c.line.fail(errClosedByClient)
		return
	}
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-c.gone:
	case <-timer.C: // they end by themselves: nothing holds them but a closed connection
	}
}
