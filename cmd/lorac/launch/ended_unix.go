//go:build unix

package launch

import (
	"os"
	"syscall"
)

// endedBy is the signal that ended a process, nil if none did.
func endedBy(p *os.ProcessState) os.Signal {
	if w, ok := p.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return w.Signal()
	}
	return nil
}
