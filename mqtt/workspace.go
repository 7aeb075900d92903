package mqtt

import "gateway"

// readSize is how much is read from a socket at once: about a hundred small publishes.
const readSize = 16 << 10

// workspace is the memory that a connection needs while something comes in. An idle connection has none.
type workspace struct {
	buf  []byte
	r, w int // buf[r:w] was read and not consumed
	// events were gathered from the frames consumed so far and not yet submitted; marks has one for each.
	events []gateway.Event
	marks  []mark
	retry  []uint32 // marks for the log
	size   int      // what events take in the log, at most
}

// mark is an event's QoS, its packet id if that is 1, whether packet ids tell the client's publishes apart not, and how far its batch was when the event was in it, so that a batch can be split.
type mark struct {
	qos                                        byte
	dup, again                                 bool
	id                                         uint16
	acks, taken, unlogged, acked, window, owed uint32
}

func (b *Broker) takeWorkspace() *workspace {
	if ws, ok := b.workspaces.Get().(*workspace); ok {
		return ws
	}
	return &workspace{buf: make([]byte, readSize)}
}

func (b *Broker) giveWorkspace(ws *workspace) {
	ws.clear()
	ws.r, ws.w = 0, 0
	if len(ws.buf) > readSize {
		ws.buf = make([]byte, readSize)
	}
	b.workspaces.Put(ws)
}

// room makes room behind what was read: for all of a frame of need bytes in the end, but memory grows only as the
// bytes arrive, so that announcing a large frame costs its sender as much as us.
func (ws *workspace) room(need int) {
	if ws.r == ws.w {
		ws.r, ws.w = 0, 0
	}
	if ws.w < len(ws.buf) && (ws.r == 0 || ws.r+need <= len(ws.buf)) {
		return
	}
	size := len(ws.buf)
	if ws.w-ws.r == size {
		size = min(2*size, max(need, size+1))
	}
	buf := ws.buf
	if size > len(buf) {
		buf = make([]byte, size)
	}
	ws.w = copy(buf, ws.buf[ws.r:ws.w])
	ws.r, ws.buf = 0, buf
}

// clear forgets the gathered events, and what they point to.
func (ws *workspace) clear() {
	clear(ws.events)
	ws.events, ws.marks, ws.size = ws.events[:0], ws.marks[:0], 0
}
