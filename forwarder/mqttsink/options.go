package mqttsink

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"gateway"
)

// Formats of the payload.
const (
	// FormatRaw is the event's data as it was received. It has no place for the event's ID and time: a receiver
	// cannot tell an event that was sent again from a new one.
	FormatRaw = "raw"
	// FormatCloudEvents is the whole event in the CloudEvents JSON format (structured mode). MQTT 3.1.1 has no place
	// for a content type, so a receiver has to know that it is application/cloudevents+json.
	FormatCloudEvents = "cloudevents"
)

// maxPacket is the largest packet of MQTT 3.1.1 (section 2.2.3): fixed header and remaining length.
const maxPacket = 5 + 268_435_455

// Options are all that a Sink needs. Default has the values that suit most; a zero is not replaced by them.
type Options struct {
	// URL is the broker: tcp:// or mqtt:// (port 1883 unless it names one), ssl://, tls:// or mqtts:// (port 8883).
	URL string
	// ClientID must be the sink's own: the broker closes an older connection of the same ID, which keeps what is
	// left of a dead one from arriving late.
	ClientID string
	// Username and Password are sent if Username is not empty.
	Username, Password string
	// TLS is for ssl, tls and mqtts; nil means the system's roots and no client certificate.
	TLS *tls.Config
	// Gateway is what {gateway} stands for in Topic.
	Gateway string
	// TopicPrefix is what {prefix} stands for in Topic.
	TopicPrefix string
	// Topic is the template of the topic: text with {prefix}, {topic} (the topic that the event came on, or else its
	// subject), {subject}, {source}, {type} and {gateway}.
	Topic string
	// Format is FormatRaw or FormatCloudEvents.
	Format string
	// Retain keeps the retain flag of an event that was published retained. Without it nothing is retained upstream.
	Retain bool
	// Window is the most publishes that may wait for their acknowledgement, 1 to 32768. No more than these are sent
	// again after a cut.
	Window int
	// Ways is how many Sends may be under way at a time, 1 or 2, which share the window: further ones wait.
	Ways int
	// MaxPacket is the largest packet, in bytes, that the broker takes; a larger event can never be delivered.
	// 3.1.1 brokers do not say: they close the connection.
	MaxPacket int
	// AckTimeout is the age of the oldest unacknowledged publish, counted anew with each acknowledgement, that
	// declares the connection dead. It must be longer than the slowest line needs for the largest event.
	AckTimeout time.Duration
	// ConnectTimeout bounds name resolution, TCP, TLS and CONNACK together.
	ConnectTimeout time.Duration
	// KeepAlive is how often an idle connection is tested, in whole seconds.
	KeepAlive time.Duration
	// Logger gets connections made and lost.
	Logger *slog.Logger
}

// Default is Options for a broker on the internet; URL, ClientID and Logger are left to fill in.
func Default() Options {
	return Options{
		Topic: "{prefix}{topic}", Format: FormatCloudEvents, Retain: true, Window: 1000, Ways: 1, MaxPacket: maxPacket,
		AckTimeout: 10 * time.Second, ConnectTimeout: 10 * time.Second, KeepAlive: 30 * time.Second,
	}
}

// endpoint is what a URL comes to.
type endpoint struct {
	address string // host:port
	host    string
	secure  bool
}

// check returns all that is wrong, each as a sentence of its own.
func (o *Options) check() error {
	e, err := parseURL(o.URL)
	errs := []error{err}
	wrong := func(bad bool, format string, args ...any) {
		if bad {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(err == nil && o.TLS != nil && !e.secure, "url: %q has TLS settings but is not encrypted; use ssl://, tls:// or mqtts://", o.URL)
	wrong(o.ClientID == "", "client_id: it is empty; give each forwarder one of its own")
	wrong(o.ClientID != "" && gateway.ValidTopic(strings.NewReplacer("+", "", "#", "").Replace(o.ClientID)+"x") != nil,
		"client_id: %q is not an MQTT string: UTF-8 without NUL, up to 65535 bytes", o.ClientID)
	wrong(o.Password != "" && o.Username == "", "password: there is one but no username")
	wrong(len(o.Username) > 65535 || len(o.Password) > 65535, "username, password: at most 65535 bytes each")
	wrong(o.Format != FormatRaw && o.Format != FormatCloudEvents, "format: %q is not known; use %q or %q", o.Format, FormatRaw, FormatCloudEvents)
	wrong(o.Window < 1 || o.Window > 32768, "window: %d is out of range; use 1 to 32768", o.Window)
	wrong(o.Ways < 1 || o.Ways > 2, "ways: %d is out of range; use 1 or 2", o.Ways)
	wrong(o.MaxPacket < 128 || o.MaxPacket > maxPacket, "max_packet: %d is out of range; use 128 to %d", o.MaxPacket, maxPacket)
	wrong(o.AckTimeout <= 0, "ack_timeout: %s must be more than 0", o.AckTimeout)
	wrong(o.ConnectTimeout <= 0, "connect_timeout: %s must be more than 0", o.ConnectTimeout)
	wrong(o.KeepAlive < time.Second || o.KeepAlive > 65535*time.Second, "keep_alive: %s is out of range; use 1s to 65535s", o.KeepAlive)
	wrong(o.Logger == nil, "logger: it is missing")
	return errors.Join(errs...)
}

func parseURL(text string) (endpoint, error) {
	const allowed = "use tcp://host:port or mqtt://host:port, or ssl://, tls:// or mqtts:// for TLS"
	u, err := url.Parse(text)
	if err != nil {
		return endpoint{}, fmt.Errorf("url: it cannot be read; %s", allowed) // the text may have a password
	}
	var e endpoint
	port := "1883"
	switch u.Scheme {
	case "tcp", "mqtt":
	case "ssl", "tls", "mqtts":
		e.secure, port = true, "8883"
	default:
		return endpoint{}, fmt.Errorf("url: the scheme %q is not known; %s", u.Scheme, allowed)
	}
	switch {
	case u.User != nil:
		return endpoint{}, errors.New("url: it has a user or password in it; use username and password, or password_file")
	case u.Hostname() == "":
		return endpoint{}, fmt.Errorf("url: %q has no host; %s", text, allowed)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return endpoint{}, fmt.Errorf("url: %q has something behind the port; %s", text, allowed)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return endpoint{}, fmt.Errorf("url: the port %q is not one of 1 to 65535", port)
	}
	e.host = u.Hostname()
	e.address = net.JoinHostPort(e.host, port)
	return e, nil
}
