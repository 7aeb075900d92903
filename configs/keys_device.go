package configs

import (
	"slices"

	"gateway/devices"
)

// deviceKeys are the pins, buses and probes of the board.
func deviceKeys() []Key {
	keys := []Key{
		{
			Path: "devices", Kind: KindSections, Off: true,
			Help:  "The pins, buses and probes of this board: inputs, counters, sensors and outputs. See docs/devices.md; gateway devices scan finds what there is and prints it like this.",
			place: func(c *Config, _ int) any { return &c.Devices },
		},
		{
			Path: "devices[].name", Kind: KindText, Required: true, Example: "door", check: validID,
			Help:  "Its name: its events are of the source //<id>/devices/<name>.",
			place: func(c *Config, i int) any { return &c.Devices[i].Name },
		},
		{
			Path: "devices[].type", Kind: KindChoice, Choices: devices.Types(), Required: true, Example: devices.TypeInput,
			Help:  "What it is: a pin (gpio_…), a chip or probe (gateway devices list-drivers), or simulated.",
			place: func(c *Config, i int) any { return &c.Devices[i].Type },
		},
		{
			Path: "devices[].topic", Kind: KindText, Off: true, Default: "devices/<name>", Example: "hall/door", check: validTopic,
			Help:  "The topic of its events, for match and the upstream. Faults have /fault behind it.",
			place: func(c *Config, i int) any { return &c.Devices[i].Topic },
		},
	}
	keys = append(keys, lineKeys()...)
	keys = append(keys, sensorKeys()...)
	return append(append(keys, outputKeys()...), simulatedKeys()...)
}

// lines are the types of devices with a pin, inputs those of them that are read.
var (
	inputTypes = []string{devices.TypeInput, devices.TypeCounter, devices.TypeSampled}
	lineTypes  = append(slices.Clone(inputTypes), devices.TypeOutput)
)

// withOption are the drivers that have an option of that name.
func withOption(option string) (names []string) {
	for _, d := range devices.Drivers() {
		if slices.Contains(d.Options, option) {
			names = append(names, d.Name)
		}
	}
	return names
}

// sensorTypes are the drivers that have a bus of one of the kinds.
func sensorTypes(buses ...string) (names []string) {
	for _, d := range devices.Drivers() {
		if slices.Contains(buses, d.Bus) {
			names = append(names, d.Name)
		}
	}
	return names
}

func forTypes(types []string, keys ...Key) []Key {
	for i := range keys {
		keys[i].Types = types
	}
	return keys
}

