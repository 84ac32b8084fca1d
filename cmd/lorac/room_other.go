//go:build !(darwin || dragonfly || freebsd || linux)

package main

// freeDisk is not known here.
func freeDisk(string) int { return -1 }
