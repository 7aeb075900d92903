package mqttsource

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

// maxPacket is the largest remaining length that MQTT has (MQTT 3.1.1 section 2.2.3).
const maxPacket = 268_435_455

// Options say what is subscribed to where. All are used as they are: see Default.
type Options struct {
	// Name is the source's, by which it is known in the status and in the events' source.
	Name string
	// Gateway is the authority of the source of raw payloads: //<Gateway>/source/<Name>.
	Gateway string
	// LogID is the log's: with Gateway it is the gateway's identity in the path of events.
	LogID string
	// URL is tcp://host:port or mqtt://host:port, or ssl://, tls:// or mqtts:// for TLS. No user or password.
	URL string
	// ClientID names our session at the broker. It stays the same over restarts, and no other client has it.
	ClientID string
	// Username and Password may be "".
	Username, Password string
	// TLS may be nil for the system's roots and no client certificate.
	TLS *tls.Config
	// Topics are the topic filters, also $share/<group>/<filter>. A message that matches none of them, which a session
	// from before a change of them still brings, is ignored.
	Topics []string
	// Prefix is put before the topic, as in "cloud/". It may be "".
	Prefix string
	// Retained takes in retained messages, which the broker sends anew at each subscription. Otherwise they are ignored.
	Retained bool
	// CloudEvents takes a JSON payload that is a CloudEvent for what it is, with its own ID, source and type.
	CloudEvents bool
	// Remember is how many IDs of CloudEvents are remembered, so that one that comes again is not stored again.
	Remember int
	// MaxPacket bounds what the broker may send as one packet, in bytes. A larger message is refused and acknowledged, as
	// it would come again for ever.
	MaxPacket int
	// ConnectTimeout bounds name resolution, TCP, TLS and CONNACK together, and then SUBACK.
	ConnectTimeout time.Duration
	// KeepAlive is how often an idle connection is tested, in whole seconds.
	KeepAlive time.Duration
	// RetryMin and RetryMax bound the wait before the next connection: full jitter under a ceiling that doubles from one to the other.
	RetryMin, RetryMax time.Duration
	// Accept says whether an event may come in; nil: all may. A refused one is acknowledged and counted as looped. It is
	// called by one goroutine, and does not change the event.
	Accept func(*gateway.Event) bool
	// Recent calls fn with the newest events of the log, oldest first, and their marks (see gateway.Batch). It is called
	// once, by Run, so that what was stored and not acknowledged before a crash is known. nil: nothing is known at the start.
	Recent func(fn func(e *gateway.Entry, mark uint32) error) error
	// Logger gets changes of the state.
	Logger *slog.Logger
}

// Default is Options for any broker; Name, Gateway, URL, ClientID, Topics and Logger are left to fill in.
func Default() Options {
	return Options{
		CloudEvents: true, Remember: 10_000, MaxPacket: 256 << 10,
		ConnectTimeout: 20 * time.Second, KeepAlive: 30 * time.Second,
		RetryMin: 500 * time.Millisecond, RetryMax: time.Minute,
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
	wrong(o.Name == "", "name: it is empty")
	wrong(o.Gateway == "", "gateway: it is empty")
	wrong(err == nil && o.TLS != nil && !e.secure, "url: %q has TLS settings but is not encrypted; use ssl://, tls:// or mqtts://", o.URL)
	wrong(o.ClientID == "", "client_id: it is empty; give each source one of its own, which stays the same")
	wrong(o.ClientID != "" && gateway.ValidFilter(strings.NewReplacer("+", "", "#", "").Replace(o.ClientID)+"x") != nil,
		"client_id: %q is not an MQTT string: UTF-8 without NUL, up to 65535 bytes", o.ClientID)
	wrong(o.Password != "" && o.Username == "", "password: there is one but no username")
	wrong(len(o.Username) > 65535 || len(o.Password) > 65535, "username, password: at most 65535 bytes each")
	wrong(len(o.Topics) == 0, "topics: there is none; use \"#\" for all")
	for i, filter := range o.Topics {
		if err := validFilter(filter); err != nil {
			wrong(true, "topics %d: topic filter %q: %w", i+1, filter, err)
		}
	}
	if o.Prefix != "" {
		if err := gateway.ValidTopic(o.Prefix); err != nil {
			wrong(true, "prefix: %q: %w", o.Prefix, err)
		}
	}
	wrong(o.Remember < 0 || o.Remember > 1_000_000, "remember: %d is out of range; use 0 to 1000000", o.Remember)
	wrong(o.MaxPacket < 128 || o.MaxPacket > maxPacket, "max_packet: %d is out of range; use 128 to %d", o.MaxPacket, maxPacket)
	wrong(o.ConnectTimeout <= 0, "connect_timeout: %s must be more than 0", o.ConnectTimeout)
	wrong(o.KeepAlive < time.Second || o.KeepAlive > 65535*time.Second, "keep_alive: %s is out of range; use 1s to 65535s", o.KeepAlive)
	wrong(o.RetryMin <= 0 || o.RetryMax < o.RetryMin, "retry_min, retry_max: %s and %s; use more than 0, and no less than retry_min", o.RetryMin, o.RetryMax)
	wrong(o.Logger == nil, "logger: it is missing")
	return errors.Join(errs...)
}

// withoutShare is the filter of a shared subscription, which is what its messages match.
func withoutShare(filter string) string {
	rest, shared := strings.CutPrefix(filter, "$share/")
	if !shared {
		return filter
	}
	_, plain, _ := strings.Cut(rest, "/")
	return plain
}

func validFilter(filter string) error {
	if rest, shared := strings.CutPrefix(filter, "$share/"); shared {
		if group, _, _ := strings.Cut(rest, "/"); group == "" || strings.ContainsAny(group, "+#") {
			return errors.New("a shared subscription is $share/<group>/<filter>")
		}
	}
	return gateway.ValidFilter(withoutShare(filter))
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
