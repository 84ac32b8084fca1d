// The forward of attention on the vector cores: the softmax over the keys of a step,
// and the sums over steps.
#pragma once
#include "attention.h"

namespace {
namespace sizes = attention_sizes::forward;
using sizes::CHUNK, sizes::STEP;

template <typename T>
class Attention {
public:
    __aicore__ inline void Init(GM_ADDR ws, uint32_t group, uint32_t heads, uint32_t kvHeads, uint32_t headDim)
    {
        share_ = heads / kvHeads, dim_ = headDim, queryRow_ = heads * headDim, keyRow_ = kvHeads * headDim;
        __gm__ uint8_t* mine = (__gm__ uint8_t*)ws + group * sizes::WORKSPACE;
        scores_.SetGlobalBuffer((__gm__ float*)mine, 2 * STEP * TILE);
        product_.SetGlobalBuffer((__gm__ float*)(mine + 2 * STEP * TILE * 4), 2 * ROWS * dim_);
        weights_.SetGlobalBuffer((__gm__ T*)(mine + 2 * (STEP * TILE + ROWS * attention_sizes::MAX_HEAD) * 4), 2 * STEP * TILE);
    }

protected:
    GlobalTensor<float> scores_, product_; // [2][STEP][ROWS][COLS], [2][ROWS][dim]
    GlobalTensor<T> weights_;              // as scores
    uint32_t share_, dim_, queryRow_, keyRow_;
};

template <typename T>
class Vector : public Attention<T> {
public:
    __aicore__ inline Vector(const Sequences& seq, float scale) : seq_(seq), scale_(scale) {}
    __aicore__ inline void Buffers(TPipe* pipe, GM_ADDR o, GM_ADDR lse, uint64_t queries, uint32_t heads)
    {
        o_.SetGlobalBuffer((__gm__ T*)o, queries * this->queryRow_);
        lse_.SetGlobalBuffer((__gm__ float*)lse, queries * heads);
        heads_ = heads;
        uint32_t d = this->dim_;
        pipe->InitBuffer(in_, 2, sizes::In(d));
        pipe->InitBuffer(out_, 2, sizes::Out(d));
        pipe->InitBuffer(wideOut_, 1, sizes::Wide);
        pipe->InitBuffer(sumBuf_, sizes::Sum(d));
        pipe->InitBuffer(treeBuf_, sizes::Tree);
        pipe->InitBuffer(rowsBuf_, sizes::Rows);
        acc_ = sumBuf_.Get<float>(), tree_ = treeBuf_.Get<float>();
        LocalTensor<float> r = rowsBuf_.Get<float>();
        top_ = r, sum_ = r[2 * HALF], shrink_ = r[4 * HALF], now_ = r[6 * HALF], wide_ = r[7 * HALF];
    }

    // First turns the scores of a step into weights, and notes by how much the sums
    // so far shrink. The rows of two items are alive: the one that begins, and the one
    // whose last product is still to come.
    __aicore__ inline void First(const QueryStep& s, uint32_t half)
    {
        Share mine(s.rows);
        if (s.begins) {
            item_ ^= 1;
            Duplicate(top_[item_ * HALF], HIDDEN, HALF);
            Duplicate(sum_[item_ * HALF], 0.0f, HALF);
            PipeBarrier<PIPE_V>();
            for (uint32_t i = 0; i < mine.rows; i++) at_[i] = seq_.Position(s.query + mine.from + i);
        }
        CrossCoreWaitFlag(S_READY);
        for (uint32_t r = 0; r < mine.rows; r += CHUNK) Soften(s, half, mine.from, r, Least(CHUNK, mine.rows - r));
        CrossCoreSetFlag<2, PIPE_MTE3>(P_READY);
    }

    // Second adds the product of a step, and ends the item after its last.
    __aicore__ inline void Second(const QueryStep& s, uint32_t half)
    {
        Share mine(s.rows);
        CrossCoreWaitFlag(O_READY);
        if (mine.rows > 0) Add(s, half, mine.from, mine.rows);
        if (s.ends && mine.rows > 0) Finish(s, mine.from, mine.rows);
        if (s.ends) ended_ ^= 1;
    }

private:
    __aicore__ inline void Soften(const QueryStep& s, uint32_t half, uint32_t from, uint32_t r, uint32_t rows)
    {
        uint32_t tiles = (s.keys + COLS - 1) / COLS, all = tiles * rows * COLS, tile = rows * COLS;
        uint64_t at = half * STEP * TILE + (from + r) * COLS;
        LocalTensor<float> x = in_.template AllocTensor<float>();
        DataCopy(x, this->scores_[at], DataCopyParams(tiles, tile / 8, (TILE - tile) / 8, 0));
        in_.EnQue(x);
        x = in_.template DeQue<float>();
        Muls(x, x, scale_, all);
        PipeBarrier<PIPE_V>();
        for (uint32_t t = 0; t < tiles; t++) Hide(x[t * tile], HIDDEN, at_ + r, rows, s.key + t * COLS);
        PipeBarrier<PIPE_V>();
        LocalTensor<float> top = top_[item_ * HALF + r], sum = sum_[item_ * HALF + r], shrink = shrink_[half * HALF + r];
        WholeReduceMax<float>(now_, Tree<true>(x, tiles, tile), 64, rows, 1, 1, 8, ReduceOrder::ORDER_ONLY_VALUE);
        PipeBarrier<PIPE_V>();
        Max(now_, now_, top, rows);
        PipeBarrier<PIPE_V>();
        Sub(shrink, top, now_, rows);
        Widen(wide_, now_, rows);
        PipeBarrier<PIPE_V>();
        Exp(shrink, shrink, rows);
        for (uint32_t t = 0; t < tiles; t++) LORAC_BY_ROW(Sub, x[t * tile], wide_, rows, COLS);
        Adds(top, now_, 0.0f, rows);
        PipeBarrier<PIPE_V>();
        Exp(x, x, all);
        Mul(sum, sum, shrink, rows);
        PipeBarrier<PIPE_V>();
        LocalTensor<T> p = out_.template AllocTensor<T>();
        Cast(p, x, RoundMode::CAST_RINT, all);
        out_.EnQue(p);
        WholeReduceSum<float>(now_, Tree<false>(x, tiles, tile), 64, rows, 1, 1, 8);
        PipeBarrier<PIPE_V>();
        AscendC::Add(sum, sum, now_, rows);
        in_.FreeTensor(x);
        p = out_.template DeQue<T>();
        DataCopy(this->weights_[at], p, DataCopyParams(tiles, tile / 16, 0, (TILE - tile) / 16));
        out_.FreeTensor(p);
    }

