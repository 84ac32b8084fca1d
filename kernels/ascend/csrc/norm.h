// RMSNorm and its gradient on a vector core: several rows in one tile, f32 inside.
#pragma once
#include "vector.h"

namespace rms {
using namespace vec;

constexpr uint32_t TILE = 8192; // numbers in a tile: one row of the widest model, or several rows
constexpr uint32_t ROWS = 64;   // rows of a tile at most
constexpr uint32_t IN = 3, OUT = 2;

// forwardBytes and gradBytes are the UB of the two kernels for rows of cols numbers.
__aicore__ inline constexpr uint32_t forwardBytes(uint32_t cols) { return IN * TILE * 2 + OUT * TILE * 2 + cols * 4 + 2 * TILE * 4 + 2 * ROWS * 4 + ROWS * 4 + ROWS * 32; }
__aicore__ inline constexpr uint32_t gradBytes(uint32_t cols) { return IN * TILE * 2 + TILE * 2 + cols * 4 + 2 * TILE * 4 + TILE / 2 * 4 + 2 * ROWS * 4 + 2 * ROWS * 4 + 2 * ROWS * 32; }
constexpr bool fits()
{
    for (uint32_t c = 16; c <= TILE; c += 16)
        if (forwardBytes(c) > UB_BYTES || gradBytes(c) > UB_BYTES) return false;
    return true;
}
static_assert(fits(), "the norms fit UB for every width");

// rowsOf is how many rows this core takes at a time.
__aicore__ inline uint32_t rowsOf(const Range& r, uint32_t cols) { return least(least(TILE / cols, ROWS), r.to - r.from); }

// Forward: y = x·rstd·g with rstd = 1/√(mean(x²)+eps). With SUM x is T(a+b), which
// is also stored, and the norm is that of the rounded sum.
//
// Bytes: 2·rows·cols·(2, with SUM 4) + 4·rows + 4·cols for each core at work.
template <typename T, bool SUM>
class Forward {
public:
    __aicore__ inline void Run(GM_ADDR sum, GM_ADDR y, GM_ADDR rstd, GM_ADDR a, GM_ADDR b, GM_ADDR g, uint64_t rows, uint32_t cols, float eps)
    {
        Range mine = shareRows(rows, SUM ? 8 : 4);
        if (mine.from == mine.to) return;
        TPipe pipe;
        pipe.InitBuffer(in_, IN, TILE * 2);
        pipe.InitBuffer(out_, OUT, TILE * 2);
        pipe.InitBuffer(stat_, 2, ROWS * 4);
        pipe.InitBuffer(gain_, cols * 4);
        pipe.InitBuffer(x_, TILE * 4);
        pipe.InitBuffer(tmp_, TILE * 4);
        pipe.InitBuffer(one_, ROWS * 4);
        pipe.InitBuffer(wide_, ROWS * 32);
        sum_ = global<T>(sum, rows * cols), y_ = global<T>(y, rows * cols), a_ = global<T>(a, rows * cols), b_ = global<T>(b, rows * cols);
        rstd_ = global<float>(rstd, rows);
        gain = gain_.Get<float>(), x = x_.Get<float>(), tmp = tmp_.Get<float>(), one = one_.Get<float>(), wide = wide_.Get<float>();
        load(gain, global<float>(g, cols), cols);
        Duplicate<float>(one, 1.0f, ROWS);
        order<HardEvent::MTE2_V>();
        uint32_t step = rowsOf(mine, cols);
        for (uint64_t i = mine.from; i < mine.to; i += step) Rows(i, Tile{static_cast<uint32_t>(least(step, mine.to - i)), cols}, eps);
    }

private:
    __aicore__ inline void Rows(uint64_t first, Tile t, float eps)
    {
        uint64_t at = first * t.cols;
        widen(x, in_, a_[at], t.size());
        if constexpr (SUM) {
            widen(tmp, in_, b_[at], t.size());
            PipeBarrier<PIPE_V>();
            Add(x, x, tmp, t.size());
            LocalTensor<T> o = out_.template AllocTensor<T>();
            PipeBarrier<PIPE_V>();
            Cast(o, x, RoundMode::CAST_RINT, t.size());
            PipeBarrier<PIPE_V>();
            Cast(x, o, RoundMode::CAST_NONE, t.size());
            give(out_, sum_[at], o, t.size());
        }
        PipeBarrier<PIPE_V>();
        LocalTensor<float> r = stat_.AllocTensor<float>();
        dotRows(r, t, x, x, tmp);
        Muls(r, r, 1.0f / t.cols, t.rows);
        PipeBarrier<PIPE_V>();
        Adds(r, r, eps, t.rows);
        PipeBarrier<PIPE_V>();
        Sqrt(r, r, t.rows);
        PipeBarrier<PIPE_V>();
        Div(r, one, r, t.rows); // Rsqrt is good to 1e-4 only
        PipeBarrier<PIPE_V>();
        spread(wide, r, t.rows);
        give(stat_, rstd_[first], r, t.rows);
        PipeBarrier<PIPE_V>();
        byRow(Multiply(), t, x, x, wide);
        PipeBarrier<PIPE_V>();
        byColumn(Multiply(), t, x, x, gain);
        PipeBarrier<PIPE_V>();
        narrow(out_, y_[at], x, t.size());
        PipeBarrier<PIPE_V>();
    }

