// Kernels over rows and elements: T is bf16 or f16 outside, f32 inside. The vector
// unit has no arithmetic for bf16, and f16 would lose bits.
#include "norm.h"
#include "rope.h"

namespace {
using namespace vec;

// Elementwise kernels take n numbers in tiles; each core a contiguous part.
constexpr uint32_t TILE = 8192;
constexpr uint32_t GRAD_TILE = 4096; // of swiglu_grad, which has three inputs and four f32 buffers
constexpr uint32_t LINE = 256;       // 16-bit numbers in 512 bytes: cores do not share lines
constexpr uint32_t addBytes = 4 * TILE * 2 + 2 * TILE * 2 + 2 * TILE * 4;
constexpr uint32_t narrowBytes = 2 * TILE * 4 + 2 * TILE * 2;
constexpr uint32_t biasBytes = 2 * TILE * 2 + 2 * TILE * 2 + 2 * TILE * 4;
constexpr uint32_t gradBytes = 6 * GRAD_TILE * 2 + 4 * GRAD_TILE * 2 + 4 * GRAD_TILE * 4;
static_assert(addBytes <= UB_BYTES && biasBytes <= UB_BYTES && narrowBytes <= UB_BYTES && gradBytes <= UB_BYTES, "elementwise kernels fit UB");

// Binary: y = op(a, b), op on f32 tensors, its result in the first. y may be a or b.
// Bytes: 6·n.
template <typename T, typename Op>
__aicore__ inline void binary(GM_ADDR y, GM_ADDR a, GM_ADDR b, uint64_t n, Op op)
{
    Range mine = share(n, LINE);
    TPipe pipe;
    TQue<TPosition::VECIN, 4> in;
    TQue<TPosition::VECOUT, 2> out;
    TBuf<TPosition::VECCALC> first, second;
    pipe.InitBuffer(in, 4, TILE * 2);
    pipe.InitBuffer(out, 2, TILE * 2);
    pipe.InitBuffer(first, TILE * 4);
    pipe.InitBuffer(second, TILE * 4);
    LocalTensor<float> p = first.Get<float>(), q = second.Get<float>();
    GlobalTensor<T> ga = global<T>(a, n), gb = global<T>(b, n), gy = global<T>(y, n);
    for (uint64_t at = mine.from; at < mine.to; at += TILE) {
        uint32_t w = least(TILE, mine.to - at);
        widen(p, in, ga[at], w);
        widen(q, in, gb[at], w);
        PipeBarrier<PIPE_V>();
        op(p, q, w);
        narrow(out, gy[at], p, w);
        PipeBarrier<PIPE_V>();
    }
}

template <typename T>
__aicore__ inline void add(GM_ADDR y, GM_ADDR a, GM_ADDR b, uint64_t n)
{
    binary<T>(y, a, b, n, [](const LocalTensor<float>& p, const LocalTensor<float>& q, uint32_t w) {
        Add(p, p, q, w);
        PipeBarrier<PIPE_V>();
    });
}

// addBias: y = x + b, the row b of f32 numbers added to each row. y may be x. Rows whose
// numbers fill blocks of 32 bytes are taken together. Bytes: 4·rows·cols, and b for each core.
template <typename T>
__aicore__ inline void addBias(GM_ADDR y, GM_ADDR x, GM_ADDR b, uint64_t rows, uint64_t cols)
{
    Range mine = shareRows(rows, 4);
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECIN, 1> bias;
    TQue<TPosition::VECOUT, 2> out;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(in, 2, TILE * 2);
    pipe.InitBuffer(bias, 1, TILE * 4);
    pipe.InitBuffer(out, 2, TILE * 2);
    pipe.InitBuffer(buf, TILE * 4);
    LocalTensor<float> p = buf.Get<float>();
    GlobalTensor<T> gx = global<T>(x, rows * cols), gy = global<T>(y, rows * cols);
    GlobalTensor<float> gb = global<float>(b, cols);
    if (mine.from >= mine.to) return;
    uint64_t together = cols % BLOCK == 0 && cols <= TILE ? least(255, TILE / cols) : 1;
    for (uint64_t at = 0; at < cols; at += TILE) {
        uint32_t w = least(TILE, cols - at);
        LocalTensor<float> g = take(bias, gb[at], w);
        for (uint64_t row = mine.from; row < mine.to; row += together) {
            uint32_t n = least(together, mine.to - row), numbers = n * w;
            widen(p, in, gx[row * cols + at], numbers);
            PipeBarrier<PIPE_V>();
            if (n > 1)
                byColumn(Plus(), Tile{n, w}, p, p, g);
            else
                Add(p, p, g, w);
            PipeBarrier<PIPE_V>();
            narrow(out, gy[row * cols + at], p, numbers);
            PipeBarrier<PIPE_V>();
        }
        bias.FreeTensor(g);
    }
}

// denominator: s = 1 + exp(−g), the denominator of σ(g). For large negative g it is
// infinite, and what is divided by it becomes 0, as it should below 1e-38.
__aicore__ inline void denominator(const LocalTensor<float>& s, const LocalTensor<float>& g, uint32_t w)
{
    Muls(s, g, -1.0f, w);
    PipeBarrier<PIPE_V>();
    Exp(s, s, w);
    PipeBarrier<PIPE_V>();
    Adds(s, s, 1.0f, w);
    PipeBarrier<PIPE_V>();
}

// swiglu: h = g·σ(g)·u. Bytes: 6·n.
template <typename T>
__aicore__ inline void swiglu(GM_ADDR h, GM_ADDR g, GM_ADDR u, uint64_t n)
{
    binary<T>(h, u, g, n, [](const LocalTensor<float>& p, const LocalTensor<float>& q, uint32_t w) {
        Mul(p, p, q, w);
        denominator(q, q, w);
        Div(p, p, q, w);
        PipeBarrier<PIPE_V>();
    });
}

// swigluGrad: du = dh·g·σ, dg = dh·u·(σ + g·σ·(1−σ)). dg and du may each take the place
// of one of the operands. Bytes: 10·n.
template <typename T>
__aicore__ inline void swigluGrad(GM_ADDR dg, GM_ADDR du, GM_ADDR dh, GM_ADDR g, GM_ADDR u, uint64_t n)
{
    Range mine = share(n, LINE);
    TPipe pipe;
    TQue<TPosition::VECIN, 6> in;
    TQue<TPosition::VECOUT, 4> out;
    TBuf<TPosition::VECCALC> buf;
    pipe.InitBuffer(in, 6, GRAD_TILE * 2);
    pipe.InitBuffer(out, 4, GRAD_TILE * 2);
    pipe.InitBuffer(buf, 4 * GRAD_TILE * 4);
    LocalTensor<float> all = buf.Get<float>(), p = all, s = all[GRAD_TILE], d = all[2 * GRAD_TILE], t = all[3 * GRAD_TILE];
    GlobalTensor<T> gdg = global<T>(dg, n), gdu = global<T>(du, n), gdh = global<T>(dh, n), gg = global<T>(g, n), gu = global<T>(u, n);
    for (uint64_t at = mine.from; at < mine.to; at += GRAD_TILE) {
        uint32_t w = least(GRAD_TILE, mine.to - at);
        widen(p, in, gg[at], w);
        widen(d, in, gdh[at], w);
        LocalTensor<T> up = take(in, gu[at], w);
        Duplicate<float>(t, 1.0f, w);
        PipeBarrier<PIPE_V>();
        denominator(s, p, w);
        Div(s, t, s, w); // σ
        PipeBarrier<PIPE_V>();
        Mul(p, p, s, w); // g·σ
        Muls(t, s, -1.0f, w);
        PipeBarrier<PIPE_V>();
        Adds(t, t, 1.0f, w); // 1−σ
        PipeBarrier<PIPE_V>();
        Mul(t, t, p, w);
        PipeBarrier<PIPE_V>();
        Add(s, s, t, w);
        Mul(p, p, d, w); // du
        PipeBarrier<PIPE_V>();
        Cast(t, up, RoundMode::CAST_NONE, w);
        in.FreeTensor(up);
        Mul(s, s, d, w);
        narrow(out, gdu[at], p, w);
        PipeBarrier<PIPE_V>();
        Mul(s, s, t, w); // dg
        PipeBarrier<PIPE_V>();
        narrow(out, gdg[at], s, w);
        PipeBarrier<PIPE_V>();
    }
}

// narrowed: y = T(scale·x), x f32. Bytes: 6·n.
template <typename T>
__aicore__ inline void narrowed(GM_ADDR y, GM_ADDR x, uint64_t n, float scale)
{
    Range mine = share(n, LINE);
    TPipe pipe;
    TQue<TPosition::VECIN, 2> in;
    TQue<TPosition::VECOUT, 2> out;
    pipe.InitBuffer(in, 2, TILE * 4);
    pipe.InitBuffer(out, 2, TILE * 2);
    GlobalTensor<float> gx = global<float>(x, n);
    GlobalTensor<T> gy = global<T>(y, n);
    for (uint64_t at = mine.from; at < mine.to; at += TILE) {
        uint32_t w = least(TILE, mine.to - at);
        LocalTensor<float> a = take(in, gx[at], w);
        if (scale != 1.0f) {
            Muls(a, a, scale, w);
            PipeBarrier<PIPE_V>();
        }
        narrow(out, gy[at], a, w);
        in.FreeTensor(a);
    }
}
} // namespace

