package mqtt

import (
	"container/list"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// retries are the tails of clients that are not connected: see kept. They do not depend on MQTT's sessions, because
// clients without one send again too. Safe for concurrent use.
type retries struct {
	seed maphash.Seed
	live atomic.Int64  // publishes in the lists of connections
	own  atomic.Uint64 // offset of the first event that this process had stored, 0: there is none yet
	once sync.Once     // of recall

	mu    sync.Mutex
	tails map[string]*list.Element // of *tail, by client; guarded by mu
	order *list.List               // the one left longest ago first; guarded by mu
	cost  int                      // guarded by mu
}

// tail is what the previous connection of a client left.
type tail struct {
	client  string // the source of its events
	user    string
	anyUser bool // who it was is not known
	list    []kept
	ids     packetIDs
}

// tailCost is what a tail counts for beside its publishes.
const tailCost = 4

func (t *tail) isOf(user string) bool { return t.anyUser || t.user == user }

func (t *tail) cost() int { return tailCost + len(t.list) }

func (r *retries) sum(s string) uint64 { return maphash.String(r.seed, s) }

func (r *retries) sumBytes(p []byte) uint64 { return maphash.Bytes(r.seed, p) }

func newRetries() *retries {
	return &retries{seed: maphash.MakeSeed(), tails: map[string]*list.Element{}, order: list.New()}
}

// take returns the client's tail, which is forgotten here; nil if there is none.
func (r *retries) take(client string) *tail {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.remove(r.tails[client])
}

func (r *retries) remove(e *list.Element) *tail {
	if e == nil {
		return nil
	}
	t, ok := r.order.Remove(e).(*tail)
	if !ok {
		return nil // it has nothing but tails
	}
	delete(r.tails, t.client)
	r.cost -= t.cost()
	return t
}

// put keeps the client's tail. Where there is too much, those left longest ago are forgotten.
func (r *retries) put(t *tail) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(r.tails[t.client])
	r.tails[t.client] = r.order.PushBack(t)
	r.cost += t.cost()
	for r.cost > owedAll {
		r.remove(r.order.Front())
	}
}

// putOld keeps a tail from before all others, if there is room and none of that client.
func (r *retries) putOld(t *tail) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tails[t.client] != nil || r.cost+t.cost() > owedAll {
		return
	}
	r.tails[t.client] = r.order.PushFront(t)
	r.cost += t.cost()
}
