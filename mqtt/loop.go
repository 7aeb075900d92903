package mqtt

import "gateway"

// loops says whether the event of a publish was here before, and reports it: it is acknowledged, so that its sender lets it go, and neither
// stored nor routed. Another one that the device made gets this gateway into its path.
func (m *mapper) loops(e *gateway.Event, b *Broker) bool {
	why := ""
	if e.ID == "" { // the mapper made it
		why = e.Loops(m.self)
	} else if why = e.LoopsFrom(m.self); why == "" {
		e.Pass(m.self)
	}
	if why == "" {
		return false
	}
	b.stats.looped.Add(1)
	b.looping.report(why)
	return true
}
