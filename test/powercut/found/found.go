// Package found says what is in a log after a power cut: of the events that the rig published, and of what should not be
// there. It runs on the host, on what was taken out of a disk image, and in the guest, on the real disk.
package found

import (
	"bytes"
	"fmt"

	"gateway/internal/load"
)

// TopicPrefix begins the topics that the rig publishes to.
const TopicPrefix = "powercut/"

// maxExamples is how many faults are described; all are counted.
const maxExamples = 5

// Found is what a log holds. It is made small for a serial console.
type Found struct {
	// Events is how many there are, First and Last their offsets, for a log that has such.
	Events      uint64 `json:"events"`
	First, Last uint64
	// Clients are the sequences found, by client.
	Clients map[int]*Ranges `json:"clients"`
	// Altered events are not what was published, Disordered ones stand behind a later one of their client, Twice are there
	// again, Gaps are the log's own words that something was lost, Foreign are none of the rig's.
	Altered    uint64   `json:"altered,omitempty"`
	Disordered uint64   `json:"disordered,omitempty"`
	Twice      uint64   `json:"twice,omitempty"`
	Gaps       uint64   `json:"gaps,omitempty"`
	Foreign    uint64   `json:"foreign,omitempty"`
	Examples   []string `json:"examples,omitempty"`
	// Notes are what the log said while it was opened: warnings and worse.
	Notes []string `json:"notes,omitempty"`
	// Error says why the log could not be opened or read to its end, "" if it could.
	Error string `json:"error,omitempty"`
}

// Faults is how many things were found that no power cut explains.
func (f *Found) Faults() uint64 { return f.Altered + f.Disordered + f.Twice + f.Foreign }

func (f *Found) fault(count *uint64, format string, args ...any) {
	*count++
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, fmt.Sprintf(format, args...))
	}
}

// take records a payload; where names its place for messages.
func (f *Found) take(payload []byte, where string) {
	client, seq, err := load.Identity(payload)
	if err != nil {
		f.fault(&f.Foreign, "%s: %v", where, err)
		return
	}
	if !bytes.Equal(payload, Payload(client, seq)) {
		f.fault(&f.Altered, "%s: client %d sequence %d is altered", where, client, seq)
		return
	}
	ranges := f.Clients[client]
	if ranges == nil {
		ranges = &Ranges{}
		f.Clients[client] = ranges
	}
	if n := len(*ranges); n > 0 && (*ranges)[n-1][1] >= seq {
		if ranges.Has(seq) {
			f.fault(&f.Twice, "%s: client %d sequence %d is there again", where, client, seq)
			return
		}
		f.fault(&f.Disordered, "%s: client %d sequence %d stands behind %d", where, client, seq, (*ranges)[n-1][1])
	}
	ranges.Add(seq)
}
