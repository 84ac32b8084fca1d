package build

import (
	"os"
	"runtime"
	"strconv"
	"strings"

	"lorac/compiler/cost"
	"lorac/kernels"
	rt "lorac/runtime"
)

// device is what a trainer runs on: this machine, or one like it where it has
// huge pages, in which activations are then. Its memory is as runs of 5 to 32
// layers were seen to take it (docs/memory.md).
func device(here bool) *cost.Device {
	page := 2 << 20
	if here && !hugePages() {
		page = smallPage
	}
	return &cost.Device{
		Page:      page,
		SmallPage: smallPage,
		Scratch:   func(z cost.KernelSizes) int { return kernels.ScratchBytes(kernels.Sizes(z)) },
		Procs:     runtime.GOMAXPROCS(0), // as many as the trainer will have
		PerProc:   rt.ProcBytes,
		Program:   34<<18 - 2*rt.ProcBytes,
		PerLayer:  52 << 10,
		Start:     21 << 19,
		Slack:     1 << 20,
	}
}

// smallPage is the size of a page that is not huge, in bytes.
const smallPage = 4 << 10

// hugePages reports whether a process that is started from this one gets huge
// pages where it asks for them.
func hugePages() bool {
	system, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	status, _ := os.ReadFile("/proc/self/status")
	return err == nil && !strings.Contains(string(system), "[never]") && !strings.Contains(string(status), "THP_enabled:\t0")
}

// FreeMemory is what the system says a new process may take without swapping
// (MemAvailable of proc(5)), 0 where it does not.
func FreeMemory() int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(text), "MemAvailable:")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		return 0
	}
	return n << 10
}
