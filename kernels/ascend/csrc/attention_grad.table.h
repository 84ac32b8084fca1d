// Arguments: dq, dk, dv, do, q, k, v, o, lse, starts, rows, ws, keys, queries, seqs,
// heads<<32|kvHeads, headDim, scale. ws: attention_sizes::gradient::Workspace bytes.
LORAC_KERNEL(attention_grad_bf16, MIX, 18)
LORAC_KERNEL(attention_grad_f16, MIX, 18)
