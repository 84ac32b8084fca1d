//go:build !linux

package signals

import "syscall"

// byDefault is for Linux.
func byDefault(syscall.Signal) {}
