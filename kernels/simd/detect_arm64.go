package simd

import (
	"encoding/binary"
	"os"
	"runtime"
)

// NEON is true on arm64, where every processor has it, unless LORAC_CPU=go asks
// for plain Go; DotProduct is true where there is SDOT.
var NEON, DotProduct = detect()

func detect() (neon, dot bool) {
	if os.Getenv("LORAC_CPU") == "go" {
		return false, false
	}
	if runtime.GOOS == "darwin" { // every arm64 Mac has it
		return true, true
	}
	auxv, _ := os.ReadFile("/proc/self/auxv")
	return true, dotProduct(auxv)
}

// dotProduct looks for ASIMDDP in the auxiliary vector that Linux gives a process.
func dotProduct(auxv []byte) bool {
	const hwcap, asimddp = 16, 1 << 20
	for ; len(auxv) >= 16; auxv = auxv[16:] {
		if binary.LittleEndian.Uint64(auxv) == hwcap {
			return binary.LittleEndian.Uint64(auxv[8:])&asimddp != 0
		}
	}
	return false
}
