package buffer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"strings"
)

// machineFile names the installation: systemd makes it at the first boot, and says that it must not be shown to others.
const machineFile = "/etc/machine-id"

// machineID is a hash of the machine's id, "" where it has none.
func machineID() string {
	text, err := os.ReadFile(machineFile)
	id := strings.TrimSpace(string(text))
	if err != nil || id == "" || id == "uninitialized" {
		return ""
	}
	sum := sha256.Sum256([]byte("edge event gateway " + id))
	return hex.EncodeToString(sum[:8])
}

// branchEpoch is the epoch of a log that goes on from a point from which others may go on too: two copies of one backup, a
// fleet from one card. It is higher by a random number, so that no two of them choose the same.
func branchEpoch(epoch uint32) uint32 {
	room := (math.MaxUint32 - epoch) / 64
	return epoch + 1 + rand.Uint32N(max(room, 1))
}

// checkMachine raises the epoch if the log was made, or opened last, on another machine: cards are copied, and two
// gateways that go on from the same log must not give the same ID to different events. An unknown machine changes nothing.
func (s *state) checkMachine(e *engine, machine string, log *slog.Logger) error {
	if machine == "" || machine == s.machine {
		return nil
	}
	writes := []write{{[]byte(metaMachine), []byte(machine)}}
	if s.machine != "" {
		s.epoch = branchEpoch(s.epoch)
		writes = append(writes, write{[]byte(metaEpoch), binary.AppendUvarint(nil, uint64(s.epoch))})
	}
	if err := e.commit(writes); err != nil {
		return fmt.Errorf("write down the machine: %w", err)
	}
	if s.machine != "" {
		log.Warn("the log comes from another machine: the events that are appended from now on get IDs of a new epoch", "epoch", s.epoch)
	}
	s.machine = machine
	return nil
}
