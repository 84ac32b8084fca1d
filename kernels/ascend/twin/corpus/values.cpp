// What instructions give, eight or 64 numbers each: the test knows what must come out.
#include "common.h"

KERNEL(ok_integers) // the steps of a hash: products and shifts of 32 bits, and, or, not of 16
{
    VEC auto a = v.in.AllocTensor<float>();
    DataCopy(a, v.x, 64);
    v.in.EnQue(a), a = v.in.DeQue<float>();
    auto o = v.out.AllocTensor<float>();
    auto i = a.ReinterpretCast<int32_t>(), r = o.ReinterpretCast<int32_t>(), t = v.tmp.Get<int32_t>();
    auto w = t.ReinterpretCast<uint16_t>();
    Muls(t, i, int32_t(0x7feb352d), 64);
    PipeBarrier<PIPE_V>();
    Adds(t, t, int32_t(12345), 64);
    PipeBarrier<PIPE_V>();
    Mul(r, t, i, 64);
    ShiftRight(t.ReinterpretCast<uint32_t>(), t.ReinterpretCast<uint32_t>(), uint32_t(7), 64);
    PipeBarrier<PIPE_V>();
    Not(w, w, 128);
    PipeBarrier<PIPE_V>();
    And(w, w, r.ReinterpretCast<uint16_t>(), 128);
    PipeBarrier<PIPE_V>();
    Or(r.ReinterpretCast<uint16_t>(), w, i.ReinterpretCast<uint16_t>(), 128);
    PipeBarrier<PIPE_V>();
    ShiftLeft(r, r, int32_t(3), 64);
    v.in.FreeTensor(a);
    v.store(o, 0, 64);
}
KERNEL(ok_functions) // rows of 64: exp, ln(1+|x|), sqrt|x|, 1/(2+|x|), max, min, relu, a fused a·b+c
{
    VEC auto a = v.load(0, 64);
    auto o = v.out.AllocTensor<float>();
    auto t = v.tmp.Get<float>();
    Duplicate(o, 0.0f, 1024);
    Abs(t, a, 64);
    PipeBarrier<PIPE_V>();
    Exp(o, a, 64);
    Adds(o[64], t, 1.0f, 64);
    Sqrt(o[128], t, 64);
    Adds(o[192], t, 2.0f, 64);
    Maxs(o[256], a, 1.0f, 64);
    Mins(o[320], a, 1.0f, 64);
    Relu(o[384], a, 64);
    Duplicate(o[448], 3.0f, 64);
    PipeBarrier<PIPE_V>();
    Ln(o[64], o[64], 64);
    Reciprocal(o[192], o[192], 64);
    MulAddDst(o[448], a, t, 64);
    v.in.FreeTensor(a);
    v.store(o, 0, 512);
}
KERNEL(ok_reductions) // of 64 numbers: largest and its place, sums of blocks, sums of pairs, odd columns
{
    VEC auto a = v.load(0, 64);
    auto o = v.out.AllocTensor<float>();
    Duplicate(o, 0.0f, 1024);
    PipeBarrier<PIPE_V>();
    WholeReduceMax<float>(o, a, 64, 1, 1, 1, 8, ReduceOrder::ORDER_VALUE_INDEX);
    BlockReduceSum<float>(o[8], a, 1, 64, 1, 1, 8);
    PairReduceSum<float>(o[64], a, 1, 64, 1, 1, 8);
    uint64_t kept = 0;
    GatherMask(o[128], a, uint8_t(2), false, 0, GatherMaskParams(1, 1, 8, 0), kept);
    PipeBarrier<PIPE_V>();
    Cast(o[32], o.ReinterpretCast<int32_t>(), RoundMode::CAST_NONE, 8); // the place as a number
    PipeBarrier<PIPE_V>();
    v.in.FreeTensor(a);
    v.store(o, 0, 192);
}
KERNEL(ok_rounding) // x/7 to half by every mode, and to integers
{
    VEC auto a = v.load(0, 64);
    auto o = v.out.AllocTensor<float>();
    auto t = v.tmp.Get<float>();
    auto h = v.more.Get<half>();
    auto i = v.more.Get<int32_t>();
    Muls(t, a, 1.0f / 7, 64);
    constexpr RoundMode modes[] = {RoundMode::CAST_RINT, RoundMode::CAST_FLOOR, RoundMode::CAST_CEIL, RoundMode::CAST_ROUND, RoundMode::CAST_TRUNC, RoundMode::CAST_ODD};
    for (int m = 0; m < 6; m++) {
        PipeBarrier<PIPE_V>();
        Cast(h, t, modes[m], 64);
        PipeBarrier<PIPE_V>();
        Cast(o[m * 64], h, RoundMode::CAST_NONE, 64);
    }
    for (int m = 0; m < 5; m++) {
        PipeBarrier<PIPE_V>();
        Cast(i, t, modes[m], 64);
        PipeBarrier<PIPE_V>();
        Cast(o[(6 + m) * 64], i, RoundMode::CAST_NONE, 64);
    }
    v.in.FreeTensor(a);
    v.store(o, 0, 704);
}
