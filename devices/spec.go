package devices

import "time"

// Spec says what one device is, and how it is used. Which fields count depends on Type; the others are zero. It holds what the configuration
// says, with its defaults filled in.
type Spec struct {
	// Name is the device's own; Type one of the Type constants or the name of a driver (see Drivers).
	Name, Type string
	// Topic is the subject of its events; "" stands for "devices/<name>".
	Topic string

	// Pin is a line by its name ("GPIO17") or its number on the chip ("17"). Chip is the label of its chip ("pinctrl-bcm2711") or its name ("gpiochip0"); "":
	// the only chip that has a line of that name.
	Pin, Chip string
	// Pull is PullNone, PullUp, PullDown or PullAsIs. Invert: a low level on the wire counts as on.
	Pull   string
	Invert bool
	// Debounce is how long a level must hold before it counts; 0: no time at all.
	Debounce time.Duration
	// Edges is EdgesBoth, EdgesRising or EdgesFalling, of what is on the wire after Invert.
	Edges string
	// LongPress is how long an input must be on to be held, which is an event of its own; 0: never.
	LongPress time.Duration

	// Interval is the time between two readings, or two counts.
	Interval time.Duration
	// Quantity and Unit (UCUM) are what a counter counts, PerPulse how much of it a pulse is.
	Quantity, Unit string
	PerPulse       float64

	// Bus is the number of an I2C bus ("1"), Address the chip's on it; 0: the driver's usual one. Probe is the id of a 1-Wire probe ("28-000000a1b2c3").
	Bus     string
	Address int
	Probe   string
	// Average is how many reads make a reading, which is their median. Report is ReportAlways, ReportChanged or ReportDeadband; with the last two, a reading is reported after
	// Heartbeat all the same, if that is not 0.
	Average   int
	Report    string
	Heartbeat time.Duration
	// Timeout bounds each transfer; 0: as long as is usual for the driver.
	Timeout time.Duration
	// Adjust calibrates and bounds quantities.
	Adjust []Adjust
	// Gain is a full scale in volts of an ADS1115, Shunt the resistor of an INA219 in ohms; 0: the driver's usual one.
	Gain, Shunt float64
	// Channels are the inputs of a chip with many, in the driver's words; none: all.
	Channels []string

	// Start, Stop: OutputSafe or OutputKeep, at the start of the gateway and at its end. Safe is the safe state: OutputOn or OutputOff.
	Start, Stop, Safe string
	// MaxOn is how long an output may be on at a time; Watchdog how long it may go without a command until it is put into its safe state; 0: for ever.
	MaxOn, Watchdog time.Duration
	// Down is the name of a source or a forwarder: after DownFor without a connection the output is put into its safe state. "": none.
	Down    string
	DownFor time.Duration
	// Interlock names outputs that must not be on at the same time.
	Interlock []string

	// Wave is what a simulated device does: WaveSine, WaveWalk, WaveSteps, WaveFaults or WaveReplay; Low and High bound its values, Period is how long a sine or
	// a step takes, Seed makes two devices differ, and File is a file of JSON lines that is replayed.
	Wave      string
	Low, High float64
	Period    time.Duration
	Seed      uint64
	File      string
}

// Adjust is for one quantity of a device: what was measured is multiplied by Scale, then Offset is added (in the quantity's unit). What is then outside of Min
// and Max, where they are given, is a fault and no reading. Deadband is by how much a value must differ from the last reported one.
type Adjust struct {
	Quantity      string
	Scale, Offset float64
	Min, Max      *float64
	Deadband      float64
}

// Types of devices besides the drivers of sensors.
const (
	TypeInput     = "gpio_input"
	TypeCounter   = "gpio_counter"
	TypeSampled   = "gpio_sampled"
	TypeOutput    = "gpio_output"
	TypeSimulated = "simulated"
)

// Values of fields of a Spec.
const (
	PullNone = "none"
	PullUp   = "up"
	PullDown = "down"
	PullAsIs = "as_is"

	EdgesBoth    = "both"
	EdgesRising  = "rising"
	EdgesFalling = "falling"

	ReportAlways   = "always"
	ReportChanged  = "changed"
	ReportDeadband = "deadband"

	OutputSafe = "safe"
	OutputKeep = "keep"
	OutputOn   = "on"
	OutputOff  = "off"

	WaveSine   = "sine"
	WaveWalk   = "walk"
	WaveSteps  = "steps"
	WaveFaults = "faults"
	WaveReplay = "replay"
)
