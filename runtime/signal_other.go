//go:build !unix

package rt

// ignoreFileLimit has nothing to do on this system.
func ignoreFileLimit() {}
