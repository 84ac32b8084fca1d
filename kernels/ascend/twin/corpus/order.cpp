// A missing barrier, DeQue or flag; the numbers come out right all the same.
#include "common.h"

KERNEL(no_deque) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a, v.x, 1024); Muls(v.tmp.Get<float>(), a, 2.0f, 1024); v.in.FreeTensor(a); }
KERNEL(no_enque) { VEC auto a = v.load(); auto o = v.out.AllocTensor<float>(); Adds(o, a, 0.0f, 1024); v.in.FreeTensor(a); DataCopy(v.y, o, 1024); v.out.FreeTensor(o); }
KERNEL(no_barrier) { VEC auto a = v.load(); auto t = v.tmp.Get<float>(); Muls(t, a, 2.0f, 1024); Adds(a, t, 1.0f, 1024); v.keep(a); }
KERNEL(no_barrier_part) { VEC auto a = v.load(); auto t = v.tmp.Get<float>(); Duplicate(t, 0.0f, 1024); PipeBarrier<PIPE_V>(); Muls(t[512], a, 2.0f, 8); Adds(a, t, 1.0f, uint64_t(64), 8, UnaryRepeatParams(1, 1, 8, 16)); v.keep(a); }
KERNEL(no_barrier_write) { VEC auto t = v.tmp.Get<float>(); Duplicate(t, 0.0f, 1024); Duplicate(t[8], 1.0f, 8); }
KERNEL(early_free)
{
    VEC auto a = v.load(), b = v.load();
    v.in.FreeTensor(a), v.in.FreeTensor(b);
    auto c = v.in.AllocTensor<float>();
    DataCopy(c, v.x, 1024);
    Adds(v.tmp.Get<float>(), a, 1.0f, 1024);
    v.in.FreeTensor(c);
}
KERNEL(scalar_early) { VEC auto t = v.tmp.Get<float>(); Duplicate(t, 1.0f, 8); v.y.SetValue(0, t.GetValue(0)); }
KERNEL(vector_early) { VEC auto t = v.tmp.Get<float>(); t.SetValue(0, 1.0f); Adds(t, t, 1.0f, 8); }
KERNEL(wrong_flag) { VEC auto t = v.tmp.Get<float>(); Duplicate(t, 1.0f, 8); pair<HardEvent::V_MTE3>(); t.GetValue(0); }
KERNEL(flag_too_soon) { VEC auto t = v.tmp.Get<float>(); event_t id = EVENT_ID3; SetFlag<HardEvent::V_S>(id); Duplicate(t, 1.0f, 8); WaitFlag<HardEvent::V_S>(id); t.GetValue(0); }
KERNEL(loaded_over) { VEC auto a = v.load(); Adds(v.tmp.Get<float>(), a, 1.0f, 1024); DataCopy(a, v.x, 1024); v.in.FreeTensor(a); }
KERNEL(stored_over)
{
    VEC auto o = v.out.AllocTensor<float>();
    Duplicate(o, 1.0f, 1024);
    v.out.EnQue(o), o = v.out.DeQue<float>();
    DataCopy(v.y, o, 1024);
    PipeBarrier<PIPE_V>();
    Duplicate(o, 2.0f, 1024);
    v.out.FreeTensor(o);
}
KERNEL(loaded_twice) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a, v.x, 64); DataCopy(a[56], v.x, 64); v.in.FreeTensor(a); }
KERNEL(cast_chain) { VEC auto a = v.load(); auto h = v.tmp.Get<half>(); Cast(h, a, RoundMode::CAST_RINT, 1024); Cast(a, h, RoundMode::CAST_NONE, 1024); v.keep(a); }
KERNEL(reduced_early) { VEC auto a = v.load(); auto t = v.tmp.Get<float>(); WholeReduceSum<float>(t, a, 64, 16, 1, 1, 8); Brcb(a, t, 2, BrcbRepeatParams(1, 8)); v.keep(a); }

KERNEL(not_drained) { CUBE q.fetch(), q.split(), q.multiply(); Fixpipe(q.y, q.c, q.rows()); q.free(); }
KERNEL(products_unordered) { CUBE q.fetch(), q.split(), q.multiply(); Mmad(q.c, q.a, q.b, MmadParams(32, 32, 32, 0, false, false)); q.drain(), q.free(); }
KERNEL(l0_unordered)
{
    CUBE q.fetch(), q.split(), q.multiply();
    q.m = q.l1.AllocTensor<half>();
    LoadData(q.a, q.m, LoadData2DParams(0, 2, 1, 0, 0, false, 0));
    q.l1.FreeTensor(q.m), q.free();
}
KERNEL(l1_unordered) { CUBE q.fetch(); q.a = q.l0a.AllocTensor<half>(); LoadData(q.a, q.m, LoadData2DParams(0, 2, 1, 0, 0, false, 0)); q.l1.FreeTensor(q.m), q.l0a.FreeTensor(q.a); }
KERNEL(fill_unordered)
{
    CUBE q.m = q.l1.AllocTensor<half>();
    InitConstValue(q.m, InitConstValueParams<half>(1, 64, 0, half(0)));
    DataCopy(q.m, q.x, Nd2NzParams(1, 30, 32, 0, 32, 32, 1, 0));
    q.l1.FreeTensor(q.m);
}
KERNEL(drained_over) { CUBE q.fetch(), q.split(), q.multiply(), q.drain(); PipeBarrier<PIPE_M>(); Mmad(q.c, q.a, q.b, MmadParams(32, 32, 32, 0, false, true)); q.free(); }

KERNEL(global_read_early)
{
    VEC auto a = v.load();
    v.keep(a);
    a = v.in.AllocTensor<float>();
    DataCopy(a, v.y, 8);
    v.in.FreeTensor(a);
}
KERNEL(global_written_twice)
{
    VEC auto o = v.out.AllocTensor<float>();
    Duplicate(o, 1.0f, 1024);
    v.out.EnQue(o), o = v.out.DeQue<float>();
    DataCopy(v.y, o, 64);
    DataCopyPad(v.y[63], o, DataCopyExtParams(1, 4, 0, 0, 0));
    v.out.FreeTensor(o);
}
KERNEL(global_written_early) // what is read must have been read before it is overwritten
{
    VEC auto a = v.in.AllocTensor<float>();
    auto o = v.out.AllocTensor<float>();
    Duplicate(o, 1.0f, 1024);
    v.out.EnQue(o), o = v.out.DeQue<float>();
    DataCopy(a, v.y, 64);
    DataCopy(v.y, o, 64);
    v.in.FreeTensor(a), v.out.FreeTensor(o);
}
