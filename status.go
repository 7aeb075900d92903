package gateway

import "time"

// LogStatus is a snapshot of the log. Counters rise from the start of the process.
type LogStatus struct {
	LogID  string `json:"log_id"`
	Epoch  uint32 `json:"epoch"`
	BootID string `json:"boot_id"`
	// First is the oldest offset kept, Last the newest durable one; First is Last+1 in an empty log.
	First Offset `json:"first"`
	Last  Offset `json:"last"`
	// BootFirst is the first offset that was given, or will be, since the machine was switched on.
	BootFirst Offset `json:"boot_first"`
	// Bytes is what the data directory takes on disk, MaxBytes the bound on it.
	Bytes    int64 `json:"bytes"`
	MaxBytes int64 `json:"max_bytes"`
	// Appended, Commits and PayloadBytes count what became durable; BlockBytes what it took, compressed, before the engine.
	Appended     uint64 `json:"appended"`
	Commits      uint64 `json:"commits"`
	PayloadBytes uint64 `json:"payload_bytes"`
	BlockBytes   uint64 `json:"block_bytes"`
	// Trimmed counts events that were deleted when nobody was owed them any more, Lost those that a consumer was owed, by
	// reason (see Gap): each has a gap and a log line.
	Trimmed uint64            `json:"trimmed"`
	Lost    map[string]uint64 `json:"lost"`
	// Full says that appends are refused, and FullReason why: FullSize, FullDisk. Failed is the error that stopped the log
	// for good, "" while it works.
	Full       bool              `json:"full"`
	FullReason string            `json:"full_reason,omitempty"`
	Failed     string            `json:"failed,omitempty"`
	Cursors    map[string]Offset `json:"cursors"`
	// Gaps are the holes that a cursor has not passed yet, in order.
	Gaps []Gap `json:"gaps,omitempty"`
	// Clock is what is known of the wall clock.
	Clock ClockStatus `json:"clock"`
	// Wear is what the log does to the card.
	Wear WearStatus `json:"wear"`
}

// Why a log is full.
const (
	FullSize = "max_size" // it has reached its bound, and the policy is to refuse
	FullDisk = "disk"     // the file system has less than the reserve left
)

// ClockStatus says how far the wall clock can be believed.
type ClockStatus struct {
	// Synced says that the kernel's clock follows a time source now, or has done so since boot.
	Synced bool `json:"synced"`
	// Now is the time that the log gives to events now: never behind the newest event of the log.
	Now time.Time `json:"now"`
	// Ahead is by how much Now is ahead of the kernel's clock, because that runs behind the log; 0 as a rule.
	Ahead time.Duration `json:"ahead_ns,omitempty"`
}

// WearStatus is what the process has written to the block device, and what that means for a card.
type WearStatus struct {
	// Written is bytes since the start, by the kernel's count for this process; PerEvent and PerPayloadByte are what that is
	// for each event and each byte of their data. 0 while nothing is known.
	Written        uint64  `json:"written"`
	PerEvent       float64 `json:"per_event"`
	PerPayloadByte float64 `json:"per_payload_byte"`
	// PerDay is the rate of the last day, or since the start if that is less, in bytes a day; Endurance what the card can
	// take, in bytes, as configured; Years how long it lasts at that rate. 0 while nothing is known.
	PerDay    float64 `json:"per_day"`
	Endurance int64   `json:"endurance"`
	Years     float64 `json:"years"`
}

