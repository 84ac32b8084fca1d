// Cores that meet through global memory, in groups; and cores that should not meet.
#include "common.h"

namespace {
constexpr uint16_t READY = 0, TAKEN = 1;
// put writes 1024 floats of x to the workspace from a vector core; take reads them back on the other side.
struct Side {
    TPipe pipe;
    TQue<TPosition::VECIN, 1> in;
    TQue<TPosition::VECOUT, 1> out;
    TQue<TPosition::A1, 1> l1;
    GlobalTensor<float> x, y, ws;
    uint32_t half;
    Side(GM_ADDR px, GM_ADDR py, GM_ADDR pw) : x(at<float>(px)), y(at<float>(py)), ws(at<float>(pw)), half(GetSubBlockIdx() * 512)
    {
        if ASCEND_IS_AIV { pipe.InitBuffer(in, 2, 4096); pipe.InitBuffer(out, 2, 4096); }
        if ASCEND_IS_AIC { pipe.InitBuffer(l1, 2, 4096); }
    }
    void write(const GlobalTensor<float>& to, uint32_t n, float v)
    {
        auto o = out.AllocTensor<float>();
        Duplicate(o, v, int32_t(n));
        out.EnQue(o), o = out.DeQue<float>();
        DataCopy(to, o, n);
        out.FreeTensor(o);
    }
    void read(const GlobalTensor<float>& from, uint32_t n) // into UB
    {
        auto a = in.AllocTensor<float>();
        DataCopy(a, from, n);
        in.EnQue(a), a = in.DeQue<float>();
        in.FreeTensor(a);
    }
    void fetch(uint32_t n = 1024) // of the workspace into L1
    {
        auto a = l1.AllocTensor<float>();
        DataCopy(a, ws, n);
        l1.EnQue(a), a = l1.DeQue<float>();
        l1.FreeTensor(a);
    }
};
} // namespace
#define MIX                                             \
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);  \
    Side s(x, y, ws);
#define BOTH                                            \
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);     \
    Side s(x, y, ws);

KERNEL(ok_ping_pong) // eight rounds with two halves of the workspace
{
    MIX for (uint32_t i = 0; i < 8; i++) {
        if ASCEND_IS_AIV {
            if (i > 0) CrossCoreWaitFlag(TAKEN);
            s.write(s.ws[s.half], 512, 1.0f);
            CrossCoreSetFlag<2, PIPE_MTE3>(READY);
            if (i == 7) CrossCoreWaitFlag(TAKEN);
        }
        if ASCEND_IS_AIC {
            CrossCoreWaitFlag(READY);
            s.fetch();
            CrossCoreSetFlag<2, PIPE_MTE2>(TAKEN);
        }
    }
    if ASCEND_IS_AIV s.write(s.y[GetBlockIdx() * 8], 8, 1.0f);
}
KERNEL(ok_sisters) // the two vector cores read what the other wrote
{
    MIX if ASCEND_IS_AIV {
        s.write(s.ws[s.half], 512, 1.0f);
        CrossCoreSetFlag<1, PIPE_MTE3>(READY);
        CrossCoreWaitFlag(READY);
        s.read(s.ws[512 - s.half], 512);
        s.write(s.y[s.half], 512, 1.0f);
    }
}
KERNEL(ok_tiles) { BOTH for (uint32_t t = GetBlockIdx(); t < 64; t += GetBlockNum()) { s.read(s.x[t * 64], 64); s.write(s.y[t * 64], 64, 1.0f); } }
KERNEL(ok_bytes) // neighbours within 32 bytes, two bytes each
{
    BOTH auto o = s.out.AllocTensor<half>();
    Duplicate(o, half(1.0f), 16);
    s.out.EnQue(o), o = s.out.DeQue<half>();
    DataCopyPad(at<half>(y)[GetBlockIdx()], o, DataCopyExtParams(1, 2, 0, 0, 0));
    s.out.FreeTensor(o);
}

