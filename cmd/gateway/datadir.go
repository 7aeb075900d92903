package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"gateway/configs"
)

// systemDataDir is where packages and the unit file put the data.
const systemDataDir = "/var/lib/gateway"

// dataDirFlags say which gateway of this machine a verb is about: by its data directory, or the configuration that names it.
type dataDirFlags struct {
	dir, config string
}

// add registers the flags.
func (d *dataDirFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&d.dir, "data-dir", "", "the data directory of the gateway (default: ./data, or "+systemDataDir+" where ./data has no log)")
	flags.StringVar(&d.config, "config", "", "the configuration of the gateway, for its data_dir")
}

// resolve returns the data directory, which may not exist: that of --data-dir, of the configuration, ./data if it has a
// log, the system's if it has one, or else ./data.
func (d *dataDirFlags) resolve() (dir string, err error) {
	switch {
	case d.dir != "" && d.config != "":
		return "", &usageError{errors.New("--data-dir and --config both say where the data is"), "give one of them"}
	case d.dir != "":
		return d.dir, nil
	case d.config != "":
		cfg, err := configs.Load(d.config)
		if err != nil {
			return "", asUsage(err)
		}
		return cfg.DataDir, nil
	}
	return firstWithLog(configs.Default().DataDir, systemDataDir), nil
}

// notConfigured says what is wrong with giving up the place of a forwarder that the configuration given has.
func (d *dataDirFlags) notConfigured(name string) error {
	if d.config == "" {
		return nil
	}
	cfg, err := configs.Load(d.config)
	if err != nil {
		return asUsage(err)
	}
	for i := range cfg.Forwarders {
		if cfg.Forwarders[i].Name == name {
			return fmt.Errorf("forwarder %s is in the configuration %s: take it out of the file first", name, d.config)
		}
	}
	return nil
}

// firstWithLog is the first of the folders that has a log, or else the first.
func firstWithLog(dirs ...string) string {
	for _, dir := range dirs {
		if hasLog(dir) {
			return dir
		}
	}
	return dirs[0]
}

// hasLog says whether dir is the data directory of a gateway, as far as we may look.
func hasLog(dir string) bool {
	for _, name := range []string{"LOCK", "badger", "state"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil || errors.Is(err, fs.ErrPermission) {
			return true
		}
	}
	return false
}