func lineKeys() []Key {
	keys := forTypes(
		lineTypes,
		Key{
			Path: "devices[].pin", Kind: KindText, Required: true, bare: true, Example: "GPIO17", check: notEmpty,
			Help:  "The line, by its name or its number on the chip.",
			place: func(c *Config, i int) any { return &c.Devices[i].Pin },
		},
		Key{
			Path: "devices[].chip", Kind: KindText, Off: true, Example: "pinctrl-bcm2711", check: notEmpty,
			Help:  "The label of its chip. Left out: the only chip that has a line of that name, so that the same file works on every Pi.",
			place: func(c *Config, i int) any { return &c.Devices[i].Chip },
		},
	)
	keys = append(keys, forTypes(
		append(withOption("invert"), lineTypes...),
		Key{
			Path: "devices[].invert", Kind: KindTruth, Default: "false",
			Help:  "A low level on the wire counts as on.",
			place: func(c *Config, i int) any { return &c.Devices[i].Invert },
		},
	)...)
	keys = append(keys, forTypes(append(slices.Clone(inputTypes), withOption("pull")...), Key{
		Path: "devices[].pull", Kind: KindChoice, Choices: []string{devices.PullNone, devices.PullUp, devices.PullDown, devices.PullAsIs},
		Help:  "The resistor inside the chip.",
		place: func(c *Config, i int) any { return &c.Devices[i].Pull },
	})...)
	keys = append(keys, forTypes(
		[]string{devices.TypeInput, devices.TypeCounter},
		Key{
			Path: "devices[].debounce", Kind: KindDuration, most: 1e9,
			Help:  "How long a level must hold before it counts.",
			place: func(c *Config, i int) any { return &c.Devices[i].Debounce },
		},
		Key{
			Path: "devices[].edges", Kind: KindChoice, Choices: []string{devices.EdgesBoth, devices.EdgesRising, devices.EdgesFalling},
			Default: "both; rising for a gpio_counter",
			Help:    "Which changes are told, or counted: each is one pulse.",
			place:   func(c *Config, i int) any { return &c.Devices[i].Edges },
		},
	)...)
	keys = append(keys, forTypes([]string{devices.TypeInput}, Key{
		Path: "devices[].long_press", Kind: KindDuration, most: 3600e9,
		Help:  "An event of its own once the input has been on for that long. 0s: none.",
		place: func(c *Config, i int) any { return &c.Devices[i].LongPress },
	})...)
	counterAndSimulated := []string{devices.TypeCounter, devices.TypeSimulated}
	keys = append(keys, forTypes(
		counterAndSimulated,
		Key{
			Path: "devices[].quantity", Kind: KindText, Off: true, Example: "volume", check: notEmpty,
			Help:  "What is counted or made up.",
			place: func(c *Config, i int) any { return &c.Devices[i].Quantity },
		},
		Key{
			Path: "devices[].unit", Kind: KindText, bare: true, Default: "1", check: notEmpty,
			Help:  "Its unit, in UCUM: L, kW.h, Cel, %.",
			place: func(c *Config, i int) any { return &c.Devices[i].Unit },
		},
	)...)
	return append(keys, forTypes([]string{devices.TypeCounter}, Key{
		Path: "devices[].per_pulse", Kind: KindDecimal,
		Help:  "How much of it a pulse is.",
		place: func(c *Config, i int) any { return &c.Devices[i].PerPulse },
	})...)
}

func sensorKeys() []Key {
	all := sensorTypes(devices.BusI2C, devices.BusWire, devices.BusBoard, devices.BusNone)
	timed := append([]string{devices.TypeCounter, devices.TypeSampled}, all...)
	reported := append([]string{devices.TypeSampled}, all...)
	keys := forTypes(timed, Key{
		Path: "devices[].interval", Kind: KindDuration, least: 100e6, most: 24 * 3600e9, Default: "10s; 1m for a gpio_counter, 1s for gpio_sampled",
		Help:  "The time between two readings or counts. For a counter it is also what a power cut can cost.",
		place: func(c *Config, i int) any { return &c.Devices[i].Interval },
	})
	keys = append(keys, forTypes(
		reported,
		Key{
			Path: "devices[].report", Kind: KindChoice, Choices: []string{devices.ReportAlways, devices.ReportChanged, devices.ReportDeadband},
			Default: "always; changed for gpio_sampled",
			Help:    "Which readings become events: all, those that differ from the last, or those that differ by more than the deadband of adjust.",
			place:   func(c *Config, i int) any { return &c.Devices[i].Report },
		},
		Key{
			Path: "devices[].heartbeat", Kind: KindDuration, most: 24 * 3600e9,
			Help:  "After that long a reading is reported although nothing has changed. 0s: never.",
			place: func(c *Config, i int) any { return &c.Devices[i].Heartbeat },
		},
	)...)
	keys = append(keys, forTypes(all, Key{
		Path: "devices[].average", Kind: KindNumber, least: 1, most: 100,
		Help:  "How many reads make a reading: their median, which one wild value does not move.",
		place: func(c *Config, i int) any { return &c.Devices[i].Average },
	})...)
	keys = append(keys, forTypes(
		sensorTypes(devices.BusI2C),
		Key{
			Path: "devices[].bus", Kind: KindText, bare: true, Default: "1", check: validNumber,
			Help:  "The number of the I2C bus: 1 is /dev/i2c-1.",
			place: func(c *Config, i int) any { return &c.Devices[i].Bus },
		},
		Key{
			Path: "devices[].address", Kind: KindNumber, Default: "the chip's usual one", Example: "0x76", most: 0x77, Off: true,
			Help:  "The chip's address on the bus.",
			place: func(c *Config, i int) any { return &c.Devices[i].Address },
		},
	)...)
	keys = append(keys, forTypes(sensorTypes(devices.BusWire), Key{
		Path: "devices[].probe", Kind: KindText, Required: true, Example: "28-0000a1b2c300", check: notEmpty,
		Help:  "The id of the probe, as in /sys/bus/w1/devices.",
		place: func(c *Config, i int) any { return &c.Devices[i].Probe },
	})...)
	keys = append(keys, forTypes(sensorTypes(devices.BusI2C, devices.BusWire), Key{
		Path: "devices[].timeout", Kind: KindDuration, least: 1e6, most: 60e9, Default: "the driver's",
		Help:  "How long a transfer may take before the device is at fault.",
		place: func(c *Config, i int) any { return &c.Devices[i].Timeout },
	})...)
	keys = append(keys, chipKeys()...)
	return append(keys, adjustKeys(append([]string{devices.TypeCounter}, all...))...)
}

