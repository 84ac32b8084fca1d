//go:build !linux

package mmap

// drop and part leave memory to the system where the standard library has no
// way to say more.
func drop(data []byte) {}
func part(data []byte) {}