LORAC_VECTOR(rmsnorm, (GM_ADDR y, GM_ADDR rstd, GM_ADDR x, GM_ADDR g, uint64_t rows, uint64_t cols, uint64_t epsBits),
             rms::Forward<T, false>().Run(nullptr, y, rstd, x, nullptr, g, rows, cols, fromBits(epsBits)))
LORAC_VECTOR(add_rmsnorm, (GM_ADDR sum, GM_ADDR y, GM_ADDR rstd, GM_ADDR a, GM_ADDR b, GM_ADDR g, uint64_t rows, uint64_t cols, uint64_t epsBits),
             rms::Forward<T, true>().Run(sum, y, rstd, a, b, g, rows, cols, fromBits(epsBits)))
LORAC_VECTOR(rmsnorm_grad, (GM_ADDR dx, GM_ADDR res, GM_ADDR d, GM_ADDR x, GM_ADDR rstd, GM_ADDR g, uint64_t rows, uint64_t cols),
             rms::Gradient<T>().Run(dx, res, d, x, rstd, g, rows, cols))
LORAC_VECTOR(rope, (GM_ADDR y, GM_ADDR x, GM_ADDR pos, GM_ADDR cos, GM_ADDR sin, uint64_t rows, uint64_t cols, uint64_t headDim, uint64_t inverse),
             rope::Rope<T>().Run(y, x, pos, cos, sin, rows, cols, headDim, inverse != 0))
LORAC_VECTOR(swiglu, (GM_ADDR h, GM_ADDR g, GM_ADDR u, uint64_t n), swiglu<T>(h, g, u, n))
LORAC_VECTOR(swiglu_grad, (GM_ADDR dg, GM_ADDR du, GM_ADDR dh, GM_ADDR g, GM_ADDR u, uint64_t n), swigluGrad<T>(dg, du, dh, g, u, n))
LORAC_VECTOR(add, (GM_ADDR y, GM_ADDR a, GM_ADDR b, uint64_t n), add<T>(y, a, b, n))
LORAC_VECTOR(add_bias, (GM_ADDR y, GM_ADDR x, GM_ADDR b, uint64_t rows, uint64_t cols), addBias<T>(y, x, b, rows, cols))
LORAC_VECTOR(narrow, (GM_ADDR y, GM_ADDR x, uint64_t n, uint64_t scaleBits), narrowed<T>(y, x, n, fromBits(scaleBits)))
