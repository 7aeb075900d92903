// Package plot draws line plots as SVG: small multiples under each other that share one horizontal axis. They are made to be
// read on a white and on a dark page.
package plot

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
)

// Figure is panels under each other.
type Figure struct {
	Title  string
	XLabel string // of the shared axis, with its unit
	Panels []Panel
	Marks  []Mark // vertical lines through all panels
}

// Panel is one plot. Its vertical axis begins at 0.
type Panel struct {
	Title  string // what is shown, with its unit
	Series []Series
	Marks  []Mark // horizontal lines
}

// Series is a line. X rises and has as many values as Y; a Y that is not a number interrupts the line.
type Series struct {
	Name string
	X, Y []float64
}

// Mark is a straight line with a name, such as a bound.
type Mark struct {
	Name string
	At   float64
}

// The layout, in pixels.
const (
	width       = 840
	left        = 64
	right       = 16
	head        = 52 // above the first panel
	panelHead   = 26 // for a panel's title, above its frame
	panelHeight = 104
	panelGap    = 18
	foot        = 48
	plotWidth   = width - left - right
)

// SVG is the figure as a document of its own.
func (f *Figure) SVG() []byte {
	height := head + len(f.Panels)*(panelHead+panelHeight+panelGap) - panelGap + foot
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n%s",
		width, height, width, height, html.EscapeString(f.Title), style)
	// A page may be dark where the viewer says light, and the other way round: the plot brings its own ground.
	fmt.Fprintf(&b, `<rect class="b" width="%d" height="%d"/>`+"\n", width, height)
	text(&b, "h", left, 24, "start", f.Title)
	x := f.xScale()
	for i := range f.Panels {
		f.panel(&b, x, &f.Panels[i], head+i*(panelHead+panelHeight+panelGap)+panelHead)
	}
	f.xAxis(&b, x, height-foot)
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// style has the colours of a white page, and those of a dark one for viewers that tell.
const style = `<style>
.b{fill:#fff}text{font:12px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif;fill:#4b5563}
.h{font-size:15px;font-weight:600;fill:#111827}.p{font-weight:600;fill:#1f2937}
.g{stroke:#9ca3af;stroke-opacity:.35}.a{stroke:#6b7280}.m{stroke:#b42318;stroke-dasharray:5 4}.mt{fill:#b42318;paint-order:stroke;stroke:#fff;stroke-width:4px}
.v{stroke:#6b7280;stroke-dasharray:2 3}
.s{fill:none;stroke-width:1.6;stroke-linejoin:round}.s0{stroke:#1d6fd1}.s1{stroke:#c05a12}.s2{stroke:#2f8a4c}.s3{stroke:#8b4fc4}
.t0{fill:#1d6fd1}.t1{fill:#c05a12}.t2{fill:#2f8a4c}.t3{fill:#8b4fc4}
@media (prefers-color-scheme:dark){.b{fill:#14181d}text{fill:#b6bec9}.h{fill:#f3f4f6}.p{fill:#e5e7eb}.a{stroke:#9ca3af}.v{stroke:#9ca3af}
.m{stroke:#ff8a80}.mt{fill:#ff8a80;stroke:#14181d}
.s0{stroke:#6cb2ff}.s1{stroke:#ffa463}.s2{stroke:#6fd391}.s3{stroke:#cba0ff}
.t0{fill:#6cb2ff}.t1{fill:#ffa463}.t2{fill:#6fd391}.t3{fill:#cba0ff}}
</style>
`

// colours is how many the style has.
const colours = 4

func (f *Figure) panel(b *bytes.Buffer, x scale, p *Panel, top int) {
	y := p.yScale(top)
	text(b, "p", left, float64(top-9), "start", p.Title)
	for _, t := range y.ticks {
		line(b, "g", left, y.at(t), left+plotWidth, y.at(t))
		text(b, "", left-8, y.at(t)+4, "end", number(t))
	}
	line(b, "a", left, y.at(0), left+plotWidth, y.at(0))
	for _, m := range f.Marks {
		line(b, "v", x.at(m.At), float64(top), x.at(m.At), float64(top+panelHeight))
	}
	for i := range p.Series {
		curve(b, x, y, &p.Series[i], i%colours)
	}
	for _, m := range p.Marks {
		line(b, "m", left, y.at(m.At), left+plotWidth, y.at(m.At))
		text(b, "mt", left+plotWidth-6, y.at(m.At)+13, "end", m.Name)
	}
	p.legend(b, top)
}

// legend names the series at the right of the title, in their colours.
func (p *Panel) legend(b *bytes.Buffer, top int) {
	if len(p.Series) < 2 {
		return
	}
	at := float64(left + plotWidth)
	for i := len(p.Series) - 1; i >= 0; i-- {
		text(b, "t"+strconv.Itoa(i%colours), at, float64(top-9), "end", "— "+p.Series[i].Name)
		at -= 7*float64(len(p.Series[i].Name)) + 34
	}
}

func (f *Figure) xAxis(b *bytes.Buffer, x scale, bottom int) {
	for _, t := range x.ticks {
		line(b, "a", x.at(t), float64(bottom), x.at(t), float64(bottom+5))
		text(b, "", x.at(t), float64(bottom+19), "middle", number(t))
	}
	for _, m := range f.Marks {
		text(b, "", x.at(m.At)-4, head+2, "end", m.Name)
	}
	text(b, "", left+plotWidth/2, float64(bottom+38), "middle", f.XLabel)
}

// curve draws a series, in pieces where it is interrupted.
func curve(b *bytes.Buffer, x, y scale, s *Series, colour int) {
	fmt.Fprintf(b, `<path class="s s%d" d="`, colour)
	pen := byte('M')
	for i := range s.X {
		if math.IsNaN(s.Y[i]) || math.IsInf(s.Y[i], 0) {
			pen = 'M'
			continue
		}
		fmt.Fprintf(b, "%c%.1f %.1f", pen, x.at(s.X[i]), y.at(s.Y[i]))
		pen = 'L'
	}
	b.WriteString("\"/>\n")
}

func line(b *bytes.Buffer, class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

func text(b *bytes.Buffer, class string, x, y float64, anchor, s string) {
	if class != "" {
		class = ` class="` + class + `"`
	}
	fmt.Fprintf(b, `<text%s x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, html.EscapeString(s))
}
