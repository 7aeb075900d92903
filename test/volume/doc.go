// Package volume has one test: a large volume of payload through the durable log, killed at nothing, verified byte by
// byte. The torture program runs it with two gigabytes as a 32-bit program, where the engine under the log is known
// to corrupt data in silence unless its options keep to a bound. By itself it takes a few megabytes.
package volume
