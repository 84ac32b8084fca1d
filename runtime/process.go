package rt

import (
	"bytes"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"lorac/runtime/sys/human"
)

// ProcBytes is what Go takes for each processor it may use, as measured with
// GOMAXPROCS from 2 to 64.
const ProcBytes = 80 << 10

// prepareProcess sets up what all runs of a process share, once.
var prepareProcess = sync.OnceFunc(func() {
	ignoreFileSizeLimit()
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

// processAge is how long ago this process was started; what it was before it became
// the trainer, as lorac finetune does, counts. 0 where the system does not say
// (proc(5): the start is field 22 of stat, in hundredths of a second since boot).
func processAge() time.Duration {
	stat, err := os.ReadFile("/proc/self/stat")
	up, err2 := os.ReadFile("/proc/uptime")
	if err != nil || err2 != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from field 3 on
	first, _, _ := strings.Cut(string(up), " ")
	if len(fields) < 20 {
		return 0
	}
	begun, err := strconv.ParseFloat(fields[19], 64)
	now, err2 := strconv.ParseFloat(first, 64)
	if err != nil || err2 != nil || now < begun/100 {
		return 0
	}
	return time.Duration((now - begun/100) * float64(time.Second))
}

// mib writes bytes for people.
func mib(n int) string { return human.Bytes(n) }

// count writes a number with commas.
func count(n int) string { return human.Thousands(n) }