    // Tree combines tiles to one, in halves.
    template <bool max>
    __aicore__ inline LocalTensor<float> Tree(const LocalTensor<float>& x, uint32_t tiles, uint32_t tile)
    {
        if (tiles == 1) return x;
        uint32_t n = tiles / 2;
        Combine<max>(tree_, x, x[n * tile], n * tile);
        PipeBarrier<PIPE_V>();
        if (tiles % 2) {
            Combine<max>(tree_, tree_, x[(tiles - 1) * tile], tile);
            PipeBarrier<PIPE_V>();
        }
        while (n > 1) {
            uint32_t h = n / 2;
            Combine<max>(tree_, tree_, tree_[(n - h) * tile], h * tile);
            PipeBarrier<PIPE_V>();
            n -= h;
        }
        return tree_;
    }
    template <bool max>
    __aicore__ inline void Combine(const LocalTensor<float>& d, const LocalTensor<float>& a, const LocalTensor<float>& b, uint32_t n)
    {
        if constexpr (max) Max(d, a, b, n);
        else AscendC::Add(d, a, b, n);
    }

    __aicore__ inline void Add(const QueryStep& s, uint32_t half, uint32_t from, uint32_t rows)
    {
        uint32_t d = this->dim_;
        LocalTensor<float> x = in_.template AllocTensor<float>();
        DataCopy(x, this->product_[(half * ROWS + from) * d], rows * d);
        in_.EnQue(x);
        x = in_.template DeQue<float>();
        if (s.begins) {
            PipeBarrier<PIPE_V>();
            Adds(acc_, x, 0.0f, rows * d);
        } else {
            Widen(wide_, shrink_[half * HALF], rows);
            PipeBarrier<PIPE_V>();
            LORAC_BY_ROW(Mul, acc_, wide_, rows, d);
            PipeBarrier<PIPE_V>();
            AscendC::Add(acc_, acc_, x, rows * d);
        }
        PipeBarrier<PIPE_V>();
        in_.FreeTensor(x);
    }

    __aicore__ inline void Finish(const QueryStep& s, uint32_t from, uint32_t rows)
    {
        uint32_t d = this->dim_;
        LocalTensor<float> sum = sum_[ended_ * HALF], top = top_[ended_ * HALF];
        Widen(wide_, sum, rows);
        Ln(now_, sum, rows);
        PipeBarrier<PIPE_V>();
        LORAC_BY_ROW(Div, acc_, wide_, rows, d);
        AscendC::Add(now_, now_, top, rows);
        PipeBarrier<PIPE_V>();
        LocalTensor<T> o = out_.template AllocTensor<T>();
        LocalTensor<float> wide = wideOut_.template AllocTensor<float>();
        Cast(o, acc_, RoundMode::CAST_RINT, rows * d);
        Widen(wide, now_, rows);
        out_.EnQue(o);
        wideOut_.EnQue(wide);
        o = out_.template DeQue<T>();
        wide = wideOut_.template DeQue<float>();
        uint64_t row = s.query + from;
        DataCopy(o_[row * this->queryRow_ + s.head * d], o, DataCopyParams(rows, d / 16, 0, (this->queryRow_ - d) / 16));
        DataCopyPad(lse_[row * heads_ + s.head], wide, DataCopyExtParams(rows, 4, 0, (heads_ - 1) * 4, 0));
        out_.FreeTensor(o);
        wideOut_.FreeTensor(wide);
        PipeBarrier<PIPE_V>();
    }

    GlobalTensor<T> o_;
    GlobalTensor<float> lse_;
    TQue<TPosition::VECIN, 1> in_;
    TQue<TPosition::VECOUT, 1> out_, wideOut_;
    TBuf<TPosition::VECCALC> sumBuf_, treeBuf_, rowsBuf_;
    LocalTensor<float> acc_, tree_;
    LocalTensor<float> top_, sum_, shrink_, now_, wide_; // of rows; top and sum of two items, shrink of two steps
    const Sequences& seq_;
    float scale_;
    uint32_t heads_, item_ = 1, ended_ = 0;
    uint32_t at_[HALF]; // token rows of this core's queries
};
} // namespace
