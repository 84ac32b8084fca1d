// Workspace, bytes for each group of cores (block): lora_down_drop 262144, weight_grad_drop 262144, lora_dx_drop 393216.
LORAC_KERNEL(dropout_bf16, AIV, 8)
LORAC_KERNEL(dropout_f16, AIV, 8)
LORAC_KERNEL(lora_down_drop_bf16, MIX, 11)
LORAC_KERNEL(lora_down_drop_f16, MIX, 11)
LORAC_KERNEL(weight_grad_drop_bf16, MIX, 11)
LORAC_KERNEL(weight_grad_drop_f16, MIX, 11)
LORAC_KERNEL(lora_dx_drop_bf16, MIX, 16)
LORAC_KERNEL(lora_dx_drop_f16, MIX, 16)
