package ascend

// Workspaces of mixed kernels, in bytes for each group of cores: what cube and vector
// cores hand each other goes through it. The sources of the kernels say what is in them.
const (
	dropWorkspace = 393216 // csrc/dropped.table.h: the largest of its kernels
)

// headWorkspace is head::workspace of csrc/head.h: blocks of logits and of weights, two
// each, and the sum of dx.
func headWorkspace(cols int) int { return 2*headRows*1024*(4+2) + headRows*cols*4 }
