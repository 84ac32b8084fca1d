// Lines that must not compile. What g++ must say of a line stands behind it.
#include "kernel_operator.h"
using namespace AscendC;

struct Lines {
    LocalTensor<bfloat16_t> b;
    LocalTensor<float> f;
    LocalTensor<int32_t> i;
    LocalTensor<half> h;
    bfloat16_t v;
    void right()
    {
        Add(f, f, f, 8);
        Cast(f, b, RoundMode::CAST_NONE, 8);
        And(i.ReinterpretCast<int16_t>(), i.ReinterpretCast<int16_t>(), i.ReinterpretCast<int16_t>(), 8);
    }
    void wrong()
    {
        Add(b, b, b, 8);                              // the vector unit does not calculate with bf16
        Muls(b, b, v, 8);                             // bf16 must be Cast to float first
        Exp(b, b, 8);                                 // bf16 must be Cast to float first
        And(i, i, i, 8);                              // And: not for this type
        Div(i, i, i, 8);                              // Div: not for this type
        Cast(b, h, RoundMode::CAST_RINT, 8);          // arch 2201 has no conversion between these types
        WholeReduceSum<int32_t>(i, i, 64, 1, 1, 1, 8); // half and float only
        PipeBarrier<PIPE_S>();                        // scalars need no barrier
        CrossCoreSetFlag<3, PIPE_FIX>(0);             // modes of arch 2201 are 0, 1, 2
        CrossCoreSetFlag<2, PIPE_ALL>(0);             // a flag between cores is set by one pipe
        v = v * v;                                    // no match for
        Muls(f, f, 2, 8);                             // no matching function
    }
};