KERNEL(nobody_sets) { MIX if ASCEND_IS_AIC CrossCoreWaitFlag(READY); }
KERNEL(one_sister_sets) { MIX if ASCEND_IS_AIV { if (GetSubBlockIdx() == 0) CrossCoreSetFlag<2, PIPE_MTE3>(READY); } if ASCEND_IS_AIC CrossCoreWaitFlag(READY); }
KERNEL(crossed_flags)
{
    MIX if ASCEND_IS_AIC { CrossCoreWaitFlag(READY); CrossCoreSetFlag<2, PIPE_FIX>(TAKEN); }
    if ASCEND_IS_AIV { CrossCoreWaitFlag(TAKEN); CrossCoreSetFlag<2, PIPE_MTE3>(READY); }
}
KERNEL(flag_left) { MIX if ASCEND_IS_AIC CrossCoreSetFlag<2, PIPE_FIX>(READY); if ASCEND_IS_AIV { if (GetSubBlockIdx() == 0) CrossCoreWaitFlag(READY); } }
KERNEL(half_left) { MIX if ASCEND_IS_AIV { if (GetSubBlockIdx() == 0) CrossCoreSetFlag<2, PIPE_MTE3>(READY); } }
KERNEL(sixteenth_set) { MIX if ASCEND_IS_AIC for (int i = 0; i < 16; i++) CrossCoreSetFlag<2, PIPE_FIX>(READY); if ASCEND_IS_AIV { CrossCoreWaitFlag(TAKEN); } }
KERNEL(reserved_flag) { MIX if ASCEND_IS_AIC CrossCoreSetFlag<2, PIPE_FIX>(11); }
KERNEL(sisters_on_cube) { MIX if ASCEND_IS_AIC CrossCoreSetFlag<1, PIPE_FIX>(READY); }
KERNEL(not_mixed) { BOTH CrossCoreSetFlag<2, PIPE_MTE3>(READY); }
KERNEL(strange_pipe) { MIX if ASCEND_IS_AIC CrossCoreSetFlag<2, PIPE_V>(READY); }
KERNEL(lonely_wait) { BOTH CrossCoreWaitFlag(READY); }

KERNEL(read_before_flag)
{
    MIX if ASCEND_IS_AIV { s.write(s.ws[s.half], 512, 1.0f); CrossCoreSetFlag<2, PIPE_MTE3>(READY); }
    if ASCEND_IS_AIC { s.fetch(); CrossCoreWaitFlag(READY); }
}
KERNEL(overwritten_unread) // the second block is written while the first may still be read
{
    MIX if ASCEND_IS_AIV for (int i = 0; i < 2; i++) { s.write(s.ws[s.half], 512, 1.0f); CrossCoreSetFlag<2, PIPE_MTE3>(READY); PipeBarrier<PIPE_ALL>(); }
    if ASCEND_IS_AIC for (int i = 0; i < 2; i++) { CrossCoreWaitFlag(READY); s.fetch(); }
}
KERNEL(flag_of_another_pipe) // set when the vector unit is done, not the copy
{
    MIX if ASCEND_IS_AIV { s.write(s.ws[s.half], 512, 1.0f); CrossCoreSetFlag<2, PIPE_V>(READY); }
    if ASCEND_IS_AIC { CrossCoreWaitFlag(READY); s.fetch(); }
}
KERNEL(one_sister_late) // each vector core signals alone, but the other half is read too
{
    MIX if ASCEND_IS_AIV {
        if (GetSubBlockIdx() == 1) CrossCoreSetFlag<2, PIPE_MTE3>(READY);
        s.write(s.ws[s.half], 512, 1.0f);
        if (GetSubBlockIdx() == 0) CrossCoreSetFlag<2, PIPE_MTE3>(READY);
    }
    if ASCEND_IS_AIC { CrossCoreWaitFlag(READY); s.fetch(); }
}
KERNEL(two_writers) { BOTH s.write(s.y[GetBlockIdx() * 56], 64, 1.0f); }
KERNEL(reads_of_a_writer) { BOTH if (GetBlockIdx() == 0) s.write(s.ws, 64, 1.0f); else s.read(s.ws[63], 8); }
KERNEL(writer_of_a_read) { BOTH if (GetBlockIdx() == 0) s.read(s.ws, 64); else s.write(s.ws[56], 8, 1.0f); }
KERNEL(groups_share) { MIX if ASCEND_IS_AIV s.write(s.ws[s.half], 512, 1.0f); }
