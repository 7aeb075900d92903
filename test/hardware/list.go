package main

import "time"

// scenarios is all there is, in the order in which it is played.
func scenarios() []scenario {
	const usual = 15 * time.Minute
	return []scenario{
		{"rig", "the machine itself: lines, chips and probes answer, fail and come back", playRig, usual},
		{"plain", "an MQTT publish: flash, line cut, power cut, reboot, upstream", playPlain, usual},
		{"boards", "a 32-bit machine with its own kernel runs the gateway", playBoards, usual},
		{"gpiochip", "the tests of devices/gpiochip on real lines", playGpiochip, usual},
		{"edges", "every edge is an event or reported as lost: slow, fast, stalled", playEdges, time.Hour},
		{"debounce", "a bouncing contact makes one event a press", playDebounce, usual},
		{"counter", "pulses over kill -9 and a power cut: none twice, none missing", playCounter, time.Hour},
		{"sensors", "each I2C driver: right, unplugged, hung, garbled, back", playSensors, usual},
		{"probes", "DS18B20: right, unplugged, garbled, shorted, back", playProbes, usual},
		{"outputs", "commands in order and once, expired ones refused, no glitch", playOutputs, usual},
		{"restarts", "the line of an output is kept over restarts, on and untouched", playRestarts, usual},
		{"arms", "ARMv6 and ARMv7 builds: qemu-user, 64-bit kernel, 32-bit kernel", playArms, time.Hour},
		{"whole", "edge, flash, line cut, power cut, reboot, upstream once", playWhole, usual},
	}
}
