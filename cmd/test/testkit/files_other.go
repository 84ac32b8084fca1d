//go:build !unix

package testkit

// LimitFiles does nothing here: this system has no such limit.
func LimitFiles() {}
