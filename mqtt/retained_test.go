package mqtt

import (
	"fmt"
	"testing"
)

func TestRetainedStoreIsBounded(t *testing.T) {
	t.Parallel()
	r := retained{sizes: map[string]int{}}
	const size = 200 << 10
	n := 0
	for ; n < 1000 && r.take(fmt.Sprint("t/", n), size, 0); n++ {
	}
	if n < 30 || n > 40 || r.bytes > retainedBytes {
		t.Errorf("got %d publishes of 200 KiB, %d bytes, want about 40 and at most %d", n, r.bytes, retainedBytes)
	}
	if !r.take("t/0", 10, 0) || !r.take("t/1", 0, 0) || !r.take("new", size, 0) {
		t.Error("a smaller one, a deletion, and one in the room that they made: not all were taken")
	}
	for topic := range r.sizes {
		r.drop(topic)
	}
	if r.bytes != 0 {
		t.Errorf("an empty store has %d bytes", r.bytes)
	}
}
