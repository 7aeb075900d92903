package gateway

import "time"

// LogReport is what was found by verifying, repairing or opening a log.
type LogReport struct {
	// First and Last are the offsets that the log has, Blocks and Events what of it is right, Bytes what was read for that.
	First  Offset `json:"first"`
	Last   Offset `json:"last"`
	Blocks uint64 `json:"blocks"`
	Events uint64 `json:"events"`
	Bytes  uint64 `json:"bytes"`
	// Problems are what is wrong with files and values, in words; none: the log is sound.
	Problems []LogProblem `json:"problems,omitempty"`
	// Gone are the events that are missing, and not known as gaps before.
	Gone []Gap `json:"gone,omitempty"`
	// TornTail is how many bytes at the very end were not a whole write: cut off by a power cut before it was acknowledged, or
	// damaged, which cannot be told apart.
	TornTail int64 `json:"torn_tail,omitempty"`
	// Quarantine is the folder that the damaged files were kept in, "" if none were.
	Quarantine string `json:"quarantine,omitempty"`
	// Repaired is when the log was rebuilt, zero if it was not; Epoch its epoch then.
	Repaired time.Time `json:"repaired,omitzero"`
	Epoch    uint32    `json:"epoch,omitempty"`
}

// Sound says that nothing is wrong.
func (r *LogReport) Sound() bool { return len(r.Problems) == 0 && len(r.Gone) == 0 }

// LogProblem is one thing that is wrong with a log.
type LogProblem struct {
	// File is relative to the data directory, "" for a value of the store.
	File string `json:"file,omitempty"`
	// Offset is of the block or the key that is meant, 0 if none is.
	Offset Offset `json:"offset,omitempty"`
	// Text says what is wrong.
	Text string `json:"text"`
}
