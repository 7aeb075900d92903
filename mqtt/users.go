package mqtt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"golang.org/x/crypto/bcrypt"
)

const (
	// hashCost is for a Pi: a comparison takes 0.1 s on a Pi 4, a second on a Pi Zero. See login.go for how seldom one is made.
	hashCost = 10
	// maxHashCost is the most that the file may ask for: beyond it one login takes a Pi minutes.
	maxHashCost = 15
	// maxPassword is what bcrypt looks at.
	maxPassword = 72
)

// Users is the users file: one `name:bcrypt-hash` a line, as `htpasswd -B` writes it. Lines that begin with # and
// empty lines are kept as they are. It belongs to one goroutine.
type Users struct {
	path  string
	lines []userLine
}

// userLine is a line of the file: text alone for a comment, name and hash besides for a user.
type userLine struct {
	text string
	name string
	hash []byte
}

// LoadUsers reads the users file. A file that does not exist has no users. An error names the file and the line.
func LoadUsers(path string) (*Users, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return &Users{path: path}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read users file: %w", err)
	}
	u := &Users{path: path}
	seen := map[string]int{}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for n := 1; lines.Scan(); n++ {
		line, err := parseUserLine(lines.Text())
		if err == nil && line.name != "" && seen[line.name] > 0 {
			err = fmt.Errorf("user %q is already in line %d: remove one of the two", line.name, seen[line.name])
		}
		if err != nil {
			return nil, fmt.Errorf("users file %s:%d: %w", path, n, err)
		}
		if line.name != "" {
			seen[line.name] = n
		}
		u.lines = append(u.lines, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("users file %s:%d: %w", path, len(u.lines)+1, err)
	}
	return u, nil
}

func parseUserLine(text string) (userLine, error) {
	entry := strings.TrimSpace(text)
	if entry == "" || entry[0] == '#' {
		return userLine{text: text}, nil
	}
	name, hash, ok := strings.Cut(entry, ":")
	if !ok {
		return userLine{}, errors.New("there is no colon: a line is name:bcrypt-hash, as \"gateway user add\" and \"htpasswd -B\" write it")
	}
	if err := validUserName(name); err != nil {
		return userLine{}, err
	}
	if err := validHash([]byte(hash)); err != nil {
		return userLine{}, fmt.Errorf("user %q: %w", name, err)
	}
	return userLine{text: text, name: name, hash: []byte(hash)}, nil
}

func validHash(hash []byte) error {
	cost, err := bcrypt.Cost(hash)
	if err != nil || len(hash) != 60 {
		return errors.New("what follows the colon is not a bcrypt hash ($2a$, $2b$ or $2y$): set the password with \"gateway user add\" or \"htpasswd -B\"")
	}
	if cost > maxHashCost {
		return fmt.Errorf("the bcrypt hash has the cost %d, at most %d is allowed: a login would take a small computer minutes", cost, maxHashCost)
	}
	return nil
}

// validUserName refuses what the file cannot hold and what would have a meaning in a topic filter in the place of %u.
func validUserName(name string) error {
	switch {
	case name == "":
		return errors.New("the user name is empty")
	case len(name) > 256:
		return fmt.Errorf("the user name has %d bytes, the most is 256", len(name))
	case !utf8.ValidString(name):
		return errors.New("the user name is not valid UTF-8")
	case name[0] == '$':
		return fmt.Errorf("user name %q: it cannot begin with $", name)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("user name %q: it cannot begin or end with a space", name)
	case strings.ContainsAny(name, ":/+#"):
		return fmt.Errorf("user name %q: it cannot have any of : / + #", name)
	case strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("user name %q: it cannot have control characters", name)
	case name == "*":
		return errors.New("user name \"*\": in the rules that means every user")
	}
	return nil
}

// Add gives the user the password, whether the name is new or not. Save makes it last.
func (u *Users) Add(name, password string) error {
	if err := validUserName(name); err != nil {
		return err
	}
	if password == "" {
		return fmt.Errorf("user %q: the password is empty", name)
	}
	if len(password) > maxPassword {
		return fmt.Errorf("user %q: the password has %d bytes, bcrypt takes %d", name, len(password), maxPassword)
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), hashCost)
	if err != nil {
		return fmt.Errorf("user %q: hash password: %w", name, err)
	}
	line := userLine{text: name + ":" + string(hash), name: name, hash: hash}
	for i := range u.lines {
		if u.lines[i].name == name {
			u.lines[i] = line
			return nil
		}
	}
	u.lines = append(u.lines, line)
	return nil
}

// Remove takes the user out and says whether there was one. Save makes it last.
func (u *Users) Remove(name string) bool {
	for i := range u.lines {
		if name != "" && u.lines[i].name == name {
			u.lines = append(u.lines[:i], u.lines[i+1:]...)
			return true
		}
	}
	return false
}

// List returns the names in the order of the file.
func (u *Users) List() []string {
	var names []string
	for _, l := range u.lines {
		if l.name != "" {
			names = append(names, l.name)
		}
	}
	return names
}

// Save replaces the file as a whole: after a power cut it has the old content or the new. It is readable by its
// owner alone, and stays with the owner it had, so that root may edit the file of the service.
func (u *Users) Save() error {
	path := u.path
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	var text strings.Builder
	for _, l := range u.lines {
		text.WriteString(l.text)
		text.WriteByte('\n')
	}
	if err := replaceFile(path, []byte(text.String())); err != nil {
		return fmt.Errorf("save users file %s: %w", u.path, err)
	}
	return nil
}

func replaceFile(path string, data []byte) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	_, err = tmp.Write(data)
	if err == nil {
		err = keepOwner(path, tmp)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// keepOwner gives f the owner of the file at path, if there is one and it is another's.
func keepOwner(path string, f *os.File) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() && int(owner.Gid) == os.Getegid() {
		return nil
	}
	if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
		return fmt.Errorf("keep its owner: %w (edit it as that user, or as root)", err)
	}
	return nil
}

func syncFolder(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
