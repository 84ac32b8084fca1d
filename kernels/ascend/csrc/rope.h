// Rotary position embedding on a vector core.
#pragma once
#include "vector.h"

namespace rope {
using namespace vec;

constexpr uint32_t TILE = 8192;  // numbers in a tile of whole rows
constexpr uint32_t ANGLES = 2048; // numbers of a table for the rows of a tile
constexpr uint32_t REPEATS = 255;

constexpr uint32_t bytes = 2 * TILE * 2 + 2 * TILE * 2 + 2 * TILE * 4 + 2 * 2 * ANGLES * 4 + ANGLES * 4;
static_assert(bytes <= UB_BYTES, "rope fits UB");

// The columns j and j+half of each head are turned by the angles of the row's position:
// y1 = x1·cos − x2·sin, y2 = x2·cos + x1·sin; inverse turns back. y may be x.
//
// Bytes: 4·rows·cols + 4·rows·headDim (tables) + 4·rows (positions).
template <typename T>
class Rope {
public:
    __aicore__ inline void Run(GM_ADDR y, GM_ADDR x, GM_ADDR pos, GM_ADDR cos, GM_ADDR sin, uint64_t rows, uint32_t cols, uint32_t headDim, bool inverse)
    {
        Range mine = share(rows, 1);
        if (mine.from == mine.to) return;
        TPipe pipe;
        pipe.InitBuffer(in_, 2, TILE * 2);
        pipe.InitBuffer(out_, 2, TILE * 2);
        pipe.InitBuffer(table_, 2, 2 * ANGLES * 4);
        pipe.InitBuffer(x_, TILE * 4);
        pipe.InitBuffer(o_, TILE * 4);
        pipe.InitBuffer(minus_, ANGLES * 4);
        cols_ = cols, dim_ = headDim, half_ = headDim / 2, inverse_ = inverse;
        y_gm = global<T>(y, rows * cols), x_gm = global<T>(x, rows * cols), pos_ = global<int32_t>(pos, rows);
        cos_.SetGlobalBuffer((__gm__ float*)cos), sin_.SetGlobalBuffer((__gm__ float*)sin);
        x_f = x_.Get<float>(), o = o_.Get<float>(), minus = minus_.Get<float>();
        uint32_t step = least(least(TILE / cols, ANGLES / half_), least(REPEATS, mine.to - mine.from));
        for (uint64_t i = mine.from; i < mine.to; i += step) Rows(i, least(step, mine.to - i));
    }

private:
    // Angles loads the rows of the tables for some rows of x: one copy for each run of
    // positions that follow each other.
    __aicore__ inline LocalTensor<float> Angles(uint64_t first, uint32_t rows)
    {
        LocalTensor<float> t = table_.AllocTensor<float>();
        int32_t p = pos_.GetValue(first);
        for (uint32_t i = 0; i < rows;) {
            int32_t next = p;
            uint32_t run = 0;
            while (i + run < rows && next == p + static_cast<int32_t>(run)) {
                run++;
                if (i + run < rows) next = pos_.GetValue(first + i + run);
            }
            load(t[i * half_], cos_[uint64_t(p) * half_], run * half_);
            load(t[ANGLES + i * half_], sin_[uint64_t(p) * half_], run * half_);
            i += run, p = next;
        }
        table_.EnQue(t);
        return table_.DeQue<float>();
    }

    __aicore__ inline void Rows(uint64_t first, uint32_t rows)
    {
        uint32_t n = rows * cols_, heads = cols_ / dim_;
        LocalTensor<float> t = Angles(first, rows), sin = t[ANGLES];
        widen(x_f, in_, x_gm[first * cols_], n);
        Muls(minus, sin, -1.0f, rows * half_);
        PipeBarrier<PIPE_V>();
        LocalTensor<float> up = inverse_ ? minus : sin, down = inverse_ ? sin : minus;
        // A repeat takes a half of a head: over the rows of each head, or over the heads of each row.
        bool overRows = rows > heads && cols_ <= Tile::WIDE;
        uint32_t outer = overRows ? heads : rows, inner = overRows ? rows : heads;
        uint32_t xOuter = overRows ? dim_ : cols_, tOuter = overRows ? 0 : half_, xInner = overRows ? cols_ : dim_, tInner = overRows ? half_ : 0;
        uint8_t xs = xInner / BLOCK, ts = tInner / BLOCK;
        BinaryRepeatParams by(1, 1, 1, xs, xs, ts);
        for (uint32_t pass = 0; pass < 2; pass++) {
            for (uint32_t i = 0; i < outer; i++) {
                for (uint32_t j = 0; j < inner; j += REPEATS) {
                    uint8_t k = least(REPEATS, inner - j);
                    uint32_t a = i * xOuter + j * xInner, b = a + half_, c = i * tOuter + j * tInner;
                    if (pass == 0) {
                        Mul(o[a], x_f[a], t[c], uint64_t(half_), k, by);
                        Mul(o[b], x_f[b], t[c], uint64_t(half_), k, by);
                    } else {
                        MulAddDst(o[a], x_f[b], down[c], uint64_t(half_), k, by);
                        MulAddDst(o[b], x_f[a], up[c], uint64_t(half_), k, by);
                    }
                }
            }
            PipeBarrier<PIPE_V>();
        }
        table_.FreeTensor(t);
        narrow(out_, y_gm[first * cols_], o, n);
        PipeBarrier<PIPE_V>();
    }

    TQue<TPosition::VECIN, 2> in_, table_;
    TQue<TPosition::VECOUT, 2> out_;
    TBuf<TPosition::VECCALC> x_, o_, minus_;
    GlobalTensor<T> y_gm, x_gm;
    GlobalTensor<int32_t> pos_;
    GlobalTensor<float> cos_, sin_;
    LocalTensor<float> x_f, o, minus;
    uint32_t cols_, dim_, half_;
    bool inverse_;
};
} // namespace rope
