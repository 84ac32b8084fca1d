// Lines that must not compile, one at a time: CASE is the number of the line that is left in.
#include "kernel_operator.h"
using namespace AscendC;

void lines(LocalTensor<bfloat16_t> b, LocalTensor<float> f, LocalTensor<int32_t> i, LocalTensor<half> h, bfloat16_t v)
{
#if CASE == 0
    Add(f, f, f, 8), Cast(f, b, RoundMode::CAST_NONE, 8), And(i.ReinterpretCast<int16_t>(), i.ReinterpretCast<int16_t>(), i.ReinterpretCast<int16_t>(), 8);
#elif CASE == 1
    Add(b, b, b, 8); // the vector unit does not calculate with bf16
#elif CASE == 2
    Muls(b, b, v, 8); // bf16 must be Cast to float first
#elif CASE == 3
    And(i, i, i, 8); // And: not for this type
#elif CASE == 4
    Cast(b, h, RoundMode::CAST_RINT, 8); // arch 2201 has no conversion between these types
#elif CASE == 5
    WholeReduceSum<int32_t>(i, i, 64, 1, 1, 1, 8); // half and float only
#elif CASE == 6
    PipeBarrier<PIPE_S>(); // scalars need no barrier
#elif CASE == 7
    CrossCoreSetFlag<3, PIPE_FIX>(0); // modes of arch 2201 are 0, 1, 2
#elif CASE == 8
    v = v * v; // no match for
#endif
}
