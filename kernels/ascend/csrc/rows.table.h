// Rows by index.
LORAC_KERNEL(gather_rows, AIV, 6)
LORAC_KERNEL(scatter_rows, AIV, 6)
