package main

import (
	"fmt"
	"math"
	"time"

	"gateway/internal/plot"
)

// figure shows how it went: panels under each other, over minutes.
func (s *soaked) figure() *plot.Figure {
	bound := mib(s.plan.maxSize)
	return &plot.Figure{
		Title:  fmt.Sprintf("The log under full load, then drained (make soak, max_size %.0f MiB, drop_oldest)", bound),
		XLabel: "minutes",
		Marks:  []plot.Mark{{Name: "load ends", At: s.loaded.Minutes()}},
		Panels: []plot.Panel{
			{
				Title:  "Disk, MiB (the most of each second)",
				Series: []plot.Series{s.series("disk", func(p point) float64 { return mib(p.disk) })},
				Marks:  []plot.Mark{{Name: "max_size + 10 %", At: bound * 1.1}},
			},
			{Title: "Memory of the process, MiB", Series: []plot.Series{
				s.series("resident", func(p point) float64 { return mib(p.memory.RSS) }),
				s.series("anonymous", func(p point) float64 { return mib(p.memory.Anon) }),
			}},
			{Title: "Append of 50 events, 99th percentile of each 5 s, ms", Series: []plot.Series{s.appends()}},
			{Title: "Events appended, thousand/s", Series: []plot.Series{s.rates()}},
			{Title: "Events that wait for a consumer, million", Series: s.lags()},
		},
	}
}

func (s *soaked) series(name string, value func(point) float64) plot.Series {
	out := plot.Series{Name: name}
	for _, p := range s.sampler.points {
		out.X, out.Y = append(out.X, p.at.Minutes()), append(out.Y, value(p))
	}
	return out
}

// appends has a value for each window under load.
func (s *soaked) appends() plot.Series {
	out := plot.Series{Name: "p99"}
	for at := time.Duration(0); at+window <= s.loaded; at += window {
		out.X, out.Y = append(out.X, (at+window/2).Minutes()), append(out.Y, millis(s.intake.p99(at, at+window)))
	}
	return out
}

// rates is the mean of five seconds, under load.
func (s *soaked) rates() plot.Series {
	out := plot.Series{Name: "events/s"}
	last := point{}
	for _, p := range s.sampler.points {
		if p.at-last.at < window-restEvery/2 || p.at > s.loaded+restEvery {
			continue
		}
		out.X, out.Y = append(out.X, p.at.Minutes()), append(out.Y, float64(p.events-last.events)/(p.at-last.at).Seconds()/1e3)
		last = p
	}
	return out
}

func (s *soaked) lags() (all []plot.Series) {
	for i, c := range s.sampler.consumers {
		all = append(all, s.series(c.name, func(p point) float64 {
			if i >= len(p.waiting) {
				return math.NaN()
			}
			return float64(p.waiting[i]) / 1e6
		}))
	}
	return all
}
