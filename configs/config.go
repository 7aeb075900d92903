// Package configs reads the gateway's configuration: strict YAML, every mistake in one run with its place in the file,
// variables and secret files filled in. One table (see Keys) describes each key; the decoder, `gateway config example`,
// `gateway config describe` and docs/configuration.md come from it.
package configs

import (
	"os"
	"strings"
	"time"

	"gateway/devices"
)

// Config is everything that can be set. Paths in it are absolute or relative to the working folder. It belongs to
// whoever loaded it and holds secrets: never log it.
type Config struct {
	// File is where it was read from, "" for the defaults.
	File string
	// Warnings are what was odd but is no mistake, such as a password file that everybody may read.
	Warnings []Problem

	ID         string
	DataDir    string
	Log        Log
	MQTT       MQTT
	Buffer     Buffer
	Admin      Admin
	Forwarders []Forwarder
	Sources    []Source
	// Devices are this board's pins, buses and probes.
	Devices []devices.Spec

	source source
}

// source is the file that a Config came from, for messages about it.
type source struct {
	name  string
	lines []string
	// places says where the keys and list elements that the file has stand, by path.
	places map[string]place
}

// Problem makes one of what is wrong with the key at path, for whoever builds something of the configuration and
// fails: with its place in the file, or that of the section around it.
func (c *Config) Problem(path, text string) Problem {
	return c.source.problem(c.source.placeOf(path), path, text)
}

// Log says what is logged, and how.
type Log struct {
	Level  string // debug, info, warn or error
	Format string // text or json
}

// MQTT is the embedded broker.
type MQTT struct {
	Listen        []string // host:port
	TLS           *TLSListener
	UsersFile     string // "" = no users
	ACL           []Rule
	Capture       Capture
	MaxPacketSize int64 // bytes
	MaxClients    int
}

// TLSListener is the broker's listener with TLS.
type TLSListener struct {
	Listen       string
	CertFile     string
	KeyFile      string
	ClientCAFile string // "" = clients need no certificate
}

// Rule allows a user to read or write topics.
type Rule struct {
	User, Access, Topic string
}

// Capture says which topics go through the log, as topic filters.
type Capture struct {
	Include, Exclude []string
}

// Buffer is the durable log. Sizes are in bytes.
type Buffer struct {
	MaxSize        int64  // on disk
	WhenFull       string // reject or drop_oldest
	Reserve        int64  // left on the file system
	MaxAge         time.Duration
	KeepDelivered  time.Duration
	CommitInterval time.Duration
	CardEndurance  int64
}

// DropOldest is the policy of Buffer.WhenFull under which the oldest events make room.
const DropOldest = "drop_oldest"

// Admin is what the gateway tells about itself.
type Admin struct {
	Listen string // host:port, "" = nowhere
}

// Forwarder delivers the events of the log to one sink.
type Forwarder struct {
	Name string
	// Match, Where and TTL are the short form of one route. Where Routes are given they are not.
	Match  []string // topic filters on the event's subject
	Where  string   // see package rules
	TTL    time.Duration
	Routes []Route
	// CatchUp is in_order or live_first, Backlog oldest_first or newest_first.
	CatchUp, Backlog string
	RenamedFrom      string // "" = it had no other name
	// Start is where a new forwarder begins: beginning, end, or a time (RFC 3339).
	Start       string
	Batch       Batch
	Budget      Budget
	DeadLetters DeadLetters
	Outcomes    string // none or all
	Sink        Sink
	Retry       Retry
}

// Route says which events go, and how.
type Route struct {
	Match    []string
	Where    string
	Priority int           // 0 to 9
	TTL      time.Duration // 0 = for ever
}

// Batch is how many events are sent at once.
type Batch struct {
	MaxEvents int
	MaxBytes  int64
	MaxAge    time.Duration // how long to wait for more of them
}

// Budget is what a forwarder may send, in bytes and events; 0 = any number.
type Budget struct {
	BytesPerSecond, BacklogBytesPerSecond   int64
	EventsPerSecond, BacklogEventsPerSecond int
	Burst                                   time.Duration
	Month                                   int64
	Urgent                                  int      // the priority from which on all bounds are passed; 0 = none
	Schedule                                []string // "22:00-06:00"
}

// DeadLetters bounds what is set aside; 0 = no bound.
type DeadLetters struct {
	MaxSize int64
	MaxAge  time.Duration
}

// Retry bounds the pause between two attempts.
type Retry struct {
	Min, Max time.Duration
}

