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

// device is this machine: a trainer's memory as runs of 5 to 32 layers were seen
// to take it (docs/memory.md).
func device() *cost.Device {
	return &cost.Device{
		Page:      2 << 20, // activations are in huge pages where the system has them
		SmallPage: 4 << 10,
		Scratch:   func(z cost.KernelSizes) int { return kernels.ScratchBytes(kernels.Sizes(z)) },
		Procs:     runtime.GOMAXPROCS(0), // as many as the trainer will have
		PerProc:   rt.ProcBytes,
		Program:   34<<18 - 2*rt.ProcBytes,
		PerLayer:  52 << 10,
		Start:     21 << 19,
		Slack:     1 << 20,
	}
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