    TQue<TPosition::VECIN, IN> in_;
    TQue<TPosition::VECOUT, OUT> out_;
    TQue<TPosition::VECOUT, 2> stat_;
    TBuf<TPosition::VECCALC> gain_, x_, tmp_, one_, wide_;
    GlobalTensor<T> sum_, y_, a_, b_;
    GlobalTensor<float> rstd_;
    LocalTensor<float> gain, x, tmp, one, wide;
};

// Gradient: dx = rstd·(u − x·rstd²·mean(u∘x)) [+ res] with u = d∘g.
//
// Bytes: 2·rows·cols·(3, with res 4) + 4·rows + 4·cols for each core at work.
template <typename T>
class Gradient {
public:
    __aicore__ inline void Run(GM_ADDR dx, GM_ADDR res, GM_ADDR d, GM_ADDR x, GM_ADDR rstd, GM_ADDR g, uint64_t rows, uint32_t cols)
    {
        Range mine = shareRows(rows, res == nullptr ? 6 : 8);
        if (mine.from == mine.to) return;
        TPipe pipe;
        pipe.InitBuffer(in_, IN, TILE * 2);
        pipe.InitBuffer(out_, 1, TILE * 2);
        pipe.InitBuffer(stat_, 2, ROWS * 4);
        pipe.InitBuffer(gain_, cols * 4);
        pipe.InitBuffer(u_, TILE * 4);
        pipe.InitBuffer(x_, TILE * 4);
        pipe.InitBuffer(tmp_, TILE / 2 * 4);
        pipe.InitBuffer(row_, 2 * ROWS * 4);
        pipe.InitBuffer(wide_, 2 * ROWS * 32);
        adds_ = res != nullptr;
        dx_ = global<T>(dx, rows * cols), res_ = global<T>(res, rows * cols), d_ = global<T>(d, rows * cols), xs_ = global<T>(x, rows * cols);
        rstd_ = global<float>(rstd, rows);
        gain = gain_.Get<float>(), u = u_.Get<float>(), x_f = x_.Get<float>(), tmp = tmp_.Get<float>();
        row = row_.Get<float>(), wide = wide_.Get<float>();
        load(gain, global<float>(g, cols), cols);
        order<HardEvent::MTE2_V>();
        uint32_t step = rowsOf(mine, cols);
        for (uint64_t i = mine.from; i < mine.to; i += step) Rows(i, Tile{static_cast<uint32_t>(least(step, mine.to - i)), cols});
    }

private:
    __aicore__ inline void Rows(uint64_t first, Tile t)
    {
        uint64_t at = first * t.cols;
        LocalTensor<float> dot = row, r = row[ROWS], rwide = wide, swide = wide[ROWS * BLOCK];
        widen(u, in_, d_[at], t.size());
        widen(x_f, in_, xs_[at], t.size());
        LocalTensor<float> s = take(stat_, rstd_[first], t.rows);
        Adds(r, s, 0.0f, t.rows);
        stat_.FreeTensor(s);
        PipeBarrier<PIPE_V>();
        byColumn(Multiply(), t, u, u, gain);
        PipeBarrier<PIPE_V>();
        dotRows(dot, t, u, x_f, tmp);
        Muls(dot, dot, 1.0f / t.cols, t.rows);
        PipeBarrier<PIPE_V>();
        Mul(dot, dot, r, t.rows);
        PipeBarrier<PIPE_V>();
        Mul(dot, dot, r, t.rows);
        PipeBarrier<PIPE_V>();
        spread(rwide, r, t.rows);
        spread(swide, dot, t.rows);
        PipeBarrier<PIPE_V>();
        byRow(Multiply(), t, x_f, x_f, swide);
        PipeBarrier<PIPE_V>();
        Sub(u, u, x_f, t.size());
        PipeBarrier<PIPE_V>();
        byRow(Multiply(), t, u, u, rwide);
        if (adds_) {
            widen(x_f, in_, res_[at], t.size());
            PipeBarrier<PIPE_V>();
            Add(u, u, x_f, t.size());
        }
        PipeBarrier<PIPE_V>();
        narrow(out_, dx_[at], u, t.size());
        PipeBarrier<PIPE_V>();
    }

    TQue<TPosition::VECIN, IN> in_;
    TQue<TPosition::VECOUT, 1> out_;
    TQue<TPosition::VECIN, 2> stat_;
    TBuf<TPosition::VECCALC> gain_, u_, x_, tmp_, row_, wide_;
    GlobalTensor<T> dx_, res_, d_, xs_;
    GlobalTensor<float> rstd_;
    LocalTensor<float> gain, u, x_f, tmp, row, wide;
    bool adds_;
};
} // namespace rms
