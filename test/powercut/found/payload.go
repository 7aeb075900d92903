package found

import (
	"fmt"
	"strconv"
)

// Payload is what a client publishes under a sequence, the same whenever it is asked for: 20 to 700 bytes that begin with
// the identity that internal/load knows.
func Payload(client int, seq uint64) []byte {
	x := mix(uint64(client)<<48 ^ seq)
	b := fmt.Appendf(nil, `{"id":"%04d-%010d","v":"`, client, seq)
	for range x % 41 {
		x = mix(x)
		b = strconv.AppendUint(b, x, 16)
	}
	return append(b, `"}`...)
}

// mix spreads the bits of x (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
