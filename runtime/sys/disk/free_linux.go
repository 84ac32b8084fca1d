package disk

import (
	"math"
	"syscall"
)

// free is what the system lets a user write in addition to what is there, -1 where
// it does not say. File systems without a size of their own have no blocks.
func free(dir string) int {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil || st.Blocks == 0 {
		return -1
	}
	block := int64(st.Frsize) // what blocks are counted in; Bsize is what is best read at once
	if block <= 0 {
		block = int64(st.Bsize)
	}
	return int(min(int64(st.Bavail), math.MaxInt/block) * block)
}
