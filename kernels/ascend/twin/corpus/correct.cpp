// Kernels without a mistake, in every manner of keeping order. Each leaves in y what its line says.
#include "common.h"

KERNEL(ok_queues) { VEC for (uint32_t i = 0; i < 4; i++) { auto a = v.load(i * 1024); auto o = v.out.AllocTensor<float>(); Muls(o, a, 2.0f, 1024); v.in.FreeTensor(a); v.store(o, i * 1024); } } // 2x
KERNEL(ok_flags) // 2x, with flags by hand and two halves of one buffer
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(buf, 8192);
    auto gx = at<float>(x), gy = at<float>(y);
    LocalTensor<float> t = buf.Get<float>();
    TEventID ready[2] = {pipe.AllocEventID<HardEvent::MTE2_V>(), pipe.AllocEventID<HardEvent::MTE2_V>()};
    TEventID out[2] = {pipe.AllocEventID<HardEvent::V_MTE3>(), pipe.AllocEventID<HardEvent::V_MTE3>()};
    TEventID free[2] = {pipe.AllocEventID<HardEvent::MTE3_MTE2>(), pipe.AllocEventID<HardEvent::MTE3_MTE2>()};
    for (int i = 0; i < 4; i++) {
        int h = i % 2;
        LocalTensor<float> a = t[h * 1024];
        if (i >= 2) WaitFlag<HardEvent::MTE3_MTE2>(free[h]);
        DataCopy(a, gx[i * 1024], 1024);
        SetFlag<HardEvent::MTE2_V>(ready[h]);
        WaitFlag<HardEvent::MTE2_V>(ready[h]);
        Add(a, a, a, 1024);
        SetFlag<HardEvent::V_MTE3>(out[h]);
        WaitFlag<HardEvent::V_MTE3>(out[h]);
        DataCopy(gy[i * 1024], a, 1024);
        SetFlag<HardEvent::MTE3_MTE2>(free[h]);
    }
    for (int h = 0; h < 2; h++) {
        WaitFlag<HardEvent::MTE3_MTE2>(free[h]);
        pipe.ReleaseEventID<HardEvent::MTE2_V>(ready[h]);
        pipe.ReleaseEventID<HardEvent::V_MTE3>(out[h]);
        pipe.ReleaseEventID<HardEvent::MTE3_MTE2>(free[h]);
    }
}
KERNEL(ok_copy) // x, without a calculation
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);
    TPipe pipe;
    TQueBind<TPosition::VECIN, TPosition::VECOUT, 1> q;
    pipe.InitBuffer(q, 2, 4096);
    auto gx = at<float>(x), gy = at<float>(y);
    for (int i = 0; i < 4; i++) {
        LocalTensor<float> a = q.AllocTensor<float>();
        DataCopy(a, gx[i * 1024], 1024);
        q.EnQue(a);
        a = q.DeQue<float>();
        DataCopy(gy[i * 1024], a, 1024);
        q.FreeTensor(a);
    }
}
KERNEL(ok_tail) // 13 numbers in, their sum and themselves out, nothing beyond
{
    VEC auto a = v.in.AllocTensor<float>();
    DataCopyPad(a, v.x, DataCopyExtParams(1, 13 * 4, 0, 0, 0), DataCopyPadExtParams<float>(true, 0, 3, 0.0f));
    v.in.EnQue(a), a = v.in.DeQue<float>();
    auto o = v.out.AllocTensor<float>();
    WholeReduceSum<float>(o, a, 13, 1, 1, 1, 8);
    PipeBarrier<PIPE_V>();
    ReduceSum<float>(o[8], a, v.tmp.Get<float>(), 13);
    v.in.FreeTensor(a);
    v.out.EnQue(o), o = v.out.DeQue<float>();
    DataCopyPad(v.y, o, DataCopyExtParams(1, 4, 0, 0, 0));
    DataCopyPad(v.y[1], o[8], DataCopyExtParams(1, 4, 0, 0, 0));
    v.out.FreeTensor(o);
}
KERNEL(ok_masks) // 2x in even columns of 64, x in odd ones
{
    VEC auto a = v.load();
    uint64_t even[2] = {0x5555555555555555, 0};
    auto o = v.out.AllocTensor<float>();
    Adds(o, a, 0.0f, 1024);
    PipeBarrier<PIPE_V>();
    Add(o, a, a, even, 16, BinaryRepeatParams(1, 1, 1, 8, 8, 8));
    v.in.FreeTensor(a);
    v.store(o);
}
KERNEL(ok_counter) // 2x with a count as the mask
{
    VEC auto a = v.load();
    auto o = v.out.AllocTensor<float>();
    SetMaskCount();
    SetVectorMask<float, MaskMode::COUNTER>(1024);
    Muls<float, false>(o, a, 2.0f, MASK_PLACEHOLDER, 1, UnaryRepeatParams(1, 1, 8, 8));
    SetMaskNorm();
    ResetMask();
    v.in.FreeTensor(a);
    v.store(o);
}
KERNEL(ok_choice) // max(x, 0) through Compare and Select, twice
{
    VEC auto a = v.load();
    auto bits = v.tmp.Get<uint8_t>();
    auto zero = v.more.Get<float>();
    CompareScalar(bits, a, 0.0f, CMPMODE::GT, 1024);
    Duplicate(zero, 0.0f, 1024);
    PipeBarrier<PIPE_V>();
    auto o = v.out.AllocTensor<float>();
    Select(o, bits, a, 0.0f, SELMODE::VSEL_TENSOR_SCALAR_MODE, 1024);
    PipeBarrier<PIPE_V>();
    Select(o, bits, o, zero, SELMODE::VSEL_TENSOR_TENSOR_MODE, 1024);
    v.in.FreeTensor(a);
    v.store(o);
}
KERNEL(ok_gather) // x in reverse: Gather by offsets made of indices
{
    VEC auto a = v.load();
    auto o = v.out.AllocTensor<float>();
    auto i = v.tmp.Get<int32_t>();
    CreateVecIndex(i, int32_t(0), 1024);
    PipeBarrier<PIPE_V>();
    Muls(i, i, int32_t(-4), 1024);
    PipeBarrier<PIPE_V>();
    Adds(i, i, int32_t(4092), 1024);
    PipeBarrier<PIPE_V>();
    Gather(o, a, i.ReinterpretCast<uint32_t>(), 0, 1024);
    v.in.FreeTensor(a);
    v.store(o);
}
KERNEL(ok_casts) // x through bf16 and half, which keep it; a chain with barriers
{
    VEC auto a = v.load();
    auto h = v.tmp.Get<half>();
    auto b = v.more.Get<bfloat16_t>();
    auto o = v.out.AllocTensor<float>();
    Cast(b, a, RoundMode::CAST_RINT, 1024);
    PipeBarrier<PIPE_V>();
    Cast(a, b, RoundMode::CAST_NONE, 1024);
    PipeBarrier<PIPE_V>();
    Cast(h, a, RoundMode::CAST_NONE, 1024);
    PipeBarrier<PIPE_V>();
    Cast(o, h, RoundMode::CAST_NONE, 1024);
    v.in.FreeTensor(a);
    v.store(o);
}
KERNEL(ok_broadcast) // row i of 64 becomes x[i] in every column
{
    VEC auto a = v.load();
    auto wide = v.tmp.Get<float>();
    auto o = v.out.AllocTensor<float>();
    Brcb(wide, a, 2, BrcbRepeatParams(1, 8));
    Duplicate(o, 0.0f, 1024);
    PipeBarrier<PIPE_V>();
    Add(o, o, wide, uint64_t(64), 16, BinaryRepeatParams(1, 1, 0, 8, 8, 1));
    v.in.FreeTensor(a);
    v.store(o);
}
KERNEL(ok_scalar) // y[0] = x[0] + x[1], by the scalar unit
{
    VEC auto a = v.load();
    pair<HardEvent::V_S>();
    pair<HardEvent::MTE2_S>();
    float s = a.GetValue(0) + a.GetValue(1);
    v.in.FreeTensor(a);
    v.y.SetValue(0, s);
    DataCacheCleanAndInvalid<float, CacheLine::SINGLE_CACHE_LINE, DcciDst::CACHELINE_OUT>(v.y);
}
KERNEL(ok_global) // y = x, then y += y through global memory
{
    VEC auto a = v.load();
    v.keep(a);
    pair<HardEvent::MTE3_MTE2>();
    a = v.in.AllocTensor<float>();
    DataCopy(a, v.y, 1024);
    v.in.EnQue(a), a = v.in.DeQue<float>();
    auto o = v.out.AllocTensor<float>();
    Add(o, a, a, 1024);
    v.in.FreeTensor(a);
    v.store(o);
}
KERNEL(ok_atomic) // x + x, added on the way
{
    VEC auto o = v.out.AllocTensor<float>();
    Duplicate(o, 0.0f, 1024);
    v.store(o);
    for (int i = 0; i < 2; i++) {
        auto a = v.load();
        PipeBarrier<PIPE_MTE3>();
        SetAtomicAdd<float>();
        v.keep(a);
        SetAtomicNone();
    }
}
KERNEL(ok_product) // a product of 32 x 32, 30 rows of it read and the rest filled, then once more on top
{
    CUBE q.m = q.l1.AllocTensor<half>();
    InitConstValue(q.m, InitConstValueParams<half>(2, 2, 30, half(0)));
    InitConstValue(q.m[30 * 16], InitConstValueParams<half>(2, 2, 30, half(0)));
    PipeBarrier<PIPE_MTE2>();
    DataCopy(q.m, q.x, Nd2NzParams(1, 30, 32, 0, 32, 32, 1, 0));
    q.split(), q.multiply();
    PipeBarrier<PIPE_M>();
    Mmad(q.c, q.a, q.b, MmadParams(32, 32, 32, 0, false, false));
    q.drain();
    PipeBarrier<PIPE_FIX>();
    SetAtomicAdd<float>();
    Fixpipe(q.y, q.c, q.rows());
    SetAtomicNone();
    q.free();
}
