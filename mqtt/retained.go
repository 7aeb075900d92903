package mqtt

const (
	// retainedBytes bounds what is retained in memory: topics and payloads, and retainedEach for each of them.
	retainedBytes = 8 << 20
	retainedEach  = 256
)

// retained is the account of the retained publishes, which any client may add to. It belongs to the router.
type retained struct {
	sizes map[string]int // by topic
	bytes int
}

// take says whether a publish with so many bytes may be retained on topic in place of what is there. Without any it only
// makes room.
func (r *retained) take(topic string, payload int) bool {
	r.drop(topic)
	size := len(topic) + payload + retainedEach
	if payload == 0 {
		return true
	}
	if r.bytes+size > retainedBytes {
		return false
	}
	r.sizes[topic] = size
	r.bytes += size
	return true
}

func (r *retained) drop(topic string) {
	r.bytes -= r.sizes[topic]
	delete(r.sizes, topic)
}
