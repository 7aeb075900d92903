package plot

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestFigureIsWellFormed(t *testing.T) {
	t.Parallel()
	f := Figure{
		Title: `a <b> & "c"`, XLabel: "minutes", Marks: []Mark{{"drain", 2}},
		Panels: []Panel{
			{Title: "one, MiB", Series: []Series{{"x", []float64{0, 1, 2, 3}, []float64{1, math.NaN(), 3, math.Inf(1)}}}, Marks: []Mark{{"bound", 10}}},
			{Title: "two", Series: []Series{{"x", []float64{0, 3}, []float64{0, 0}}, {"y", nil, nil}}},
			{Title: "none"},
		},
	}
	svg := f.SVG()
	names := map[string]int{}
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok {
			names[e.Name.Local]++
		}
	}
	if names["svg"] != 1 || names["path"] != 3 {
		t.Errorf("got %v, want one svg and a path for each of three series", names)
	}
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
		t.Errorf("what is not a number was drawn:\n%s", svg)
	}
	for _, want := range []string{"a &lt;b&gt; &amp;", "bound", "drain", "minutes", "one, MiB"} {
		if !strings.Contains(string(svg), want) {
			t.Errorf("the text %q is missing", want)
		}
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		most  float64
		tight bool
		top   float64
		ticks []float64
	}{
		{0, false, 1, []float64{0, 0.5, 1}},
		{7, false, 8, []float64{0, 2, 4, 6, 8}},
		{100, false, 150, nil},
		{10.5, true, 10.5, []float64{0, 5, 10}},
		{math.NaN(), false, 1, nil},
	} {
		s := newScale(0, 100, c.most, 4, c.tight)
		if c.ticks != nil && !slices.Equal(s.ticks, c.ticks) {
			t.Errorf("%v: got ticks %v, want %v", c.most, s.ticks, c.ticks)
		}
		if s.most < c.most || c.ticks != nil && s.most != c.top {
			t.Errorf("%v: the scale ends at %v, want %v", c.most, s.most, c.top)
		}
		if n := len(s.ticks); n < 2 || n > 6 {
			t.Errorf("%v: got %d ticks", c.most, n)
		}
		if got := s.at(s.most); got != 100 {
			t.Errorf("%v: the end is at %v, want 100", c.most, got)
		}
	}
}
