package buffer

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gateway"
)

// TestCarveFindsWhatIsThere puts blocks and records between noise, and wants every one back, whatever the windows cut.
func TestCarveFindsWhatIsThere(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	seal, err := newSealer()
	if err != nil {
		t.Fatal(err)
	}
	var file []byte
	var want []string
	noise := func() {
		n := rng.IntN(3000)
		for range n {
			file = append(file, "EGBKV\x00\x01"[rng.IntN(7)])
		}
	}
	first := gateway.Offset(1)
	for range 300 {
		noise()
		if rng.IntN(3) == 0 {
			key := fmt.Sprintf("c/%d", rng.IntN(1000))
			want = append(want, key)
			file = appendRecord(file, rng.Uint64(), []byte(key), make([]byte, rng.IntN(2000)))
			continue
		}
		b := newBuilder()
		for range 1 + rng.IntN(20) {
			data := make([]byte, rng.IntN(5000))
			if rng.IntN(2) == 0 {
				for i := range data {
					data[i] = byte(rng.Uint32())
				}
			}
			e := event(string(data))
			b.add(&e, 1, 0)
		}
		h := header{first: first, epoch: 1}
		want = append(want, fmt.Sprint(first))
		first += gateway.Offset(b.count)
		file = append(file, seal.seal(b, h)...)
	}
	noise()
	var got []string
	n, err := carve(bytes.NewReader(file), 0, carver{
		block: func(h header, block []byte, at int64) error {
			if !bytes.Equal(file[at:at+int64(len(block))], block) {
				t.Errorf("block %d is not at %d", h.first, at)
			}
			got = append(got, fmt.Sprint(h.first))
			return nil
		},
		record: func(r record, _ int64) error { got = append(got, string(r.key)); return nil },
	})
	if err != nil || n != int64(len(file)) {
		t.Fatalf("got %d bytes, %v, want %d", n, err, len(file))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %d pieces, want %d", len(got), len(want))
	}
}