// chipKeys are those of single drivers.
func chipKeys() (keys []Key) {
	return slices.Concat(
		forTypes(withOption("gain"), Key{
			Path: "devices[].gain", Kind: KindDecimal, Default: "the driver's", Off: true, Example: "4.096",
			Help:  "The full scale of the converter, in volts.",
			place: func(c *Config, i int) any { return &c.Devices[i].Gain },
		}),
		forTypes(withOption("shunt"), Key{
			Path: "devices[].shunt", Kind: KindDecimal, Default: "the driver's", Off: true, Example: "0.1",
			Help:  "The resistor that the current is measured at, in ohms.",
			place: func(c *Config, i int) any { return &c.Devices[i].Shunt },
		}),
		forTypes(withOption("channels"), Key{
			Path: "devices[].channels", Kind: KindTexts, bare: true, Default: "the driver's", Off: true, Example: `["0", "1"]`, check: notEmpty,
			Help:  "Which inputs of the chip are read; gateway devices list-drivers names them.",
			place: func(c *Config, i int) any { return &c.Devices[i].Channels },
		}),
	)
}

func adjustKeys(types []string) []Key {
	last := func(c *Config, i int) *devices.Adjust {
		list := c.Devices[i].Adjust
		if len(list) == 0 {
			return &devices.Adjust{}
		}
		return &list[len(list)-1]
	}
	return forTypes(
		types,
		Key{
			Path: "devices[].adjust", Kind: KindSections, Off: true,
			Help:  "Calibration and bounds, for each quantity that needs them. What was measured times scale, plus offset, is the value.",
			place: func(c *Config, i int) any { return &c.Devices[i].Adjust },
		},
		Key{
			Path: "devices[].adjust[].quantity", Kind: KindText, Required: true, Example: "temperature", check: notEmpty,
			Help:  "Which one.",
			place: func(c *Config, i int) any { return &last(c, i).Quantity },
		},
		Key{
			Path: "devices[].adjust[].scale", Kind: KindDecimal,
			Help:  "The factor.",
			place: func(c *Config, i int) any { return &last(c, i).Scale },
		},
		Key{
			Path: "devices[].adjust[].offset", Kind: KindDecimal,
			Help:  "What is added, in the unit of the quantity.",
			place: func(c *Config, i int) any { return &last(c, i).Offset },
		},
		Key{
			Path: "devices[].adjust[].min", Kind: KindDecimal, Off: true, Default: "the sensor's", Example: "-20",
			Help:  "A value below that is a fault, and no reading.",
			place: func(c *Config, i int) any { return &last(c, i).Min },
		},
		Key{
			Path: "devices[].adjust[].max", Kind: KindDecimal, Off: true, Default: "the sensor's", Example: "60",
			Help:  "A value above that is a fault, and no reading.",
			place: func(c *Config, i int) any { return &last(c, i).Max },
		},
		Key{
			Path: "devices[].adjust[].deadband", Kind: KindDecimal,
			Help:  "With report: deadband, by how much a value must differ from the last reported one.",
			place: func(c *Config, i int) any { return &last(c, i).Deadband },
		},
	)
}

