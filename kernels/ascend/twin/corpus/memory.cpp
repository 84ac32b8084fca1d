// Alignment, extents, capacities, bounds of global memory, poison.
#include "common.h"

KERNEL(misaligned_copy) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a[1], v.x, 8); v.in.FreeTensor(a); }
KERNEL(misaligned_vector) { VEC auto a = v.load(); Muls(v.tmp.Get<float>(), a[3], 2.0f, 64); v.keep(a); }
KERNEL(misaligned_l1) { CUBE q.m = q.l1.AllocTensor<half>(); DataCopy(q.m[8], q.x, Nd2NzParams(1, 16, 16, 0, 32, 16, 1, 0)); q.l1.FreeTensor(q.m); }
KERNEL(misaligned_l0)
{
    CUBE q.fetch();
    q.l1.EnQue(q.m), q.m = q.l1.DeQue<half>();
    q.a = q.l0a.AllocTensor<half>();
    LoadData(q.a[128], q.m, LoadData2DParams(0, 1, 1, 0, 0, false, 0));
    q.l1.FreeTensor(q.m), q.l0a.FreeTensor(q.a);
}
KERNEL(misaligned_l0c)
{
    CUBE q.fetch(), q.split();
    q.l0a.EnQue(q.a), q.l0b.EnQue(q.b), q.a = q.l0a.DeQue<half>(), q.b = q.l0b.DeQue<half>();
    q.c = q.l0c.AllocTensor<float>();
    Mmad(q.c[16], q.a, q.b, MmadParams(16, 16, 16, 0, false, true));
    q.free();
}

KERNEL(past_buffer) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a, v.x, 1032); v.in.FreeTensor(a); }
KERNEL(past_strides) { VEC auto a = v.load(); Add(v.tmp.Get<float>(), a, a, uint64_t(64), 16, BinaryRepeatParams(1, 1, 1, 8, 8, 9)); v.keep(a); }
KERNEL(past_blocks) { VEC auto a = v.load(); Muls(v.tmp.Get<float>(), a, 1.0f, uint64_t(64), 1, UnaryRepeatParams(1, 20, 8, 8)); v.keep(a); }
KERNEL(past_offset) { VEC auto a = v.load(); v.keep(a[2000]); }
KERNEL(past_scalar) { VEC v.tmp.Get<float>().SetValue(1024, 1.0f); }
KERNEL(past_compare) { VEC auto a = v.load(); CompareScalar(v.tmp.Get<uint8_t>(100), a, 0.0f, CMPMODE::LT, 1024); v.keep(a); }
KERNEL(past_gather) { VEC auto a = v.load(); auto o = v.more.Get<int32_t>(); Duplicate(o, int32_t(4092), 64); PipeBarrier<PIPE_V>(); Gather(v.tmp.Get<float>(), a, o.ReinterpretCast<uint32_t>(), 4, 64); v.keep(a); }
KERNEL(past_rows) { VEC auto a = v.in.AllocTensor<float>(); DataCopyPad(a, v.x, DataCopyExtParams(129, 4, 0, 0, 0), DataCopyPadExtParams<float>()); v.in.FreeTensor(a); }
KERNEL(past_l0c)
{
    CUBE q.fetch(), q.split();
    q.l0a.EnQue(q.a), q.l0b.EnQue(q.b), q.a = q.l0a.DeQue<half>(), q.b = q.l0b.DeQue<half>();
    q.c = q.l0c.AllocTensor<float>();
    Mmad(q.c, q.a, q.b, MmadParams(48, 32, 16, 0, false, true));
    q.free();
}
KERNEL(part_overlap) { VEC auto a = v.load(); Adds(a[8], a, 1.0f, 256); v.keep(a); }

KERNEL(full_ub) { VEC TBuf<TPosition::VECCALC> big; v.pipe.InitBuffer(big, 172 * 1024); }
KERNEL(full_l1) { CUBE TBuf<TPosition::A1> big; q.pipe.InitBuffer(big, 512 * 1024 - 2048); }
KERNEL(full_l0c) { CUBE TQue<TPosition::CO1, 2> big; q.pipe.InitBuffer(big, 2, 64 * 1024); }
KERNEL(many_buffers) { VEC TQue<TPosition::VECIN, 1> q; v.pipe.InitBuffer(q, 59, 32); }

KERNEL(one_byte_past)
{
    VEC auto a = v.in.AllocTensor<uint8_t>();
    DataCopyPad(a, at<uint8_t>(x + 16384 - 12), DataCopyExtParams(1, 13, 0, 0, 0), DataCopyPadExtParams<uint8_t>());
    v.in.FreeTensor(a);
}
KERNEL(store_past) { VEC auto a = v.load(); auto o = v.out.AllocTensor<float>(); Adds(o, a, 0.0f, 1024); v.in.FreeTensor(a); v.store(o, 4096 - 1016); }
KERNEL(rows_past) { CUBE q.fetch(), q.split(), q.multiply(); q.l0c.EnQue(q.c), q.c = q.l0c.DeQue<float>(); Fixpipe(q.y[64], q.c, q.rows(NoQuant, 131)); q.free(); }
KERNEL(past_global_tensor) { VEC v.x.SetGlobalBuffer((__gm__ float*)x, 1000); auto a = v.load(); v.keep(a); }
KERNEL(no_memory) { VEC v.x.SetGlobalBuffer(nullptr); auto a = v.load(); v.keep(a); }

// These end well, and a NaN comes out.
KERNEL(fresh_scratch) { VEC auto o = v.out.AllocTensor<float>(); Adds(o, v.tmp.Get<float>(), 1.0f, 1024); v.store(o); }
KERNEL(fresh_queue) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a, v.x, 1016); v.in.EnQue(a); a = v.in.DeQue<float>(); v.keep(a); }
KERNEL(stale_buffer) // the second round reads what the first left in its buffer
{
    VEC for (int i = 0; i < 3; i++) {
        auto a = v.in.AllocTensor<float>();
        DataCopy(a, v.x, i < 2 ? 1024 : 512);
        v.in.EnQue(a), a = v.in.DeQue<float>();
        auto o = v.out.AllocTensor<float>();
        Adds(o, a, 0.0f, 1024);
        v.in.FreeTensor(a);
        v.store(o, i * 1024);
    }
}
KERNEL(forgotten_fill) { CUBE q.fetch(30), q.split(), q.multiply(), q.drain(), q.free(); }
KERNEL(undefined_padding)
{
    VEC auto a = v.in.AllocTensor<float>();
    DataCopyPad(a, v.x, DataCopyExtParams(1, 20, 0, 0, 0), DataCopyPadExtParams<float>(false, 0, 3, 0.0f));
    v.in.EnQue(a), a = v.in.DeQue<float>();
    v.keep(a, 8);
}
// The tail that DataCopyPad leaves repeats the row's first element: a sum over it is wrong.
KERNEL(summed_tail)
{
    VEC auto a = v.in.AllocTensor<float>();
    DataCopyPad(a, v.x, DataCopyExtParams(1, 5 * 4, 0, 0, 0), DataCopyPadExtParams<float>(false, 0, 0, 0.0f));
    v.in.EnQue(a), a = v.in.DeQue<float>();
    auto o = v.out.AllocTensor<float>();
    WholeReduceSum<float>(o, a, 8, 1, 1, 1, 8);
    v.in.FreeTensor(a);
    v.out.EnQue(o), o = v.out.DeQue<float>();
    DataCopyPad(v.y, o, DataCopyExtParams(1, 4, 0, 0, 0));
    v.out.FreeTensor(o);
}