// BrokerStatus is a snapshot of the MQTT broker. Counters rise from the start of the process, and
// Received = Stored + Unlogged + Duplicates + Refused + Dropped + Disconnected + what waits for its commit.
type BrokerStatus struct {
	Addresses   []string `json:"addresses"`
	Clients     int64    `json:"clients"`
	Connections uint64   `json:"connections"`
	// Received counts PUBLISH packets. Stored are durable, Unlogged are outside capture, Duplicates are QoS 2 publishes
	// sent again, and QoS 1 publishes sent again with DUP after a reconnect, as far as it is certain that the log has them;
	// Refused can never be accepted (ACL, topic), Dropped are QoS 0 that found the log full or their connection gone before
	// the log took them; Disconnected counts the QoS 1 and 2 publishes whose client was disconnected without an
	// acknowledgement because the log was full or failed.
	Received     uint64 `json:"received"`
	Stored       uint64 `json:"stored"`
	Unlogged     uint64 `json:"unlogged"`
	Duplicates   uint64 `json:"duplicates"`
	Refused      uint64 `json:"refused"`
	Dropped      uint64 `json:"dropped"`
	Disconnected uint64 `json:"disconnected"`
	// Looped counts those of Unlogged that were here before, and are not routed either: see Event.Loops.
	Looped uint64 `json:"looped"`
	// Acked counts PUBACK and PUBREC written for stored or unlogged publishes.
	Acked uint64 `json:"acked"`
	// Routed counts publishes handed to local subscribers and the retained store, RouteDropped those that found the routing queue full.
	Routed       uint64 `json:"routed"`
	RouteDropped uint64 `json:"route_dropped"`
	// Overflows counts clients closed because they did not read, Panics what was recovered, AuthFailures refused logins.
	Overflows    uint64 `json:"overflows"`
	Panics       uint64 `json:"panics"`
	AuthFailures uint64 `json:"auth_failures"`
}

// SourceStatus is a snapshot of a source. Counters rise from the start of the process, and Received = Stored + Duplicates +
// Looped + Ignored + Refused + what waits or came again after a lost connection.
type SourceStatus struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	// State is connecting, connected or refused (a person must look; attempts go on), and Since when it was entered.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Received counts messages, Stored those that are durable, Duplicates those whose ID was stored before, Looped those
	// that were here before, Ignored the retained and those of topics that are not subscribed to any more, Refused those
	// that are too large.
	Received   uint64 `json:"received"`
	Stored     uint64 `json:"stored"`
	Duplicates uint64 `json:"duplicates"`
	Looped     uint64 `json:"looped"`
	Ignored    uint64 `json:"ignored"`
	Refused    uint64 `json:"refused"`
	// Reconnects counts connections after the first.
	Reconnects uint64 `json:"reconnects"`
	// Full says that messages wait, unacknowledged, because the log is full.
	Full bool `json:"full"`
	// LastError is why there is no connection, or what is wrong with the one that there is; "" if nothing is.
	LastError string `json:"last_error,omitempty"`
}

// States of a device.
const (
	DeviceStarting = "starting" // nothing is known of it yet
	DeviceOK       = "ok"
	DeviceFault    = "fault" // it does not work; attempts go on
	DeviceStopped  = "stopped"
)

// DeviceStatus is a snapshot of a device. Counters rise from the start of the process.
type DeviceStatus struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Where is its pin, or its bus and address.
	Where string `json:"where"`
	// State is one of the Device constants, and Since when it was entered.
	State string    `json:"state"`
	Since time.Time `json:"since"`
	// Fault is what is wrong, "" if nothing is.
	Fault string `json:"fault,omitempty"`
	// Value is what it last said, as people read it: "21.5 Cel, 40 %", "on"; At is when.
	Value string    `json:"value,omitempty"`
	At    time.Time `json:"at,omitzero"`
	// Events counts what it appended, Reads reads and edges, Faults how often it failed after it had worked, and Missed edges that the kernel had
	// no room for, or readings that were skipped because one took too long or the log was full. Reads that were not reported because nothing had changed are Quiet.
	Events uint64 `json:"events"`
	Reads  uint64 `json:"reads"`
	Quiet  uint64 `json:"quiet"`
	Faults uint64 `json:"faults"`
	Missed uint64 `json:"missed"`
}

// States of a forwarder.
const (
	StateIdle       = "idle"       // everything is delivered
	StateDelivering = "delivering" // the last attempt worked, or the first is under way
	StateRetrying   = "retrying"   // the last attempt failed; another follows
	StateThrottled  = "throttled"  // the endpoint asked us to wait
	StateHeld       = "held"       // a budget or a schedule says to wait
	StateBlocked    = "blocked"    // the endpoint refuses us: a person must look; attempts go on
	StateStopped    = "stopped"    // Run has ended or was not started
)