// Kinds of sinks.
const (
	SinkMQTT  = "mqtt"
	SinkFile  = "file"
	SinkLocal = "local"
	// SinkOutput is an output of this board, see devices.
	SinkOutput = "gpio_output"
)

// Sink is where a forwarder delivers to. Type says which of the others counts.
type Sink struct {
	Type  string
	MQTT  MQTTSink
	File  FileSink
	Local LocalSink
	// Output is the name of a device of type gpio_output.
	Output string
}

// LocalSink publishes on the gateway's own broker.
type LocalSink struct {
	Topic  string // template, see mqtt.LocalOptions
	Prefix string
	Format string // cloudevents or raw
	Retain string // never, keep or always
	Wait   string // none, subscriber or acknowledgement
}

// Source feeds the log from somewhere else. Login and TLS are as of an MQTTSink.
type Source struct {
	Name, Type   string
	URL          string
	Topics       []string
	TopicPrefix  string
	ClientID     string
	Username     string
	Password     string
	passwordFile string
	TLS          ClientTLS
	Retained     string // ignore or take
	MaxPacket    int64
}

// SourceMQTT is the kind of source that subscribes at another broker.
const SourceMQTT = "mqtt"

// MQTTSink is an upstream MQTT broker.
type MQTTSink struct {
	URL          string
	TopicPrefix  string
	Topic        string // template, see mqttsink.Options
	Format       string // cloudevents or raw
	ClientID     string
	Username     string
	Password     string
	passwordFile string
	TLS          ClientTLS
	Window       int // publishes in flight
	MaxPacket    int64
	AckTimeout   time.Duration
}

// ClientTLS is how a sink trusts its server and shows itself. All empty: the system's authorities, no certificate.
type ClientTLS struct {
	CAFile, CertFile, KeyFile, ServerName string
	// digest is of what the files have: new ones in the place of old ones are a change.
	digest string
}

// FileSink is a file of JSON lines that is rotated.
type FileSink struct {
	Path     string
	MaxSize  int64 // bytes
	MaxFiles int   // with the one that is written
}

// Default is what holds without a file, and for every key that a file leaves out: safe for a Pi on an SD card.
func Default() *Config {
	return &Config{
		ID:      hostID(),
		DataDir: "data",
		Log:     Log{Level: "info", Format: "text"},
		MQTT: MQTT{
			Listen:        []string{"127.0.0.1:1883"},
			MaxPacketSize: 256 << 10,
			MaxClients:    10_000,
		},
		Buffer: Buffer{MaxSize: 1 << 30, WhenFull: "reject", Reserve: 64 << 20},
	}
}

// defaultTLSListener is mqtt.tls before its keys are read.
func defaultTLSListener() *TLSListener { return &TLSListener{Listen: "127.0.0.1:8883"} }

// defaultForwarder is a forwarder before its keys are read.
func defaultForwarder() Forwarder {
	return Forwarder{
		Match:    []string{"#"},
		Outcomes: "none",
		CatchUp:  "in_order", Backlog: "oldest_first", Start: "beginning",
		Batch:       Batch{MaxEvents: 2000, MaxBytes: 1 << 20},
		DeadLetters: DeadLetters{MaxSize: 16 << 20},
		Retry:       Retry{Min: 100 * time.Millisecond, Max: 30 * time.Second},
		Sink: Sink{
			MQTT:  MQTTSink{Topic: "{prefix}{topic}", Format: "cloudevents", Window: 1000, MaxPacket: 268_435_455, AckTimeout: 10 * time.Second},
			File:  FileSink{MaxSize: 64 << 20, MaxFiles: 10},
			Local: LocalSink{Topic: "{topic}", Format: "raw", Retain: "never", Wait: "none"},
		},
	}
}

// defaultSource is a source before its keys are read.
func defaultSource() Source { return Source{Retained: "ignore", MaxPacket: 256 << 10} }

// defaultDevice is a device of that type before its keys are read.
func defaultDevice(kind string) devices.Spec {
	if kind == "" {
		return devices.Spec{}
	}
	return devices.DefaultSpec(kind)
}

// defaultRoute is a route before its keys are read.
func defaultRoute() Route { return Route{Match: []string{"#"}} }

// hostID is the machine's name as far as it can stand in an id.
func hostID() string {
	name, err := os.Hostname()
	if err != nil {
		return "gateway"
	}
	name = strings.Map(func(r rune) rune {
		if idRune(r) {
			return r
		}
		return '-'
	}, name)
	if validID(name) != nil {
		return "gateway"
	}
	return name
}
