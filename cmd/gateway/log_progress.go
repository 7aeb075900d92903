package main

import (
	"fmt"
	"io"
	"time"
)

// progress is a line on standard error that says how far long work is. Where that is no terminal it says nothing.
type progress struct {
	w           io.Writer // nil: nobody looks
	what, thing string
	shown       time.Time
	read        uint64
}

// progressEvery is how often the line changes.
const progressEvery = 200 * time.Millisecond

func (v *logVerbs) progress(what, thing string) *progress {
	p := &progress{what: what, thing: thing, shown: time.Now()}
	if terminal(v.std.err) > 0 {
		p.w = v.std.err
	}
	return p
}

// at says that done of total things are done; 0: nobody knows how many there are.
func (p *progress) at(done, total uint64) {
	if p.w == nil || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	if total == 0 {
		_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s %s", p.what, count(done, p.thing))
		return
	}
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s %s of %s (%d%%)", p.what, number(done), count(total, p.thing), done*100/total)
}

// end takes the line away.
func (p *progress) end() {
	if p.w != nil {
		_, _ = io.WriteString(p.w, "\r\x1b[K")
	}
}

// reader tells of what is read of r.
func (p *progress) reader(r io.Reader) io.Reader { return &progressReader{r, p} }

type progressReader struct {
	r io.Reader
	p *progress
}

func (r *progressReader) Read(b []byte) (int, error) {
	n, err := r.r.Read(b)
	r.p.read += uint64(n)
	r.p.at(r.p.read, 0)
	if err != nil {
		r.p.end()
	}
	return n, err
}
