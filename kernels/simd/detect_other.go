//go:build !amd64

package simd

import (
	"os"
	"runtime"
)

// Lacks names what keeps vector instructions from being used, for people.
func Lacks() string {
	if os.Getenv("LORAC_CPU") == "go" {
		return "LORAC_CPU=go turns vector instructions off"
	}
	return "there are no kernels in vector instructions for " + runtime.GOARCH
}
