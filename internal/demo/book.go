package demo

import "sync"

// book is where sensors and listener write down what they did and saw: the truth that the ledger is made of. Its
// methods are safe for concurrent use.
type book struct {
	mu       sync.Mutex
	accounts []*account
	byName   map[string]int
	ids      map[string]arrival // every event ID that came, and with what
	arrivals int64              // of all kinds
	strays   int
}

// account is one sensor's page. The sequence numbers count from 1; what they index here from 0.
type account struct {
	name    string
	sent    []uint32 // how often the sensor sent it
	acked   []bool
	arrived []uint32 // how many different IDs it came with
	highest int      // of the sequence numbers that came

	ackedCount, receivedCount int
	missing                   int // acknowledged, not yet arrived
	sentAgain, resent         int
	duplicates, outOfOrder    int
}

type arrival struct{ sensor, seq int }

func newBook(names []string) *book {
	b := &book{byName: map[string]int{}, ids: map[string]arrival{}}
	for i, name := range names {
		b.byName[name] = i
		b.accounts = append(b.accounts, &account{name: name})
	}
	return b
}

// next returns the sequence number of the sensor's next reading, from 1.
func (b *book) next(sensor int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[sensor]
	a.sent, a.acked, a.arrived = append(a.sent, 0), append(a.acked, false), append(a.arrived, 0)
	return len(a.sent)
}

// sending notes that the sensor is about to send seq, for the first time or again.
func (b *book) sending(sensor, seq int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accounts[sensor].sent[seq-1]++
}

// acknowledged notes that the gateway told the sensor that seq is safe.
func (b *book) acknowledged(sensor, seq int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.accounts[sensor]
	if !a.acked[seq-1] {
		a.acked[seq-1] = true
		a.ackedCount++
		if a.arrived[seq-1] == 0 {
			a.missing++
		}
	}
}

// received notes that an event with this ID and content came out at the upstream.
func (b *book) received(name string, seq int, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrivals++
	sensor, known := b.byName[name]
	if !known || seq < 1 || seq > len(b.accounts[sensor].sent) || id == "" {
		b.strays++
		return
	}
	this, a := arrival{sensor, seq}, b.accounts[sensor]
	if before, repeated := b.ids[id]; repeated {
		if before != this {
			b.strays++ // whoever drops repeated IDs loses this one
			return
		}
		a.sentAgain++
		return
	}
	b.ids[id] = this
	a.first(seq)
}

// first takes an event with an ID that is new.
func (a *account) first(seq int) {
	a.arrived[seq-1]++
	switch n := a.arrived[seq-1]; {
	case n > 1 && n <= a.sent[seq-1]:
		a.resent++ // the sensor never got the ack of the one before
		return
	case n > 1:
		a.duplicates++
		return
	}
	a.receivedCount++
	if a.acked[seq-1] {
		a.missing--
	}
	if seq < a.highest {
		a.outOfOrder++
	}
	a.highest = max(a.highest, seq)
}

// stray notes something at the upstream that no sensor has sent.
func (b *book) stray() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.arrivals++
	b.strays++
}

// heard counts what came out at the upstream, whatever it was.
func (b *book) heard() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.arrivals
}

// missing counts what was acknowledged and has not arrived yet.
func (b *book) missing() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, a := range b.accounts {
		n += a.missing
	}
	return n
}

// ledger closes the accounts as they stand.
func (b *book) ledger() Ledger {
	b.mu.Lock()
	defer b.mu.Unlock()
	l := Ledger{Strays: b.strays}
	for _, a := range b.accounts {
		p := Account{
			Sensor: a.name, Sent: len(a.sent), Acknowledged: a.ackedCount, Received: a.receivedCount, SentAgain: a.sentAgain,
			Resent: a.resent, Duplicates: a.duplicates, OutOfOrder: a.outOfOrder, Lost: a.missing,
		}
		l.Accounts = append(l.Accounts, p)
	}
	return l
}
