// Flags between all cores of a kind.
#include "common.h"

namespace {
void write(Vec& v, const GlobalTensor<float>& to)
{
    auto o = v.out.AllocTensor<float>();
    Duplicate(o, 1.0f, 64);
    v.out.EnQue(o), o = v.out.DeQue<float>();
    DataCopy(to, o, 64);
    v.out.FreeTensor(o);
}
void read(Vec& v, const GlobalTensor<float>& from)
{
    auto a = v.in.AllocTensor<float>();
    DataCopy(a, from, 64);
    v.in.EnQue(a), a = v.in.DeQue<float>();
    v.in.FreeTensor(a);
}
} // namespace

KERNEL(ok_sync_all) { VEC write(v, v.ws[GetBlockIdx() * 64]); SyncAll(); read(v, v.ws[(GetBlockIdx() + 1) % GetBlockNum() * 64]); write(v, v.y[GetBlockIdx() * 64]); }
KERNEL(ok_mode_0) { VEC write(v, v.ws[GetBlockIdx() * 64]); CrossCoreSetFlag<0, PIPE_MTE3>(3); CrossCoreWaitFlag(3); read(v, v.ws[(GetBlockIdx() + 1) % GetBlockNum() * 64]); write(v, v.y[GetBlockIdx() * 64]); }
KERNEL(ok_sync_mixed)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    if ASCEND_IS_AIV { Vec v(x, y, ws); write(v, v.ws[GetBlockIdx() * 64]); SyncAll<false>(); read(v, v.ws); write(v, v.y[GetBlockIdx() * 64]); }
    if ASCEND_IS_AIC { TPipe pipe; SyncAll<false>(); }
}
KERNEL(fewer_meet) { VEC if (GetBlockIdx() != 5) SyncAll(); }
KERNEL(fewer_set) { VEC if (GetBlockIdx() > 0) CrossCoreSetFlag<0, PIPE_MTE3>(3); CrossCoreWaitFlag(3); }
KERNEL(no_meeting) { VEC write(v, v.ws[GetBlockIdx() * 64]); read(v, v.ws[(GetBlockIdx() + 1) % GetBlockNum() * 64]); }
KERNEL(met_too_soon) { VEC SyncAll(); write(v, v.ws[GetBlockIdx() * 64]); read(v, v.ws[(GetBlockIdx() + 1) % GetBlockNum() * 64]); }
KERNEL(overwrites_after_reading) { VEC write(v, v.ws[GetBlockIdx() * 64]); SyncAll(); read(v, v.ws[(GetBlockIdx() + 1) % GetBlockNum() * 64]); write(v, v.ws[GetBlockIdx() * 64]); }
