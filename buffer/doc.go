// Package buffer is the durable event log of the gateway: what it acknowledged survives a power cut.
//
// Submit encodes events into the open group, under a mutex, and returns. One writer goroutine takes the group as a
// block (format.md: deduplicated strings, compressed, with a checksum of our own) and commits it in one synced
// transaction of the storage engine, together with the cursor moves, the keys and the deletes of blocks that all
// cursors have passed. While it syncs, the next group gathers; there is no timer. Another goroutine calls the
// callbacks, so that encoding, committing and acknowledging overlap.
//
// Readers take the newest blocks from memory, in their compressed form, and older ones from the engine, one at a
// time: memory does not depend on how much waits.
//
// The engine is Badger; its types do not leave this package. engine_options.go says why its options are what they are.
package buffer
