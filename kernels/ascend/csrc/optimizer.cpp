// The optimizer step: sums in a fixed order, clipping, AdamW with the 16-bit copies of
// what it updates, and clearing. All numbers are f32 but for the copies.
#include "vector.h"

namespace {
using namespace vec;

constexpr uint32_t PART = 4096; // numbers of a partial sum: fixed, so that sums do not depend on cores
constexpr uint32_t PARTS = 64;  // partial sums stored at a time
constexpr uint32_t TILE = 8192;
constexpr uint32_t ADAM = 2048; // numbers of adamw's tile
constexpr uint32_t LINE = 128;  // f32 numbers in 512 bytes
constexpr uint32_t sumBytes = 2 * PART * 4 + 2 * PARTS * 4;
constexpr uint32_t scaleBytes = 2 * TILE * 4 + 2 * TILE * 4;
constexpr uint32_t ADDED = 4096; // numbers of added's tile
constexpr uint32_t addedBytes = 4 * ADDED * 4 + 2 * ADDED * 4;
constexpr uint32_t adamBytes = 8 * ADAM * 4 + 6 * ADAM * 4 + 4 * ADAM * 2 + 2 * ADAM * 4;
static_assert(addedBytes <= UB_BYTES && sumBytes <= UB_BYTES && scaleBytes <= UB_BYTES && adamBytes <= UB_BYTES, "optimizer kernels fit UB");

// sumSquares: partial[t] = Σ x² over the t-th 4096 numbers. Bytes: 4·n + 4·⌈n/4096⌉.
__aicore__ inline void sumSquares(GM_ADDR partial, GM_ADDR x, uint64_t n)
{
    uint64_t parts = (n + PART - 1) / PART;
    Range mine = share(parts, 1);
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 2> out;
    pipe.InitBuffer(in, 2, PART * 4);
    pipe.InitBuffer(out, 2, PARTS * 4);
    GlobalTensor<float> gx = global<float>(x, n), gp = global<float>(partial, parts);
    for (uint64_t first = mine.from; first < mine.to; first += PARTS) {
        uint32_t count = least(PARTS, mine.to - first);
        LocalTensor<float> o = out.AllocTensor<float>();
        for (uint32_t t = 0; t < count; t++) {
            uint64_t at = (first + t) * PART;
            uint32_t w = least(PART, n - at);
            LocalTensor<float> a = take(in, gx[at], w);
            Mul(a, a, a, w);
            PipeBarrier<PIPE_V>();
            sum(o[t], a, w);
            in.FreeTensor(a);
        }
        give(out, gp[first], o, count);
    }
}

// total: out[0] = Σ x, or its root, on one core: each 4096 numbers by a tree, these
// sums one after the other. Bytes: 4·n + 4.
template <bool ROOT>
__aicore__ inline void total(GM_ADDR result, GM_ADDR x, uint64_t n)
{
    if (GetBlockIdx() != 0) return;
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 1> out;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(in, 2, PART * 4);
    pipe.InitBuffer(out, 1, 32);
    pipe.InitBuffer(buf, 32);
    GlobalTensor<float> gx = global<float>(x, n), go = global<float>(result, 1);
    LocalTensor<float> o = out.AllocTensor<float>(), part = buf.Get<float>();
    Duplicate<float>(o, 0.0f, BLOCK);
    for (uint64_t at = 0; at < n; at += PART) {
        uint32_t w = least(PART, n - at);
        LocalTensor<float> a = take(in, gx[at], w);
        sum(part, a, w);
        in.FreeTensor(a);
        Add(o, o, part, 1);
        PipeBarrier<PIPE_V>();
    }
    if constexpr (ROOT) Sqrt(o, o, 1);
    give(out, go, o, 1);
}

// clip: coef = min(1, max/(norm+1e-6)); MindFormers' rule first raises the norm to max.
__aicore__ inline void clipped(GM_ADDR coef, GM_ADDR norm, float limit, bool torch)
{
    if (GetBlockIdx() != 0) return;
    TPipe pipe;
    TQue<TPosition::VECIN, 1> in;
    TQue<TPosition::VECOUT, 1> out;
    pipe.InitBuffer(in, 1, 32);
    pipe.InitBuffer(out, 1, 32);
    LocalTensor<float> a = take(in, global<float>(norm, 1), 1), o = out.AllocTensor<float>();
    if (!torch) Maxs(a, a, limit, 1);
    Duplicate<float>(o, limit, 1);
    PipeBarrier<PIPE_V>();
    Adds(a, a, 1e-6f, 1);
    PipeBarrier<PIPE_V>();
    Div(o, o, a, 1);
    PipeBarrier<PIPE_V>();
    Mins(o, o, 1.0f, 1);
    in.FreeTensor(a);
    give(out, global<float>(coef, 1), o, 1);
}

// scaled: x *= by. Bytes: 8·n.
__aicore__ inline void scaled(GM_ADDR x, uint64_t n, float by)
{
    Range mine = share(n, LINE);
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 2> out;
    pipe.InitBuffer(in, 2, TILE * 4);
    pipe.InitBuffer(out, 2, TILE * 4);
    GlobalTensor<float> g = global<float>(x, n);
    for (uint64_t at = mine.from; at < mine.to; at += TILE) {
        uint32_t w = least(TILE, mine.to - at);
        LocalTensor<float> a = take(in, g[at], w), o = out.AllocTensor<float>();
        Muls(o, a, by, w);
        in.FreeTensor(a);
        give(out, g[at], o, w);
    }
}

// added: y = a + b; y may be either. Bytes: 12·n.
__aicore__ inline void added(GM_ADDR y, GM_ADDR a, GM_ADDR b, uint64_t n)
{
    Range mine = share(n, LINE);
    TPipe pipe;
    TQue<TPosition::VECIN, 4> in;
    TQue<TPosition::VECOUT, 2> out;
    pipe.InitBuffer(in, 4, ADDED * 4);
    pipe.InitBuffer(out, 2, ADDED * 4);
    GlobalTensor<float> gy = global<float>(y, n), ga = global<float>(a, n), gb = global<float>(b, n);
    for (uint64_t at = mine.from; at < mine.to; at += ADDED) {
        uint32_t w = least(ADDED, mine.to - at);
        LocalTensor<float> p = take(in, ga[at], w), q = take(in, gb[at], w), o = out.AllocTensor<float>();
        Add(o, p, q, w);
        in.FreeTensor(p);
        in.FreeTensor(q);
        give(out, gy[at], o, w);
    }
}

// cleared: zeros, from one buffer. Bytes: its own.
__aicore__ inline void cleared(GM_ADDR x, uint64_t bytes)
{
    constexpr uint32_t size = TILE * 4;
    Range mine = share(bytes, 512);
    if (mine.from == mine.to) return;
    TPipe pipe;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(buf, size);
    GlobalTensor<uint8_t> g = global<uint8_t>(x, bytes);
    LocalTensor<int32_t> z = buf.Get<int32_t>();
    Duplicate<int32_t>(z, 0, TILE);
    order<HardEvent::V_MTE3>();
    for (uint64_t at = mine.from; at < mine.to; at += size) store(g[at], z.ReinterpretCast<uint8_t>(), least(size, mine.to - at));
}

struct AdamRule {
    float b1, c1, b2, c2, root, eps, rate, decay, s;
};

// AdamW of kernels/optimizer.go, both rules by their constants:
//
//	g ← coef·g, m ← b1·m + c1·g, v ← b2·v + c2·g², p ← p − (decay·p + rate·m/(√v·root+eps))
//
// and the copies low = T(p), scaled = T(s·p) where they are wanted.
// Bytes: 28·n, and 2·n for each copy.
template <typename T>
__aicore__ inline void adam(GM_ADDR p, GM_ADDR g, GM_ADDR m, GM_ADDR v, GM_ADDR low, GM_ADDR scaled, GM_ADDR coef, uint64_t n, AdamRule r)
{
    Range mine = share(n, LINE);
    if (mine.from == mine.to) return;
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;   // g, m, v, p
    TQue<TPosition::VECOUT, 2> out; // m, v, p
    TQue<TPosition::VECOUT, 2> copies;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(in, 2, 4 * ADAM * 4);
    pipe.InitBuffer(out, 2, 3 * ADAM * 4);
    pipe.InitBuffer(copies, 2, 2 * ADAM * 2);
    pipe.InitBuffer(buf, 2 * ADAM * 4);
    GlobalTensor<float> gp = global<float>(p, n), gg = global<float>(g, n), gm = global<float>(m, n), gv = global<float>(v, n);
    GlobalTensor<T> gl = global<T>(low, n), gs = global<T>(scaled, n);
    LocalTensor<float> d = buf.Get<float>(), t = d[ADAM];
    float by = coef == nullptr ? 1.0f : global<float>(coef, 1).GetValue(0);
    for (uint64_t at = mine.from; at < mine.to; at += ADAM) {
        uint32_t w = least(ADAM, mine.to - at);
        LocalTensor<float> a = in.AllocTensor<float>();
        load(a, gg[at], w), load(a[ADAM], gm[at], w), load(a[2 * ADAM], gv[at], w), load(a[3 * ADAM], gp[at], w);
        in.EnQue(a);
        a = in.DeQue<float>();
        LocalTensor<float> o = out.AllocTensor<float>(), m1 = o, v1 = o[ADAM], p0 = a[3 * ADAM], p1 = o[2 * ADAM];
        Muls(d, a, by, w);
        Muls(m1, a[ADAM], r.b1, w);
        Muls(v1, a[2 * ADAM], r.b2, w);
        PipeBarrier<PIPE_V>();
        Muls(t, d, r.c2, w); // (c2·g)·g, as on the CPU: g² alone may overflow or vanish
        Axpy(m1, d, r.c1, w);
        PipeBarrier<PIPE_V>();
        MulAddDst(v1, t, d, w);
        PipeBarrier<PIPE_V>();
        Sqrt(t, v1, w);
        Muls(d, m1, r.rate, w);
        PipeBarrier<PIPE_V>();
        Muls(t, t, r.root, w);
        PipeBarrier<PIPE_V>();
        Adds(t, t, r.eps, w);
        PipeBarrier<PIPE_V>();
        Div(d, d, t, w);
        PipeBarrier<PIPE_V>();
        Axpy(d, p0, r.decay, w);
        PipeBarrier<PIPE_V>();
        Sub(p1, p0, d, w);
        PipeBarrier<PIPE_V>();
        in.FreeTensor(a);
        if (low != nullptr || scaled != nullptr) {
            LocalTensor<T> c = copies.template AllocTensor<T>();
            Muls(t, p1, r.s, w);
            Cast(c, p1, RoundMode::CAST_RINT, w);
            PipeBarrier<PIPE_V>();
            Cast(c[ADAM], t, RoundMode::CAST_RINT, w);
            copies.EnQue(c);
            c = copies.template DeQue<T>();
            if (low != nullptr) store(gl[at], c, w);
            if (scaled != nullptr) store(gs[at], c[ADAM], w);
            copies.FreeTensor(c);
        }
        out.EnQue(o);
        o = out.DeQue<float>();
        store(gm[at], o, w), store(gv[at], o[ADAM], w), store(gp[at], o[2 * ADAM], w);
        out.FreeTensor(o);
        PipeBarrier<PIPE_V>();
    }
}
} // namespace

