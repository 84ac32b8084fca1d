// States of queues, flags and event ids, and what is left at the end.
#include "common.h"

KERNEL(third_buffer) { VEC v.in.AllocTensor<float>(), v.in.AllocTensor<float>(), v.in.AllocTensor<float>(); }
KERNEL(not_freed) { VEC auto a = v.load(); Adds(v.tmp.Get<float>(), a, 1.0f, 64); }
KERNEL(left_queued) { VEC auto a = v.in.AllocTensor<float>(); DataCopy(a, v.x, 64); v.in.EnQue(a); }
KERNEL(freed_twice) { VEC auto a = v.load(); v.in.FreeTensor(a); v.in.FreeTensor(a); }
KERNEL(freed_in_queue) { VEC auto a = v.in.AllocTensor<float>(); v.in.EnQue(a); v.in.FreeTensor(a); }
KERNEL(queued_twice) { VEC auto a = v.in.AllocTensor<float>(); v.in.EnQue(a); v.in.EnQue(a); }
KERNEL(queued_free) { VEC auto a = v.load(); v.in.FreeTensor(a); v.in.EnQue(a); }
KERNEL(empty_queue) { VEC v.in.DeQue<float>(); }
KERNEL(foreign_tensor) { VEC auto a = v.load(); v.out.FreeTensor(a); }
KERNEL(too_deep)
{
    VEC TQue<TPosition::VECIN, 1> q;
    v.pipe.InitBuffer(q, 2, 64);
    auto a = q.AllocTensor<float>(), b = q.AllocTensor<float>();
    q.EnQue(a), q.EnQue(b);
}
KERNEL(no_buffer) { VEC TBuf<TPosition::VECCALC> t; Duplicate(t.Get<float>(), 0.0f, 8); }
KERNEL(no_tensor) { VEC LocalTensor<float> t; Duplicate(t, 0.0f, 8); }
KERNEL(buffers_twice) { VEC v.pipe.InitBuffer(v.in, 2, 64); }
KERNEL(second_pipe) { VEC TPipe other; }

KERNEL(set_twice) { VEC SetFlag<HardEvent::V_S>(EVENT_ID0); SetFlag<HardEvent::V_S>(EVENT_ID0); }
KERNEL(never_set) { VEC WaitFlag<HardEvent::V_S>(EVENT_ID1); }
KERNEL(left_set) { VEC SetFlag<HardEvent::V_S>(EVENT_ID0); }
KERNEL(flag_eight) { VEC SetFlag<HardEvent::V_S>(8); }
KERNEL(matmul_flag) { CUBE SetFlag<HardEvent::M_MTE1>(EVENT_ID0); WaitFlag<HardEvent::M_MTE1>(EVENT_ID0); } // the TPipe has set it
KERNEL(kept_event) { VEC v.pipe.AllocEventID<HardEvent::V_MTE2>(); }
KERNEL(nine_events) { VEC for (int i = 0; i < 9; i++) v.pipe.AllocEventID<HardEvent::V_MTE2>(); }
KERNEL(strange_event) { VEC v.pipe.ReleaseEventID<HardEvent::V_MTE2>(3); }
KERNEL(queue_events) // each freed buffer holds an event id until it is taken again
{
    VEC TQue<TPosition::VECIN, 9> q;
    v.pipe.InitBuffer(q, 9, 64);
    LocalTensor<float> t[9];
    for (auto& a : t) a = q.AllocTensor<float>();
    for (auto& a : t) q.FreeTensor(a);
}

KERNEL(atomic_left) { VEC SetAtomicAdd<float>(); auto a = v.load(); v.keep(a); }
KERNEL(count_left) { VEC SetMaskCount(); auto t = v.tmp.Get<float>(); SetVectorMask<float, MaskMode::COUNTER>(100); Duplicate<float, false>(t, 1.0f, MASK_PLACEHOLDER, 1, 1, 8); }
KERNEL(cache_left) { VEC v.y.SetValue(3, 1.0f); }
KERNEL(cache_dirty) { VEC v.x.SetValue(3, 1.0f); pair<HardEvent::S_MTE2>(); auto a = v.load(); v.keep(a); }
KERNEL(cache_stale)
{
    VEC float before = v.y.GetValue(0);
    auto a = v.load();
    Adds(a, a, before, 1024);
    PipeBarrier<PIPE_V>();
    pair<HardEvent::S_MTE3>();
    v.keep(a);
    pair<HardEvent::MTE3_S>();
    v.y.GetValue(1);
}
