// Sums, clipping, AdamW.
LORAC_KERNEL(sum_squares, AIV, 3)
LORAC_KERNEL(norm, AIV, 3)
LORAC_KERNEL(row_sum, AIV, 3)
LORAC_KERNEL(clip, AIV, 4)
LORAC_KERNEL(scale_f32, AIV, 3)
LORAC_KERNEL(zero, AIV, 2)
LORAC_KERNEL(adamw_bf16, AIV, 17)
LORAC_KERNEL(adamw_f16, AIV, 17)
