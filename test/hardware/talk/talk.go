// Package talk is what the rig and its agent in the guest say to each other: a line of JSON a message, both ways, over a serial port of the
// virtual machine that nothing else uses.
package talk

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"
)

// PortName is the name of the serial port.
const PortName = "gateway.agent"

// Lines are the simulated lines' names, by their offset; they belong to the chip with the label ChipLabel.
var Lines = [...]string{"GPIO17", "GPIO27", "GPIO22", "GPIO5", "BTN", "PIR", "LED", "RELAY"}

// ChipLabel is the label of the simulated chip.
const ChipLabel = "pinctrl-simpi"

// Verbs of a Request.
const (
	Run    = "run"    // a program, to its end; its output comes as it is printed
	Start  = "start"  // a program in the background, called Name
	Signal = "signal" // a Signal to the program called Name; 9 returns when it is gone
	Wait   = "wait"   // for the end of the program called Name
	Read   = "read"   // a file, from Offset on, up to Limit bytes
	Write  = "write"  // a file
	Edges  = "edges"  // on an input
	Watch  = "watch"  // makes Edges and listens to them itself, or, if Stalled, only when all are made
	I2C    = "i2c"    // a transfer: a write and a read
	Clock  = "clock"  // what time it is in the guest
)

// Request is what the rig asks for. Several may be under way.
type Request struct {
	ID   uint64
	Verb string

	Name string   `json:",omitempty"`
	Args []string `json:",omitempty"`
	Env  []string `json:",omitempty"`
	Dir  string   `json:",omitempty"`
	Keep bool     `json:",omitempty"` // Start: keep the program's descriptors over its restarts, as systemd does

	Path   string `json:",omitempty"`
	Data   []byte `json:",omitempty"` // of Write, of an I2C transfer, or for the standard input
	Mode   uint32 `json:",omitempty"`
	Append bool   `json:",omitempty"`
	Offset int64  `json:",omitempty"`
	Limit  int    `json:",omitempty"` // of Read, and how many bytes an I2C transfer reads

	Signal  int    `json:",omitempty"`
	Edges   *Train `json:",omitempty"`
	Stalled bool   `json:",omitempty"`
	Bus     int    `json:",omitempty"`
	Addr    int    `json:",omitempty"`
}

// Train is a series of edges on an input: the level is changed Count times, each Period after the one before. With Bounces, each of them is followed by that
// many pairs of edges, BouncePeriod apart, so that it ends at the same level.
type Train struct {
	Line         string
	Count        int
	Period       time.Duration
	Bounces      int           `json:",omitempty"`
	BouncePeriod time.Duration `json:",omitempty"`
}

// Reply is an answer; the last one to a request is Done.
type Reply struct {
	ID    uint64
	Done  bool   `json:",omitempty"`
	Error string `json:",omitempty"` // of the last one

	Data   []byte `json:",omitempty"`
	Exit   int    `json:",omitempty"`
	Signal int    `json:",omitempty"` // that ended the program
	PID    int    `json:",omitempty"`

	Made *Made `json:",omitempty"`
	Seen *Seen `json:",omitempty"`
	Now  *Time `json:",omitempty"`
}

// Made is what became of a Train.
type Made struct {
	Edges int // written, with the bounces
	// First and Last are CLOCK_MONOTONIC when the first and the last were written; Late is by how much the worst was behind its time.
	First, Last, Late time.Duration
	// High is the level at the end.
	High bool
	// Held is, of a Train with bounces, how long each level held until the next edge, but for the last.
	Held []time.Duration `json:",omitempty"`
}

// Seen is what the kernel gave of a Train to who listened.
type Seen struct {
	Events  int
	Last    uint32 // the number of the last one: how many there were
	Missing int    // by the numbers
}

// Time is what the guest's clocks say.
type Time struct {
	Monotonic time.Duration
	Wall      time.Time
}

// Port sends and receives messages. Send may be called from any goroutine, Receive from one.
type Port struct {
	mu   sync.Mutex // guards the writing end of conn
	conn io.ReadWriter
	in   *bufio.Reader
}

// NewPort talks over conn.
func NewPort(conn io.ReadWriter) *Port {
	return &Port{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

// Send writes one message.
func (p *Port) Send(message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err = p.conn.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("send on the agent's port: %w", err)
	}
	return nil
}

// Receive reads one message.
func (p *Port) Receive(message any) error {
	line, err := p.in.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("receive on the agent's port: %w", err)
	}
	if err := json.Unmarshal(line, message); err != nil {
		return fmt.Errorf("received %.200q: %w", line, err)
	}
	return nil
}
