package mqttsink

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// goodbye bounds how long a DISCONNECT may take, and how long a dead client's goroutines are waited for.
const goodbye = time.Second

// session is a link and the library's client on it. It is used once: after a failure a new one is made.
type session struct {
	*link
	client mqtt.Client
	gone   chan struct{} // closed when the client's goroutines have ended after a lost connection
}

// connect makes a connection and logs in, within ConnectTimeout. Its errors have their class.
func (s *Sink) connect(ctx context.Context) (*session, error) {
	timeout := fmt.Errorf("no connection within %s (connect_timeout)", s.o.ConnectTimeout)
	ctx, cancel := context.WithTimeoutCause(ctx, s.o.ConnectTimeout, timeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, classify(fmt.Errorf("connect to %s: %w", s.endpoint.address, because(ctx, err)))
	}
	n := &session{link: newLink(conn, s.o.Window, s.o.Ways), gone: make(chan struct{})}
	n.client = mqtt.NewClient(s.clientOptions(n))
	stop := context.AfterFunc(ctx, func() { n.fail(context.Cause(ctx)) })
	defer stop()
	token, ok := n.client.Connect().(*mqtt.ConnectToken)
	if !ok {
		n.fail(errClosedByClient)
		return nil, fmt.Errorf("log in at %s: the library gave no connect token", s.endpoint.address)
	}
	<-token.Done() // bounded: the link fails when ctx ends
	if err := token.Error(); err != nil {
		n.fail(err)
		if code := token.ReturnCode(); code > 0 && code < 0xfe {
			err = refused(code)
		}
		return nil, classify(fmt.Errorf("log in at %s: %w", s.endpoint.address, because(ctx, err)))
	}
	return n, nil
}

// because is the reason for which ctx ended, if it did, else err.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (s *Sink) dial(ctx context.Context) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.endpoint.address)
	if err != nil {
		return nil, err
	}
	conn = confirmAtOnce(conn)
	if !s.endpoint.secure {
		return conn, nil
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

// clientOptions leave the library its handshake and its keep-alive, and nothing that it would do again by itself.
func (s *Sink) clientOptions(n *session) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.AddBroker("tcp://" + s.endpoint.address) // what it is called; the connection is made already
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return n.link, nil })
	o.SetClientID(s.o.ClientID).SetUsername(s.o.Username).SetPassword(s.o.Password)
	o.SetProtocolVersion(4).SetCleanSession(true).SetAutoReconnect(false).SetConnectRetry(false)
	o.SetConnectTimeout(s.o.ConnectTimeout + goodbye) // connect's own limit comes first
	o.SetKeepAlive(s.o.KeepAlive)
	// While publishes wait AckTimeout watches the connection; a ping may be stuck behind them on a slow line.
	o.SetPingTimeout(s.o.KeepAlive + s.o.AckTimeout)
	o.SetConnectionLostHandler(func(mqtt.Client, error) { close(n.gone) })
	return o
}

// discard waits for the goroutines of a client whose connection is lost.
func (n *session) discard() {
	timer := time.NewTimer(goodbye)
	defer timer.Stop()
	select {
	case <-n.gone:
	case <-timer.C: // they end by themselves: nothing holds them but a closed connection
	}
}
