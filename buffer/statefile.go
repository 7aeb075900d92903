package buffer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gateway"
)

// stateName is the file in the data directory that says, beside the engine's files, that there is a log, how far it was
// known to go, and what was being done about damage. A log whose files are gone is not a new log.
const stateName = "state"

// stateFile is its content. It is written at the beginning and at the end of a run, and by a repair.
type stateFile struct {
	LogID string `json:"log"`
	Epoch uint32 `json:"epoch"`
	// Clean says that the log was closed, and Last was the newest offset then. While it is open Clean is false.
	Clean bool           `json:"clean"`
	Last  gateway.Offset `json:"last"`
	// Closing says that the engine was about to be closed, whereby it makes tables of its write-ahead logs.
	Closing bool `json:"closing,omitempty"`
	// Salvage is the folder in quarantine of which pieces are being put back, Rebuild that the whole store is made anew of
	// it. Either goes on at the next start if it was cut off. In the file the path is relative to the data directory, if it is in there:
	// that may be somewhere else by then.
	Salvage string `json:"salvage,omitempty"`
	// Torn says that the pieces are nothing but the newest write, cut off.
	Torn    bool `json:"torn,omitempty"`
	Rebuild bool `json:"rebuild,omitempty"`
	// Suspect asks the next start to read every table before it trusts the store: something was wrong while it ran.
	Suspect bool `json:"suspect,omitempty"`
	// Starts counts the starts since the log last ran for a while or was closed. After suspectStarts of them it is suspect: the
	// engine may be what ends the process.
	Starts int `json:"starts,omitempty"`
	// Boot is the boot id of the machine when it was written: a run that ended without being closed, and not with the power, may have
	// ended over the engine's files.
	Boot string `json:"boot,omitempty"`
}

const (
	suspectStarts = 3
	// lastingAfter is how long a run is one that the engine's files let be.
	lastingAfter = time.Minute
)

// suspect says whether every table is to be read before the engine opens it.
func (s *stateFile) suspect() bool {
	boot := bootID()
	died := !s.Clean && s.Boot == hex.EncodeToString(boot[:])
	return s.Suspect || died || s.Starts >= suspectStarts
}

// readState returns the state of dir; fs.ErrNotExist if it has none, ErrCorrupt if it cannot be trusted.
func readState(dir string) (stateFile, error) {
	var s stateFile
	b, err := os.ReadFile(filepath.Join(dir, stateName))
	if err != nil {
		return s, err
	}
	value, err := recordValue([]byte(stateName), b)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(value, &s); err != nil {
		return s, errors.Join(err, ErrCorrupt)
	}
	if s.Salvage != "" && !filepath.IsAbs(s.Salvage) {
		s.Salvage = filepath.Join(dir, s.Salvage)
	}
	return s, nil
}

// writeState replaces the state of dir, synced.
func writeState(dir string, s stateFile) error {
	boot := bootID()
	s.Boot = hex.EncodeToString(boot[:])
	if within, err := filepath.Rel(dir, s.Salvage); s.Salvage != "" && err == nil && filepath.IsLocal(within) {
		s.Salvage = within
	} else if s.Salvage != "" {
		if s.Salvage, err = filepath.Abs(s.Salvage); err != nil {
			return err
		}
	}
	value, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, stateName), appendRecord(nil, 0, []byte(stateName), value)); err != nil {
		return fmt.Errorf("write down the state of the log: %w", err)
	}
	return nil
}

// replaceFile writes a file that is, whatever happens, either as it was or new. What a kill leaves behind is overwritten the next time. Not
// for one name at a time from two goroutines.
func replaceFile(name string, content []byte) error {
	f, err := os.OpenFile(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(f.Name()))
	}
	return syncDir(filepath.Dir(name))
}

func removeIfThere(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir makes what was renamed, made and removed in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
