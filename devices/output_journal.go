package devices

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"gateway"
)

const (
	// ringSize is how many commands are remembered with what became of them, olderSize of how many more it is known that they were carried out. Both
	// together must be more than what the forwarder can send again after a crash: a batch, and a second of what was settled.
	ringSize  = 16
	olderSize = 240
	// maxID is how much of an event's ID is kept: it tells a person which one it was, and that a log is the same.
	maxID         = 64
	memoryVersion = 1
)

// What is known of a command.
const (
	stateIntent  = "intent"  // it is about to be carried out
	stateDone    = "done"    // it was
	stateUnknown = "unknown" // a process ended in between
)

// journal is what an output remembers over a restart: the last commands, and how it was. Outputs.mu guards it. Its JSON is the value in the Memory.
type journal struct {
	Version int `json:"v"`
	// Boot is the boot that the times are of: nanoseconds of the monotonic clock.
	Boot string `json:"boot"`
	// On says how the output was, Playing that it had a pattern, Since when it was not on last, Commanded when it got its last command.
	On        bool          `json:"on"`
	Playing   bool          `json:"playing,omitempty"`
	Since     time.Duration `json:"since,omitempty"`
	Commanded time.Duration `json:"commanded,omitempty"`
	// Ring are the last commands, the newest last; Older are the offsets of those before, as differences (see pack).
	Ring  []remembered `json:"ring,omitempty"`
	Older []byte       `json:"older,omitempty"`
	// Floor is the highest offset of what was forgotten: of what is not above it and not known, nobody can say whether it was carried out.
	Floor gateway.Offset `json:"floor,omitempty"`

	older       []gateway.Offset // Older, in the order of the commands
	interrupted *remembered      // what an earlier process had begun and not ended; nil: nothing
}

// remembered is one command.
type remembered struct {
	Offset gateway.Offset `json:"offset"`
	ID     string         `json:"id"`
	State  string         `json:"state"`
	// Command is what it said.
	Command string `json:"command,omitempty"`
}

// readJournal reads what an earlier process left; nothing is a new one. What it had begun and not ended is unknown now.
func readJournal(value []byte) (journal, error) {
	j := journal{Version: memoryVersion}
	if len(value) == 0 {
		return j, nil
	}
	if err := json.Unmarshal(value, &j); err != nil {
		return j, err
	}
	if j.Version != memoryVersion {
		return j, fmt.Errorf("it has version %d, and this program knows %d", j.Version, memoryVersion)
	}
	var err error
	if j.older, err = unpack(j.Older); err != nil {
		return j, err
	}
	for i := range j.Ring {
		if j.Ring[i].State == stateIntent {
			j.Ring[i].State = stateUnknown
			j.interrupted = &remembered{Offset: j.Ring[i].Offset, ID: j.Ring[i].ID, Command: j.Ring[i].Command}
		}
	}
	return j, nil
}

// value is what the next process is to read.
func (j *journal) value() []byte {
	j.Older = pack(j.older)
	return encode(j)
}

// find returns what is known of the event at offset: one of the states, or "". forgotten: it may have been carried out, too long ago to know.
func (j *journal) find(offset gateway.Offset, id string) (state string, forgotten bool) {
	for i := range j.Ring {
		if j.Ring[i].Offset == offset && j.Ring[i].ID == shortID(id) {
			return j.Ring[i].State, false
		}
	}
	if slices.Contains(j.older, offset) {
		return stateDone, false
	}
	return "", offset <= j.Floor
}

// begin notes the intent, and forgets what there is no room for. What is unknown stays longest: it must not be taken for done.
func (j *journal) begin(offset gateway.Offset, id string, c Command) {
	j.Ring = append(j.Ring, remembered{Offset: offset, ID: shortID(id), State: stateIntent, Command: c.String()})
	if len(j.Ring) <= ringSize {
		return
	}
	oldest := max(slices.IndexFunc(j.Ring, func(r remembered) bool { return r.State == stateDone }), 0)
	evicted := j.Ring[oldest]
	j.Ring = slices.Delete(j.Ring, oldest, oldest+1)
	if evicted.State != stateDone {
		j.Floor = max(j.Floor, evicted.Offset)
		return
	}
	j.older = append(j.older, evicted.Offset)
	if len(j.older) > olderSize {
		j.Floor = max(j.Floor, j.older[0])
		j.older = slices.Delete(j.older, 0, 1)
	}
}

// finish says that the newest command with that offset was carried out.
func (j *journal) finish(offset gateway.Offset) {
	for i := range j.Ring {
		if j.Ring[i].Offset == offset && j.Ring[i].State == stateIntent {
			j.Ring[i].State = stateDone
		}
	}
}

// drop says that it was not begun: it may come again.
func (j *journal) drop(offset gateway.Offset) {
	j.Ring = slices.DeleteFunc(j.Ring, func(r remembered) bool { return r.Offset == offset && r.State == stateIntent })
}

// shortID is what is kept of an ID. A character is not cut in half: JSON would not give it back.
func shortID(id string) string { return strings.ToValidUTF8(id[:min(len(id), maxID)], "") }

// pack writes offsets as the differences between them, of which most take a byte.
func pack(offsets []gateway.Offset) (packed []byte) {
	last := gateway.Offset(0)
	for _, offset := range offsets {
		packed = binary.AppendVarint(packed, int64(offset-last))
		last = offset
	}
	return packed
}

func unpack(packed []byte) (offsets []gateway.Offset, err error) {
	last := gateway.Offset(0)
	for len(packed) > 0 {
		difference, n := binary.Varint(packed)
		if n <= 0 {
			return nil, fmt.Errorf("the offsets of the older commands are cut off after %d", len(offsets))
		}
		last += gateway.Offset(difference)
		offsets, packed = append(offsets, last), packed[n:]
	}
	return offsets, nil
}