func outputKeys() []Key {
	return forTypes(
		[]string{devices.TypeOutput},
		Key{
			Path: "devices[].safe", Kind: KindChoice, Choices: []string{devices.OutputOff, devices.OutputOn},
			Help:  "Its safe state.",
			place: func(c *Config, i int) any { return &c.Devices[i].Safe },
		},
		Key{
			Path: "devices[].start", Kind: KindChoice, Choices: []string{devices.OutputSafe, devices.OutputKeep},
			Help:  "At the start of the gateway it goes into its safe state, or stays as it was, if systemd has kept its line.",
			place: func(c *Config, i int) any { return &c.Devices[i].Start },
		},
		Key{
			Path: "devices[].stop", Kind: KindChoice, Choices: []string{devices.OutputSafe, devices.OutputKeep},
			Help:  "At the end of the gateway it goes into its safe state, or stays as it is, if systemd keeps its line.",
			place: func(c *Config, i int) any { return &c.Devices[i].Stop },
		},
		Key{
			Path: "devices[].max_on", Kind: KindDuration, most: 30 * 24 * 3600e9,
			Help:  "How long it may be on at a time. 0s: for ever.",
			place: func(c *Config, i int) any { return &c.Devices[i].MaxOn },
		},
		Key{
			Path: "devices[].watchdog", Kind: KindDuration, most: 30 * 24 * 3600e9,
			Help:  "After that long without a command it goes into its safe state. 0s: never.",
			place: func(c *Config, i int) any { return &c.Devices[i].Watchdog },
		},
		Key{
			Path: "devices[].link", Kind: KindText, Off: true, Example: "uplink", check: validID,
			Help:  "The name of a source or a forwarder: while that has no connection for link_down_for, the output is in its safe state.",
			place: func(c *Config, i int) any { return &c.Devices[i].Down },
		},
		Key{
			Path: "devices[].link_down_for", Kind: KindDuration, Off: true, Example: "10m", most: 30 * 24 * 3600e9,
			Help:  "How long link may be without a connection.",
			place: func(c *Config, i int) any { return &c.Devices[i].DownFor },
		},
		Key{
			Path: "devices[].interlock", Kind: KindTexts, Off: true, Example: "[]", check: validID,
			Help:  "Outputs that must not be on at the same time as this one.",
			place: func(c *Config, i int) any { return &c.Devices[i].Interlock },
		},
	)
}

func simulatedKeys() []Key {
	return forTypes(
		[]string{devices.TypeSimulated},
		Key{
			Path: "devices[].wave", Kind: KindChoice, Choices: []string{devices.WaveSine, devices.WaveWalk, devices.WaveSteps, devices.WaveFaults, devices.WaveReplay},
			Help:  "What it does. faults: works, is missing, works, and is garbled, for a period each. replay: the lines of file.",
			place: func(c *Config, i int) any { return &c.Devices[i].Wave },
		},
		Key{Path: "devices[].low", Kind: KindDecimal, Help: "The least value.", place: func(c *Config, i int) any { return &c.Devices[i].Low }},
		Key{Path: "devices[].high", Kind: KindDecimal, Help: "The greatest value.", place: func(c *Config, i int) any { return &c.Devices[i].High }},
		Key{
			Path: "devices[].period", Kind: KindDuration, least: 1e6, most: 365 * 24 * 3600e9,
			Help:  "How long a sine, a step or a phase of faults takes.",
			place: func(c *Config, i int) any { return &c.Devices[i].Period },
		},
		Key{
			Path: "devices[].seed", Kind: KindNumber, most: 1 << 30,
			Help:  "Makes two of them differ.",
			place: func(c *Config, i int) any { return &c.Devices[i].Seed },
		},
		Key{
			Path: "devices[].file", Kind: KindPath, Off: true, Example: "readings.jsonl",
			Help:  "For replay: a JSON object of values a line, with \"after\": \"1s\" or \"time\" where it is not one an interval.",
			place: func(c *Config, i int) any { return &c.Devices[i].File },
		},
	)
}

// outputSinkKeys are those of a sink that drives an output.
func outputSinkKeys() []Key {
	return forSink(SinkOutput, []Key{{
		Path: "forwarders[].sink.output", Kind: KindText, Required: true, Example: "pump", check: validID,
		Help:  "The name of the output, of those under devices.",
		place: func(c *Config, i int) any { return &c.Forwarders[i].Sink.Output },
	}})
}
