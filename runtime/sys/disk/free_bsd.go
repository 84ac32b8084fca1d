//go:build darwin || dragonfly || freebsd

package disk

import (
	"math"
	"syscall"
)

// free is what the system lets a user write in addition to what is there, -1 where
// it does not say.
func free(dir string) int {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil || st.Blocks == 0 {
		return -1
	}
	block := int64(st.Bsize)
	return int(min(max(int64(st.Bavail), 0), math.MaxInt/block) * block) // below 0 the rest is root's
}
