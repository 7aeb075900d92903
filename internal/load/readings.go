package load

// Readings makes the JSON payloads of one client, for programs that bring them elsewhere than to a broker. It belongs to
// one goroutine. Identity reads back who made a payload.
type Readings struct{ g *generator }

// NewReadings is for client number client of clients, which share the devices; size is the least length in bytes.
func NewReadings(client, clients, devices, size int, seed uint64) *Readings {
	return &Readings{newGenerator(JSON, client, clients, devices, size, seed)}
}

// Append appends the payload with the given sequence.
func (r *Readings) Append(dst []byte, seq uint64, unixMilli int64) []byte {
	return r.g.append(dst, seq, unixMilli)
}
