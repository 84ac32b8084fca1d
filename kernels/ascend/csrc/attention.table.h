// Arguments: o, lse, q, k, v, starts, rows, ws, keys, queries, seqs, heads, kvHeads,
// headDim, scale. ws: attention_sizes::forward::WORKSPACE = 917504 bytes a block.
LORAC_KERNEL(attention_bf16, MIX, 15)
LORAC_KERNEL(attention_f16, MIX, 15)
