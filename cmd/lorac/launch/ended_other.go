//go:build !unix

package launch

import "os"

// endedBy is nil: signals end no process here.
func endedBy(*os.ProcessState) os.Signal { return nil }
