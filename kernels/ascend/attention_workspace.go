package ascend

// AttentionWorkspace is the bytes that attention takes on blocks groups of cores.
// csrc/attention_sizes.h has the same formulas.
func AttentionWorkspace(blocks int) int { return blocks * 917504 }

// AttentionGradWorkspace is the same of attention_grad. Besides the blocks of scores it
// has two numbers of each query and head, and the partial sums of dq: a row for each
// query and range of keys that it sees.
func AttentionGradWorkspace(blocks, keys, queries, heads, kvHeads, headDim int) int {
	span := 1024
	if kvHeads < 16 {
		span = 512
	}
	partial := 0
	for k := 0; k < keys; k += span {
		partial += min(keys-k, queries)
	}
	return blocks*393216 + 8*queries*heads + 4*partial*heads*headDim
}
