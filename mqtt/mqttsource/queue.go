package mqttsource

import "sync"

// Bounds of what waits for one append, and of one append.
const (
	queueMessages = 1000
	queueBytes    = 1 << 20
	// messageWeight is what a message counts beside its topic and payload.
	messageWeight = 256
)

// message is what the broker sent.
type message struct {
	topic    string
	payload  []byte
	qos      byte
	retained bool
	tooLarge bool   // its payload was not kept
	ours     bool   // its connection has ended, and the broker will not send it again
	ack      func() // nil if its connection has ended
}

func (m *message) size() int { return len(m.topic) + len(m.payload) + messageWeight }

// queue holds the messages of one connection between the library's goroutine, which alone puts, and the one that
// stores them, which alone takes.
type queue struct {
	came chan struct{} // of size one: there is something to take
	room chan struct{} // of size one: something was taken

	mu    sync.Mutex // guards what follows
	list  []message
	bytes int
}

func newQueue() *queue {
	return &queue{came: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// put waits for room, which holds up the broker, until end: then m is taken in anyway, as nothing follows.
func (q *queue) put(m message, end <-chan struct{}) {
	for !q.fits() {
		select {
		case <-q.room:
			continue
		case <-end:
		}
		break
	}
	q.add(m)
}

func (q *queue) fits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) < queueMessages && q.bytes < queueBytes
}

func (q *queue) add(m message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.list = append(q.list, m)
	q.bytes += m.size()
	nudge(q.came)
}

// precede puts messages before all others.
func (q *queue) precede(list []message) {
	if len(list) == 0 {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range list {
		q.bytes += list[i].size()
	}
	q.list = append(list[:len(list):len(list)], q.list...)
	nudge(q.came)
}

// waits says whether there is something to take.
func (q *queue) waits() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.list) > 0
}

// take returns what waits, as much as one append may have; nil if nothing does.
func (q *queue) take() []message {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, bytes := 0, 0
	for n < len(q.list) && n < queueMessages && (n == 0 || bytes+q.list[n].size() <= queueBytes) {
		bytes += q.list[n].size()
		n++
	}
	batch := q.list[:n:n]
	q.list = q.list[n:]
	q.bytes -= bytes
	if len(q.list) == 0 {
		q.list = nil
	}
	nudge(q.room)
	return batch
}

func nudge(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
