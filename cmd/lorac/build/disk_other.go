//go:build !(darwin || dragonfly || freebsd || linux)

package build

// freeDisk is not known here.
func freeDisk(string) int { return -1 }
