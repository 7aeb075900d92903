package mqtt

// settledIDs is for how many publishes a client has to use fresh packet ids before it is believed that it does so.
const settledIDs = 64

// packetIDs is what is seen of how a client chooses packet ids: most count up; some take the lowest that is free, which may
// be the same again and again, or begin at 1 with each connection. Of those a packet id says little.
type packetIDs struct {
	last    uint16 // of this connection, or the one before; 0: none
	high    uint16 // of the connections before; 0: none, or not comparable
	again   uint8  // so many publishes have to go by before packet ids tell them apart
	begun   bool   // there was one on this connection
	strange bool   // with DUP, on this connection, and not known
}

// join begins a connection.
func (p *packetIDs) join() {
	if p.last != 0 && (p.high == 0 || ahead(p.last, p.high) > 0) {
		p.high = p.last
	}
	p.begun, p.strange = false, false
}

// ahead is how far a is ahead of b: counting up wraps.
func ahead(a, b uint16) int16 { return int16(a - b) }

// note takes note of a publish that is not known: new, or sent for the first time on another connection. Both go up with
// each connection if the client counts: it sends again in the old order, and then what is new.
func (p *packetIDs) note(id uint16, dup bool) {
	switch {
	case p.begun && ahead(id, p.last) <= 0:
		p.again = settledIDs
	case !dup && p.high != 0 && ahead(id, p.high) <= 0:
		p.again, p.high = settledIDs, 0
	case p.again > 0:
		p.again--
	}
	p.last, p.begun, p.strange = id, true, p.strange || dup
}

// tell says whether packet ids tell the publishes of this connection and the next apart.
func (p *packetIDs) tell() bool {
	restarts := p.begun && p.strange && p.high != 0 && ahead(p.last, p.high) < 0
	return p.again == 0 && !restarts
}
