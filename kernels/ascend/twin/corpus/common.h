// What the kernels of the corpus share. Each takes x and y of 4096 floats, a workspace of 64 KiB, and a number.
#pragma once
#include "kernel_operator.h"
using namespace AscendC;

#define KERNEL(name) extern "C" __global__ __aicore__ void name(GM_ADDR x, GM_ADDR y, GM_ADDR ws, uint64_t n)

namespace {
template <typename T> GlobalTensor<T> at(GM_ADDR p)
{
    GlobalTensor<T> g;
    g.SetGlobalBuffer((__gm__ T*)p);
    return g;
}
// Pair sets a flag and waits for it.
template <HardEvent e> void pair()
{
    event_t id = static_cast<event_t>(GetTPipePtr()->FetchEventID(e));
    SetFlag<e>(id);
    WaitFlag<e>(id);
}

// A Vec is a vector core with two buffers in, two out and some scratch, 4 KiB each.
struct Vec {
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 2> out;
    TBuf<TPosition::VECCALC> tmp, more;
    GlobalTensor<float> x, y, ws;
    Vec(GM_ADDR px, GM_ADDR py, GM_ADDR pw) : x(at<float>(px)), y(at<float>(py)), ws(at<float>(pw))
    {
        pipe.InitBuffer(in, 2, 4096);
        pipe.InitBuffer(out, 2, 4096);
        pipe.InitBuffer(tmp, 4096);
        pipe.InitBuffer(more, 4096);
    }
    LocalTensor<float> load(uint32_t from = 0, uint32_t n = 1024)
    {
        LocalTensor<float> a = in.AllocTensor<float>();
        DataCopy(a, x[from], n);
        in.EnQue(a);
        return in.DeQue<float>();
    }
    void store(LocalTensor<float> o, uint32_t to = 0, uint32_t n = 1024)
    {
        out.EnQue(o);
        o = out.DeQue<float>();
        DataCopy(y[to], o, n);
        out.FreeTensor(o);
    }
    // keep ends a kernel whose result is in a, the tensor of load.
    void keep(LocalTensor<float> a, uint32_t n = 1024)
    {
        LocalTensor<float> o = out.AllocTensor<float>();
        Adds(o, a, 0.0f, n);
        in.FreeTensor(a);
        store(o, 0, n);
    }
};
#define VEC                                          \
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY);  \
    Vec v(x, y, ws);

// A Cube multiplies 32 x 32 halves of x by themselves.
struct Cube {
    TPipe pipe;
    TQue<TPosition::A1, 1> l1;
    TQue<TPosition::A2, 1> l0a;
    TQue<TPosition::B2, 1> l0b;
    TQue<TPosition::CO1, 1> l0c;
    GlobalTensor<half> x;
    GlobalTensor<float> y;
    LocalTensor<half> m, a, b;
    LocalTensor<float> c;
    Cube(GM_ADDR px, GM_ADDR py) : x(at<half>(px)), y(at<float>(py))
    {
        pipe.InitBuffer(l1, 1, 32 * 32 * 2);
        pipe.InitBuffer(l0a, 1, 32 * 32 * 2);
        pipe.InitBuffer(l0b, 1, 32 * 32 * 2);
        pipe.InitBuffer(l0c, 1, 32 * 32 * 4);
    }
    void fetch(uint32_t rows = 32)
    {
        m = l1.AllocTensor<half>();
        DataCopy(m, x, Nd2NzParams(1, rows, 32, 0, 32, 32, 1, 0));
    }
    void split()
    {
        l1.EnQue(m);
        m = l1.DeQue<half>();
        a = l0a.AllocTensor<half>(), b = l0b.AllocTensor<half>();
        for (uint16_t i = 0; i < 2; i++) {
            LoadData(a[i * 512], m, LoadData2DParams(i, 2, 2, 0, 0, false, 0));
            LoadData(b[i * 512], m, LoadData2DParams(i * 2, 2, 1, 0, 0, false, 0));
        }
        l1.FreeTensor(m);
    }
    void multiply(bool fresh = true)
    {
        l0a.EnQue(a), l0b.EnQue(b);
        a = l0a.DeQue<half>(), b = l0b.DeQue<half>();
        c = l0c.AllocTensor<float>();
        Mmad(c, a, b, MmadParams(32, 32, 32, 0, false, fresh));
    }
    FixpipeParamsV220 rows(QuantMode_t q = NoQuant, uint32_t row = 32) { return FixpipeParamsV220(32, 32, 32, row, false, q, 0, 1, 0, 0, 0); }
    void drain()
    {
        l0c.EnQue(c);
        c = l0c.DeQue<float>();
        Fixpipe(y, c, rows());
    }
    void free() { l0a.FreeTensor(a), l0b.FreeTensor(b), l0c.FreeTensor(c); }
};
#define CUBE                                         \
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIC_ONLY);  \
    Cube q(x, y);
} // namespace