// ForwarderStatus is a snapshot of a forwarder. Counters rise from the start of the process.
type ForwarderStatus struct {
	Name  string `json:"name"`
	Sink  string `json:"sink"`
	State string `json:"state"`
	// Since is when State was entered.
	Since time.Time `json:"since"`
	// Settled is the cursor: every event up to it was delivered, dead-lettered or did not match.
	Settled Offset `json:"settled"`
	// Waiting is the number of events of the log behind the cursor, matching or not.
	Waiting uint64 `json:"waiting"`
	// Lag is the age of the oldest event not yet settled, 0 if there is none.
	Lag time.Duration `json:"lag_ns"`
	// Delivered, Skipped (no match) and DeadLettered add up to what was settled; Retried counts events sent again after a failed attempt.
	Delivered    uint64 `json:"delivered"`
	Skipped      uint64 `json:"skipped"`
	DeadLettered uint64 `json:"dead_lettered"`
	Retried      uint64 `json:"retried"`
	// Attempts counts calls of Send, Failures those that did not deliver all; LastError is the newest of them, "" after a success.
	Attempts  uint64 `json:"attempts"`
	Failures  uint64 `json:"failures"`
	LastError string `json:"last_error,omitempty"`
	// Expired, Poison: dead letters for that reason. Undecided counts conditions of routes that said nothing about an event.
	Expired   uint64 `json:"expired"`
	Poison    uint64 `json:"poison"`
	Undecided uint64 `json:"undecided"`
	// Duplicates counts deliveries that the receiver knew already, by its own words; they are in Delivered.
	Duplicates uint64 `json:"duplicates"`
	// Letters is how many dead letters are kept, LetterBytes about what they take, and LettersDropped how many had to make room.
	Letters        int    `json:"letters"`
	LetterBytes    int64  `json:"letter_bytes"`
	LettersDropped uint64 `json:"letters_dropped"`
	// OutcomesLost counts events of type gateway.outcome that a full log did not take.
	OutcomesLost uint64 `json:"outcomes_lost"`
	// Answers counts attempts by what came of them: "delivered", or the state that it led to.
	Answers map[string]uint64 `json:"answers"`
	// Held says for what delivery waits on purpose: a budget or a schedule; "" if it does not.
	Held string `json:"held,omitempty"`
	// Month is what was sent in this calendar month, in bytes, and MonthLimit what may be; 0 without a bound.
	Month      int64 `json:"month_bytes"`
	MonthLimit int64 `json:"month_limit_bytes"`
	// Lanes are its ways through the log: each priority's live events and backlog.
	Lanes []LaneStatus `json:"lanes"`
	// Replays are those that are not done, and the last few that are.
	Replays []ReplayStatus `json:"replays,omitempty"`
	// Requeued is how many dead letters wait to be delivered once more.
	Requeued int `json:"requeued"`
}

// LaneStatus is a snapshot of a lane.
type LaneStatus struct {
	Name     string `json:"name"`
	Priority int    `json:"priority"`
	Backlog  bool   `json:"backlog"`
	// Settled is how far it has come; Waiting is the number of offsets of the log that it has still to look at.
	Settled Offset `json:"settled"`
	Waiting uint64 `json:"waiting"`
	// WaitingBytes is about what they take, by what was delivered lately.
	WaitingBytes uint64 `json:"waiting_bytes"`
	// Lag is the age of the oldest event in hand, 0 if there is none.
	Lag time.Duration `json:"lag_ns"`
	// Delivered counts from the start of the process, Bytes their data; Rate is offsets settled a second, lately, and ETA how long until
	// nothing waits at that rate; 0 if that is not known.
	Delivered uint64        `json:"delivered"`
	Bytes     uint64        `json:"bytes"`
	Rate      float64       `json:"rate"`
	ETA       time.Duration `json:"eta_ns"`
}
