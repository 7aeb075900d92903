package gateway

import "context"

// Appender takes events. When Append returns nil, the events survive a power cut; last is the offset of the last
// of them. Safe for concurrent use. ErrFull: nothing was appended, and the sender must not be told that it was.
type Appender interface {
	Append(ctx context.Context, events ...Event) (last Offset, err error)
}

// Source feeds events until ctx ends and acknowledges its peer only after the append.
type Source interface {
	Name() string
	Run(ctx context.Context, out Appender) error
}

// Batch is the one kind of write that the log knows: all of it becomes durable together, or none.
type Batch struct {
	// Events are appended in this order, at consecutive offsets.
	Events []Event
	// Marks are nil, or a number for each event, which the log keeps beside it: not a part of the event, and never sent
	// anywhere. 0 is none. The source that gave them reads them back after a restart, of the newest events.
	Marks []uint32
	// Cursors are moved. A batch of nothing but cursors waits for the next commit of something else, one second at
	// most: it does not cost a sync of its own.
	Cursors []CursorMove
	// Forget are names of cursors of consumers that are no more: they hold nothing back any longer. A name that is not there is fine.
	Forget []string
	// KV are set, or deleted where Value is nil.
	KV []KeyValue
}

// CursorMove says that the consumer that owns the named cursor has settled every event up to and including Offset.
type CursorMove struct {
	Name   string
	Offset Offset
}

// KeyValue is a small piece of a consumer's state, such as a dead letter. Key begins with the consumer's kind and name.
type KeyValue struct {
	Key   string
	Value []byte
}

// Reader reads the durable part of the log in order. It belongs to one goroutine.
type Reader interface {
	// Next returns up to max entries from the reader's position and moves it behind them. It waits until there is
	// at least one, and returns ctx's error if ctx ends first. The entries are the caller's to keep. Events that
	// were trimmed behind all cursors are passed over; where events were lost, an entry of type TypeGap stands for them.
	Next(ctx context.Context, max int) ([]Entry, error)
	// Close releases the reader. Calling it twice is fine.
	Close() error
}

// Sink delivers batches. Send is called by up to two goroutines at a time, one with live events and one with what has waited; each
// has the order of its own. nil: all of it was delivered. A *BatchError: event by event.
// Any other error: none of it was, and its class (see Permanent, Blocked, RetryAfter) speaks for the whole batch.
// A sink connects when it sends, so that the gateway starts with the cable unplugged; Close releases the connection.
type Sink interface {
	Name() string
	Send(ctx context.Context, batch []Entry) error
	Close() error
}
