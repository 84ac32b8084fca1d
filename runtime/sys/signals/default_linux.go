package signals

import (
	"syscall"
	"unsafe"
)

// byDefault has a signal do to this process what it does to one that knows nothing of
// it. Go itself passes over some that nobody asks for, as SIGUSR1.
func byDefault(s syscall.Signal) {
	var action [8]uintptr // of the kernel: handler, flags, restorer and mask, all 0
	syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&action)), 0, 8, 0, 0)
}
