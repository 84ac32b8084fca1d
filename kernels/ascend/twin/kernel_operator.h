// The part of the Ascend C API that the kernels use, for g++ and any machine. Arch 2201 only.
//
// Kernels are compiled as they are: the same sources go to the device's compiler. Templates are thin; the engine behind
// them is compiled once (engine.cpp) and the kernels become a library with the functions of library.cpp.
//
// Checked, each with the API's name and the core in the message; corpus/ has a kernel for every check:
//   alignment      of UB, L1, L0A, L0B, L0C addresses, operand by operand
//   extents        of every operand to its last active lane; of GlobalTensor where SetGlobalBuffer was told
//   capacities     of all memories, 64 buffers, 8 event ids for each pair of pipes
//   bounds         of global memory to the byte: a transfer lies in one allocation
//   queues         free, taken, queued, out; depth; whose tensor it is; nothing left at the end
//   flags          strictly set, wait, set ...; ids; the three that TPipe holds on a cube core; nothing left at the end
//   order          in a core: no access to 32 bytes of UB, L1, L0A, L0B, L0C that a flag, a queue or a barrier does not
//                  order after the earlier ones of other pipes, and of V, M, MTE2, MTE3 themselves
//   global order   of reads and writes of global memory, to the byte, between pipes of a core and between cores
//   cross flags    circles of modes 0, 1, 2 and SyncAll, 15 sets, nothing left; a deadlock is seen at once
//   core kind      of the kernel and of each instruction
//   ranges         of masks, repeats, counts, strides; modes of Cast, Compare, Select, Fixpipe
//   poison         buffers are NaN when InitBuffer or AllocTensor gives them
//   data cache     SetValue is written back, GetValue does not read what a copy has overtaken
//   types          what arch 2201 does not calculate with does not compile
//
// Not checked, and not known here: time; conflicts of UB banks; 512-byte alignment of global memory; denormals and the
// last bit of Exp, Ln, Sqrt, Div; the order of sums in Mmad (here: that of k); whether integers wrap (here: they do);
// stale data in the cache after another core wrote. Not there: L1 to global memory through BiasTable or Fixpipe buffer,
// int8, sparsity, unit flags, 3D loads, the compare register, and everything of the high-level API.
//
// LORAC_TWIN_SEED=n runs cores that wait for each other in another order.
#pragma once
#include "cube.h"
#include "reduce.h"
