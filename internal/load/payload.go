package load

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strconv"
)

// Kinds of payloads.
const (
	// JSON is a reading of one of Config.Devices devices whose values walk randomly.
	JSON = "json"
	// Random is bytes that no codec makes smaller.
	Random = "random"
	// Fixed is the same text in every payload but for the identity.
	Fixed = "fixed"
)

// identityLen is the length of what names a payload: client and sequence, as in "0003-0000000042".
const identityLen = 15

// jsonPrefix stands before the identity in a JSON payload.
const jsonPrefix = `{"id":"`

// jsonData stands before the data of a structured CloudEvent.
const jsonData = `"data":`

// device is the state of one simulated device, in thousandths of its units.
type device struct{ temperature, humidity, pressure, battery int64 }

// generator makes the payloads of one client. It belongs to one goroutine.
type generator struct {
	kind    string
	client  int
	size    int
	devices []device
	first   int // number of devices[0]
	rng     *rand.Rand
	chacha  *rand.ChaCha8
}

func newGenerator(kind string, client, clients, devices, size int, seed uint64) *generator {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], uint64(client))
	g := &generator{kind: kind, client: client, size: size, rng: rand.New(rand.NewPCG(seed, uint64(client))), chacha: rand.NewChaCha8(key)}
	share := max(devices/clients, 1)
	g.first = client * share % max(devices, 1)
	for range share {
		g.devices = append(g.devices, device{
			temperature: 15_000 + g.rng.Int64N(10_000), humidity: 30_000 + g.rng.Int64N(30_000),
			pressure: 990_000 + g.rng.Int64N(40_000), battery: 3_300 + g.rng.Int64N(800),
		})
	}
	return g
}

// append appends the payload with the given sequence.
func (g *generator) append(dst []byte, seq uint64, unixMilli int64) []byte {
	start := len(dst)
	switch g.kind {
	case JSON:
		dst = g.appendReading(dst, seq, unixMilli)
	case Random:
		dst = appendIdentity(dst, g.client, seq)
		for len(dst)-start < g.size {
			dst = binary.LittleEndian.AppendUint64(dst, g.chacha.Uint64())
		}
		return dst[:start+max(g.size, identityLen)]
	default:
		dst = appendIdentity(dst, g.client, seq)
	}
	for len(dst)-start < g.size {
		dst = append(dst, ' ')
	}
	return dst
}

func (g *generator) appendReading(dst []byte, seq uint64, unixMilli int64) []byte {
	n := int(seq % uint64(len(g.devices)))
	d := &g.devices[n]
	steps := g.rng.Uint64()
	d.temperature += int64(steps&127) - 63
	d.humidity += int64(steps>>8&255) - 127
	d.pressure += int64(steps>>16&127) - 63
	d.battery += int64(steps>>24&7) - 3
	dst = appendIdentity(append(dst, jsonPrefix...), g.client, seq)
	dst = append(dst, `","dev":"d`...)
	dst = appendPadded(dst, uint64(g.first+n), 2)
	dst = strconv.AppendInt(append(dst, `","ts":`...), unixMilli, 10)
	dst = appendThousandths(append(dst, `,"temp":`...), d.temperature)
	dst = appendThousandths(append(dst, `,"hum":`...), d.humidity)
	dst = appendThousandths(append(dst, `,"hPa":`...), d.pressure)
	dst = appendThousandths(append(dst, `,"V":`...), d.battery)
	return append(dst, '}')
}

func appendThousandths(dst []byte, v int64) []byte {
	if v < 0 {
		dst, v = append(dst, '-'), -v
	}
	dst = append(strconv.AppendInt(dst, v/1000, 10), '.')
	return appendPadded(dst, uint64(v%1000), 3)
}

func appendIdentity(dst []byte, client int, seq uint64) []byte {
	dst = append(appendPadded(dst, uint64(client), 4), '-')
	return appendPadded(dst, seq, 10)
}

func appendPadded(dst []byte, v uint64, digits int) []byte {
	for range digits {
		dst = append(dst, '0')
	}
	for i := len(dst) - 1; v > 0 && i >= len(dst)-digits; i-- {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
	return dst
}

// Identity returns the client and sequence that a payload of this package carries, also where it is the data of a
// structured CloudEvent.
func Identity(payload []byte) (client int, seq uint64, err error) {
	p := payload
	if at := bytes.Index(p, []byte(jsonData)); at >= 0 {
		p = p[at+len(jsonData):]
	}
	if len(p) > len(jsonPrefix) && p[0] == '{' {
		p = p[len(jsonPrefix):]
	}
	if len(p) < identityLen || p[4] != '-' {
		return 0, 0, fmt.Errorf("payload %.40q does not begin with an identity", payload)
	}
	c, okClient := parseDigits(p[:4])
	seq, okSeq := parseDigits(p[5:identityLen])
	if !okClient || !okSeq {
		return 0, 0, fmt.Errorf("payload %.40q does not begin with an identity", payload)
	}
	return int(c), seq, nil
}

func parseDigits(p []byte) (v uint64, ok bool) {
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}
