package rt

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"sync"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/human"
)

// ProcBytes is what Go takes for each processor it may use, as measured with
// GOMAXPROCS from 2 to 64.
const ProcBytes = 80 << 10

// prepareProcess sets up what all runs of a process share, once.
var prepareProcess = sync.OnceFunc(func() {
	ignoreFileSizeLimit()
	atomicfile.RemoveOnSignal()
	tuneGC()
})

// tuneGC has the collector keep what loading and training leave behind small:
// all that is large is off-heap.
func tuneGC() { debug.SetGCPercent(20) }

// freeUnused gives back to the system what loading left behind.
func freeUnused() { debug.FreeOSMemory() }

// peakMemory is the most memory the process has had resident, in bytes; 0
// where the system does not say (VmHWM of proc(5)).
func peakMemory() int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, ok := bytes.Cut(text, []byte("VmHWM:"))
	if !ok {
		return 0
	}
	fields := bytes.Fields(rest)
	n, err := strconv.Atoi(string(fields[0]))
	if err != nil {
		return 0
	}
	return n << 10
}

// mib writes bytes for people.
func mib(n int) string { return human.Bytes(n) }

// count writes a number with commas.
func count(n int) string { return human.Thousands(n) }
