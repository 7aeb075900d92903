package mqtt

const (
	// retainedBytes bounds what is retained in memory: topics, payloads and properties, and retainedEach for each of them.
	retainedBytes = 8 << 20
	retainedEach  = 1 << 10
)

// retained is the account of the retained publishes, which any client may add to. It belongs to the router.
type retained struct {
	sizes map[string]int // by topic
	bytes int
}

// take says whether a publish with so many bytes of payload and properties may be retained on topic in place of what is
// there. Without a payload it only makes room.
func (r *retained) take(topic string, payload, props int) bool {
	r.drop(topic)
	size := len(topic) + payload + props + retainedEach
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
