//go:build !unix

package rt

// ignoreFileSizeLimit has nothing to do where no signal tells of one.
func ignoreFileSizeLimit() {}
