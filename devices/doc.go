// Package devices turns hardware into events, and commands into hardware: inputs, counters and outputs on GPIO lines (package gpiochip
// below it), sensors on I2C and 1-Wire buses and of the board, and simulated ones that go the same way. periph's types stay in here.
//
// Each device of the configuration is a Spec, and runs as a gateway.Source of its own, so that one that fails never slows another. What devices
// share, the buses, is in a Hardware: each bus has one goroutine that owns it, and each transfer has a deadline.
package devices
