package main

// board is a machine that qemu models, and what runs on it. It has one processor: with more, the host may stop one of them in the middle of an interrupt while
// another makes the next edge, and the kernel makes one of two, which no reader can notice. With one, the kernel's thread for interrupts always goes first.
type board struct {
	name     string
	debArch  string   // Debian's name of its processor, and of its kernel's packages
	flavour  string   // of Debian's kernel
	kernArch string   // the kernel's own name
	triplet  string   // of the compiler
	env      []string // for go build
	qemu     []string
	console  string
}

// arm64 is a 64-bit machine such as a Pi 3, 4 or 5 has. What is compiled for ARMv6 and ARMv7 runs on it as well.
func arm64() board {
	return board{name: "arm64", debArch: "arm64", flavour: "arm64", kernArch: "arm64", triplet: "aarch64-linux-gnu",
		env:  []string{"GOOS=linux", "GOARCH=arm64"},
		qemu: []string{"qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a53", "-smp", "1", "-m", "768"}, console: "ttyAMA0"}
}

// armv7 is a 32-bit machine such as a Pi 2 has, with a 32-bit kernel.
func armv7() board {
	return board{name: "armv7", debArch: "armhf", flavour: "armmp-lpae", kernArch: "arm", triplet: "arm-linux-gnueabihf",
		env:  []string{"GOOS=linux", "GOARCH=arm", "GOARM=7"},
		qemu: []string{"qemu-system-arm", "-M", "virt", "-cpu", "cortex-a15", "-smp", "1", "-m", "768"}, console: "ttyAMA0"}
}
