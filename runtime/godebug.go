package rt

import "os"

// dropGODEBUG starts a process that has GODEBUG again without it: Go's settings for
// its own developers change what a program prints, and how it takes its memory.
func dropGODEBUG() {
	if _, ok := os.LookupEnv("GODEBUG"); ok {
		os.Unsetenv("GODEBUG")
		restartProcess() // returns where a process cannot be replaced
	}
}
