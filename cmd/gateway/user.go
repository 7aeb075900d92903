package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gateway/configs"
	"gateway/mqtt"
)

// usersOptions say which users file a verb is about.
type usersOptions struct{ usersFile, config string }

func newUser(std streams) *cobra.Command {
	o := &usersOptions{}
	cmd := &cobra.Command{
		Use:   "user",
		Short: "Add, list and remove the users that devices connect as",
		Long: `Adds, lists and removes the users of the embedded broker. They are in the file that mqtt.users_file of the
configuration names, with bcrypt hashes. A running gateway reads it at start: restart it after a change.`,
		Example: `  gateway user add esp32-kitchen --config /etc/gateway/gateway.yaml
  pwgen 20 1 | tee password | gateway user add esp32-kitchen --users-file users --password-stdin
  gateway user list --users-file users --json
  gateway user remove esp32-kitchen --users-file users`,
		Args: noVerb,
		RunE: showHelp,
	}
	cmd.PersistentFlags().StringVar(&o.usersFile, "users-file", "", "the users file")
	cmd.PersistentFlags().StringVar(&o.config, "config", "", "the configuration that names the users file")
	cmd.AddCommand(newUserAdd(std, o), newUserList(std, o), newUserRemove(std, o))
	return cmd
}

// load reads the users file that the flags name.
func (o *usersOptions) load() (*mqtt.Users, string, error) {
	file := o.usersFile
	switch {
	case o.usersFile != "" && o.config != "":
		return nil, "", &usageError{errors.New("--users-file and --config are two answers to one question"), "give one of them"}
	case o.config != "":
		cfg, err := configs.Load(o.config)
		if err != nil {
			return nil, "", asUsage(err)
		}
		if file = cfg.MQTT.UsersFile; file == "" {
			return nil, "", &usageError{fmt.Errorf("%s has no mqtt.users_file", o.config), "set it, or give --users-file"}
		}
	case file == "":
		return nil, "", &usageError{errors.New("no users file is named"), "give --users-file FILE, or --config FILE whose mqtt.users_file it is"}
	}
	users, err := mqtt.LoadUsers(file)
	return users, file, err
}

func newUserAdd(std streams, o *usersOptions) *cobra.Command {
	var fromStdin bool
	cmd := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a user, or give one a new password",
		Example: "  gateway user add esp32-kitchen --users-file users\n  echo \"$PASSWORD\" | gateway user add esp32-kitchen --users-file users --password-stdin",
		Args:    argument("NAME"),
		RunE: action(func(_ *cobra.Command, args []string) error {
			users, file, err := o.load()
			if err != nil {
				return err
			}
			password, err := askPassword(std, fromStdin)
			if err != nil {
				return err
			}
			if err := users.Add(args[0], password); err != nil {
				return &usageError{err: err}
			}
			_, missing := os.Stat(file)
			if folder := filepath.Dir(file); !isFolder(folder) {
				return &usageError{fmt.Errorf("the folder %s of the users file is not there", folder), "make it first: mkdir -p " + folder}
			}
			if err := users.Save(); err != nil {
				return err
			}
			if errors.Is(missing, fs.ErrNotExist) && os.Geteuid() == 0 {
				std.say("note: only root may read the new file %s; if the gateway runs as another user, give it to that one: chown gateway: %s\n", file, file)
			}
			_, err = fmt.Fprintf(std.out, "user %s is in %s; a running gateway takes it at its next start\n", args[0], file)
			return err
		}),
	}
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from the first line of standard input")
	return cmd
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// askPassword reads a password from standard input, or asks for it twice on the terminal, without an echo.
func askPassword(std streams, fromStdin bool) (string, error) {
	if fromStdin {
		line, err := bufio.NewReader(io.LimitReader(std.in, 4096)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password from standard input: %w", err)
		}
		return strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r"), nil
	}
	file, ok := std.in.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return "", &usageError{errors.New("there is no terminal to ask for the password on"), "give it on standard input, with --password-stdin"}
	}
	first, err := prompt(std, file, "password: ")
	if err != nil {
		return "", err
	}
	second, err := prompt(std, file, "the same again: ")
	if err != nil {
		return "", err
	}
	if first != second {
		return "", &usageError{errors.New("the two passwords differ; nothing was changed"), ""}
	}
	return first, nil
}

func prompt(std streams, terminal *os.File, text string) (string, error) {
	std.say("%s", text)
	password, err := term.ReadPassword(int(terminal.Fd()))
	std.say("\n")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return string(password), nil
}

func newUserList(std streams, o *usersOptions) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the users",
		Args:  cobra.NoArgs,
		RunE: action(func(*cobra.Command, []string) error {
			users, file, err := o.load()
			if err != nil {
				return err
			}
			if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
				return &usageError{fmt.Errorf("the users file %s is not there", file), "gateway user add NAME --users-file FILE makes it with its first user"}
			}
			names := users.List()
			if asJSON {
				return writeJSON(std.out, append([]string{}, names...))
			}
			for _, name := range names {
				if _, err := fmt.Fprintln(std.out, name); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	addJSON(cmd, &asJSON)
	return cmd
}

func newUserRemove(std streams, o *usersOptions) *cobra.Command {
	return &cobra.Command{
		Use:   "remove NAME",
		Short: "Remove a user",
		Args:  argument("NAME"),
		RunE: action(func(_ *cobra.Command, args []string) error {
			users, file, err := o.load()
			if err != nil {
				return err
			}
			if !users.Remove(args[0]) {
				return fmt.Errorf("%s has no user %s", file, args[0])
			}
			if err := users.Save(); err != nil {
				return err
			}
			_, err = fmt.Fprintf(std.out, "user %s is no longer in %s; a running gateway forgets it at its next start\n", args[0], file)
			return err
		}),
	}
}
