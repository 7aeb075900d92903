package mqtt

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"runtime"
	"sync/atomic"

	"golang.org/x/crypto/bcrypt"
)

// logins answers "is this the password of that user?" so that a storm of reconnecting devices is cheap and a storm
// of wrong logins leaves room for everything else: what was verified once costs a SHA-256 from then on, and bcrypt
// runs on half of the processors at most, one comparison each. Safe for concurrent use.
type logins struct {
	accounts map[string]*account
	nobody   *account      // stands in for unknown users, so that they take as long as known ones
	slots    chan struct{} // one element for each comparison that may run now
	key      [32]byte      // of this process, so that a remembered digest is worth nothing elsewhere
}

type account struct {
	hash     []byte
	verified atomic.Pointer[[sha256.Size]byte] // digest of the password that the hash was seen to accept, nil before
}

func newLogins(users *Users) (*logins, error) {
	l := &logins{
		accounts: map[string]*account{},
		slots:    make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	rand.Read(l.key[:]) // never fails (crypto/rand)
	cost := 0
	for _, line := range users.lines {
		if line.name == "" {
			continue
		}
		l.accounts[line.name] = &account{hash: line.hash}
		if c, err := bcrypt.Cost(line.hash); err == nil {
			cost = max(cost, c)
		}
	}
	if len(l.accounts) == 0 {
		return l, nil
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), cost)
	if err != nil {
		return nil, err
	}
	l.nobody = &account{hash: hash}
	return l, nil
}

// check may wait for a second and longer on a small computer.
func (l *logins) check(user string, password []byte) bool {
	acc, known := l.accounts[user]
	if !known {
		acc = l.nobody
	}
	if len(password) > maxPassword { // bcrypt would look at the first 72 bytes only
		password, known = password[:maxPassword], false
	}
	digest := l.digest(password)
	if known && acc.remembers(&digest) {
		return true
	}
	l.slots <- struct{}{}
	defer func() { <-l.slots }()
	if known && acc.remembers(&digest) { // another connection of the user was first
		return true
	}
	if bcrypt.CompareHashAndPassword(acc.hash, password) != nil || !known {
		return false
	}
	acc.verified.Store(&digest)
	return true
}

func (l *logins) digest(password []byte) [sha256.Size]byte {
	var buf [len(l.key) + maxPassword]byte
	return sha256.Sum256(append(append(buf[:0], l.key[:]...), password...))
}

func (a *account) remembers(digest *[sha256.Size]byte) bool {
	seen := a.verified.Load()
	return seen != nil && subtle.ConstantTimeCompare(seen[:], digest[:]) == 1
}
