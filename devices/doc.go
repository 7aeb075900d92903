// Package devices is where readings come from. Today that is simulated.go: sensors made of formulas, for the demo and
// for trying things out without hardware. Sources and sinks on real pins and buses, backed by periph, come with issue D;
// periph's types stay inside this package.
package devices
