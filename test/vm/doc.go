// Package vm makes virtual machines out of Debian's packages: it fetches a kernel, its modules and a static busybox, also of another
// architecture, and packs an initramfs and a disk. The programs that boot them are test/powercut and test/hardware.
package vm
