// Head and loss. Workspace: 1,572,864 bytes a group, and head.h: Stats, Sums.
LORAC_KERNEL(head_loss_bf16, MIX, 10)
LORAC_KERNEL(head_loss_f16, MIX, 10)
