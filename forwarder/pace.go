package forwarder

import "time"

// pace keeps what the backlog sends at once so small that a live event behind it waits for little: about half as long as the line takes
// anyway.
type pace struct {
	size int           // events; 0 before the first Send
	base time.Duration // what the line takes for a small batch, by the last look
	n    int           // Sends since then
}

const (
	paceFirst   = 64
	paceLeast   = 16
	paceTimeMin = 2 * time.Millisecond
	paceTimeMax = 250 * time.Millisecond
	// paceLook is after how many Sends a small one shows again what the line takes.
	paceLook = 50
)

func (p *pace) limit(n int) int {
	if p.size == 0 {
		p.size = paceFirst
	}
	if p.looks() {
		return min(n, paceLeast)
	}
	return min(n, p.size)
}

// looks says that the next Send is a small one.
func (p *pace) looks() bool { return p.base == 0 || p.n >= paceLook }

// sent learns from a Send of n events.
func (p *pace) sent(n int, took time.Duration) {
	if p.looks() {
		p.base, p.n = took, 0
		return
	}
	p.n++
	p.base = min(p.base, took)
	if n < p.size {
		return // it says nothing about the size
	}
	target := min(max(p.base*3/2, paceTimeMin), paceTimeMax)
	switch {
	case took < target:
		p.size += p.size/4 + 1
	case took > target+target/4:
		p.size = max(p.size*3/4, paceLeast)
	}
}
