package mqtt

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// cheapHash is a hash of the lowest cost, so that tests do not wait for it.
func cheapHash(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestUsersFileKeepsItsOtherLines(t *testing.T) {
	t.Parallel()
	old := "# the house\n\nkitchen:" + cheapHash(t, "a") + "\n# the garden\ngate:" + cheapHash(t, "b") + "\n"
	path := writeFile(t, "users", old)
	u, err := LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Save(); err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, path); got != old {
		t.Errorf("saved unchanged: got %q, want %q", got, old)
	}
	if err := u.Add("roof", "secret"); err != nil {
		t.Fatal(err)
	}
	if err := u.Add("kitchen", "new"); err != nil {
		t.Fatal(err)
	}
	if !u.Remove("gate") || u.Remove("gate") || u.Remove("") {
		t.Error("Remove: want true for a user, false for one that is gone and for comments")
	}
	if err := u.Save(); err != nil {
		t.Fatal(err)
	}
	again, err := LoadUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := again.List(), []string{"kitchen", "roof"}; !slices.Equal(got, want) {
		t.Errorf("got users %v, want %v", got, want)
	}
	if text := readFile(t, path); !strings.Contains(text, "# the house\n\nkitchen:$2") || !strings.Contains(text, "# the garden\n") || strings.Contains(text, "secret") {
		t.Errorf("got file %q, want the comments kept and no password", text)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, want 0600", info.Mode().Perm())
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Errorf("got left over %v, want no temporary file", left)
	}
}

func TestUsersFileThatIsALinkStaysOne(t *testing.T) {
	t.Parallel()
	target := writeFile(t, "target", "")
	link := filepath.Join(t.TempDir(), "users")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	u, err := LoadUsers(link)
	if err == nil {
		err = u.Add("a", "b")
	}
	if err == nil {
		err = u.Save()
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := readFile(t, target); !strings.HasPrefix(got, "a:$2") {
		t.Errorf("got %q behind the link, want the user", got)
	}
}

func TestUsersFileMistakes(t *testing.T) {
	t.Parallel()
	hash := cheapHash(t, "x")
	for name, c := range map[string]struct{ text, want string }{
		"no colon":   {"# fine\nkitchen\n", ":2: there is no colon"},
		"no name":    {":" + hash, ":1: the user name is empty"},
		"clear text": {"kitchen:secret", "not a bcrypt hash"},
		"md5":        {"kitchen:$apr1$x$y", "not a bcrypt hash"},
		"cut":        {"kitchen:" + hash[:59], "not a bcrypt hash"},
		"costly":     {"kitchen:" + strings.Replace(hash, "$04$", "$31$", 1), "the cost 31, at most 15"},
		"wildcard":   {"a/b:" + hash, "cannot have any of"},
		"everybody":  {"*:" + hash, "every user"},
		"twice":      {"a:" + hash + "\n\na:" + hash, ":3: user \"a\" is already in line 1"},
		"not utf-8":  {"a\xff:" + hash, "not valid UTF-8"},
		"control":    {"a\x01b:" + hash, "control characters"},
		"long line":  {strings.Repeat("x", 1<<17), ":1: "},
	} {
		path := writeFile(t, "users", c.text)
		_, err := LoadUsers(path)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want an error with the path and %q", name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want no secret in it", name, err)
		}
	}
	if _, err := LoadUsers(t.TempDir()); err == nil {
		t.Error("a folder as the users file: got no error, want one")
	}
}

func TestUsersRefuses(t *testing.T) {
	t.Parallel()
	u := &Users{}
	for _, c := range []struct{ name, password string }{
		{"", "x"}, {"a:b", "x"}, {"a/b", "x"}, {"+", "x"}, {"a#", "x"}, {"*", "x"}, {"$SYS", "x"}, {" a", "x"}, {"a\n", "x"},
		{strings.Repeat("a", 257), "x"}, {"a", ""}, {"a", strings.Repeat("x", 73)},
	} {
		if err := u.Add(c.name, c.password); err == nil {
			t.Errorf("Add(%q, %d bytes): got no error, want one", c.name, len(c.password))
		}
	}
	if got := u.List(); len(got) != 0 {
		t.Errorf("got users %v, want none", got)
	}
}

func TestAuthenticate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 72)
	// htpasswd writes $2y$, which is the same algorithm as $2a$.
	text := "kitchen:" + strings.Replace(cheapHash(t, "secret"), "$2a$", "$2y$", 1) + "\nlong:" + cheapHash(t, long) + "\n"
	p, err := NewPolicy(writeFile(t, "users", text), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Anonymous() {
		t.Error("Anonymous: got true, want false with users")
	}
	for range 2 { // the second time from memory
		for _, c := range []struct {
			user, password string
			want           bool
		}{
			{"kitchen", "secret", true},
			{"kitchen", "Secret", false},
			{"kitchen", "", false},
			{"kitchen", "secret\x00", false},
			{"nobody", "secret", false},
			{"", "", false},
			{"long", long, true},
			{"long", long + "y", false},
		} {
			if got := p.Authenticate(c.user, []byte(c.password)); got != c.want {
				t.Errorf("Authenticate(%q, %q): got %v, want %v", c.user, c.password, got, c.want)
			}
		}
	}
	if p.logins.nobody.verified.Load() != nil {
		t.Error("an unknown user was remembered")
	}
}

func TestAuthenticateWithoutUsers(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", filepath.Join(t.TempDir(), "missing"), writeFile(t, "users", "# nobody yet\n")} {
		p, err := NewPolicy(path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Anonymous() || !p.Authenticate("anyone", nil) {
			t.Errorf("%q: want everybody let in", path)
		}
	}
}

// A remembered login takes no slot: with every slot taken by others it still succeeds.
func TestRememberedLoginDoesNotWait(t *testing.T) {
	t.Parallel()
	p, err := NewPolicy(writeFile(t, "users", "a:"+cheapHash(t, "b")), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !p.Authenticate("a", []byte("b")) {
		t.Fatal("the first login was refused")
	}
	for range cap(p.logins.slots) {
		p.logins.slots <- struct{}{}
	}
	if !p.Authenticate("a", []byte("b")) {
		t.Error("the second login was refused")
	}
	done := make(chan bool, 1)
	go func() { done <- p.Authenticate("a", []byte("wrong")) }()
	select {
	case <-done:
		t.Error("a wrong password was compared without a slot")
	default:
	}
	<-p.logins.slots
	if <-done {
		t.Error("a wrong password was let in")
	}
}

func TestAuthenticateConcurrently(t *testing.T) {
	t.Parallel()
	p, err := NewPolicy(writeFile(t, "users", "a:"+cheapHash(t, "b")+"\nc:"+cheapHash(t, "d")), nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 20 {
				if !p.Authenticate("a", []byte("b")) || !p.Authenticate("c", []byte("d")) || p.Authenticate("a", []byte("d")) {
					t.Error("a login was answered wrongly")
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkLogin(b *testing.B) {
	u := &Users{}
	if err := u.Add("a", "b"); err != nil {
		b.Fatal(err)
	}
	l, err := newLogins(u)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			l.check("a", []byte("c"))
		}
	})
	l.check("a", []byte("b"))
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			l.check("a", []byte("b"))
		}
	})
}