#define LORAC_KERNEL_AIV(name, params, ...)             \
    extern "C" __global__ __aicore__ void name params   \
    {                                                   \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY); \
        __VA_ARGS__;                                    \
    }
LORAC_KERNEL_AIV(sum_squares, (GM_ADDR partial, GM_ADDR x, uint64_t n), sumSquares(partial, x, n))
LORAC_KERNEL_AIV(norm, (GM_ADDR out, GM_ADDR partial, uint64_t count), total<true>(out, partial, count))
LORAC_KERNEL_AIV(row_sum, (GM_ADDR out, GM_ADDR x, uint64_t n), total<false>(out, x, n))
LORAC_KERNEL_AIV(clip, (GM_ADDR coef, GM_ADDR norm, uint64_t maxBits, uint64_t torch), clipped(coef, norm, fromBits(maxBits), torch != 0))
LORAC_KERNEL_AIV(add_f32, (GM_ADDR y, GM_ADDR a, GM_ADDR b, uint64_t n), added(y, a, b, n))
LORAC_KERNEL_AIV(scale_f32, (GM_ADDR x, uint64_t n, uint64_t byBits), scaled(x, n, fromBits(byBits)))
LORAC_KERNEL_AIV(zero, (GM_ADDR x, uint64_t bytes), cleared(x, bytes))
LORAC_VECTOR(adamw, (GM_ADDR p, GM_ADDR g, GM_ADDR m, GM_ADDR v, GM_ADDR low, GM_ADDR scaled, GM_ADDR coef, uint64_t n, uint64_t b1, uint64_t c1, uint64_t b2, uint64_t c2, uint64_t root, uint64_t eps, uint64_t rate, uint64_t decay, uint64_t s),
             adam<T>(p, g, m, v, low, scaled, coef, n, {fromBits(b1), fromBits(c1), fromBits(b2), fromBits(c2), fromBits(root), fromBits(eps), fromBits(rate), fromBits(decay), fromBits(s)}))
