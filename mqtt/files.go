package mqtt

import "syscall"

// fileReserve is how many open files are left to the log, whose tables are one each, and to the rest of the process. A log that
// cannot open a file stops for good, so no stranger may use them up.
const fileReserve = 768

// fileLimit is how many files the process may have open. The runtime has raised the soft limit to the hard one.
func fileLimit() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 1024 // what a system has that says nothing
	}
	return limit.Cur
}

// openBound is how many connections may be open at once, with or without a login.
func openBound(maxClients int, files uint64) int64 {
	left := files - min(fileReserve, files/2)
	return int64(min(uint64(maxClients)+spareConns, left))
}
