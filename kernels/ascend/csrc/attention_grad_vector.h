// The gradient of attention on the vector cores: P and dS from scores, and the sums
// that no product has.
#pragma once
#include "attention_grad.h"

namespace {
template <typename T>
class Vector : public Gradient<T> {
public:
    __aicore__ inline Vector(const Sequences& seq, float scale) : seq_(seq), scale_(scale) {}
    __aicore__ inline void Buffers(TPipe* pipe, GM_ADDR dq, GM_ADDR dk, GM_ADDR dv, GM_ADDR dO, GM_ADDR o, GM_ADDR lse, uint64_t keys, uint32_t queries, uint32_t heads)
    {
        dk_.SetGlobalBuffer((__gm__ T*)dk, keys * this->keyRow_);
        dv_.SetGlobalBuffer((__gm__ T*)dv, keys * this->keyRow_);
        do_.SetGlobalBuffer((__gm__ T*)dO, uint64_t(queries) * this->queryRow_);
        o_.SetGlobalBuffer((__gm__ T*)o, uint64_t(queries) * this->queryRow_);
        lse_.SetGlobalBuffer((__gm__ float*)lse, uint64_t(queries) * heads);
        dq_.SetGlobalBuffer((__gm__ T*)dq, uint64_t(queries) * this->queryRow_);
        heads_ = heads, queries_ = queries;
        uint32_t d = this->dim_;
        pipe->InitBuffer(sIn_, 2, sizes::In(d));
        pipe->InitBuffer(dpIn_, 2, sizes::In(d));
        pipe->InitBuffer(rowsIn_, 2, sizes::Rows);
        pipe->InitBuffer(pOut_, 2, sizes::Out);
        pipe->InitBuffer(dsOut_, 2, sizes::Out);
        pipe->InitBuffer(wideBuf_, sizes::Wide);
        pipe->InitBuffer(workBuf_, sizes::Scratch(d));
        lseWide_ = wideBuf_.Get<float>(), deltaWide_ = lseWide_[HALF * 8], work_ = workBuf_.Get<float>();
    }

    // Prepare writes lse and delta = rowsum(do∘o) head by head, so that those of a
    // block of queries lie in one piece. All vector cores have them when it returns.
    __aicore__ inline void Prepare(uint32_t core, uint32_t cores)
    {
        uint32_t blocks = (queries_ + HALF - 1) / HALF;
        for (uint64_t i = core; i < uint64_t(blocks) * heads_; i += cores) {
            uint32_t query = i / heads_ * HALF;
            Delta(i % heads_, query, Least(HALF, queries_ - query));
        }
        SyncAll();
    }

    __aicore__ inline void First(const KeyStep& s, uint32_t half)
    {
        if (s.blocks == 0) return Zero(s);
        CrossCoreWaitFlag(S_READY);
        for (uint32_t t = 0; t < s.blocks; t++) {
            Share mine(s.block[t].rows);
            if (mine.rows == 0) continue;
            uint32_t query = s.block[t].query + mine.from;
            Widths(s.block[t].head, query, mine.rows);
            Weigh(this->Slot(half, t) + mine.from * COLS, query, mine.rows, s.key);
        }
        CrossCoreSetFlag<2, PIPE_MTE3>(P_READY);
    }
    __aicore__ inline void Second(const KeyStep&, uint32_t) {}

    // Collect writes dq: the partial sums of each query, added in order of their ranges.
    __aicore__ inline void Collect(Sequences& seq, uint32_t kvHeads, uint32_t core, uint32_t cores)
    {
        CrossCoreWaitFlag(SUMS_READY);
        SyncAll();
        Ranges ranges(seq, kvHeads);
        uint32_t piece = Least(HALF * COLS, 2 * HALF * this->dim_);
        uint64_t rows = 0, item = 0;
        for (seq.Restart(); seq.Next(); rows += ranges.All()) {
            if (ranges.Single()) continue;
            for (uint32_t r = 0; r < ranges.Count(); r++) { // queries that see ranges 0 to r
                uint32_t from = ranges.Query(r), to = r + 1 < ranges.Count() ? ranges.Query(r + 1) : seq.to;
                uint64_t n = uint64_t(to - from) * this->queryRow_;
                for (uint64_t at = 0; at < n; at += piece, item++)
                    if (item % cores == core) Piece(ranges, rows, r, from, at, n - at < piece ? n - at : piece);
            }
        }
    }

private:
    // Widths brings lse and delta of some rows, each number eight times.
    __aicore__ inline void Widths(uint32_t head, uint32_t query, uint32_t rows)
    {
        LocalTensor<float> x = rowsIn_.template AllocTensor<float>();
        uint64_t at = uint64_t(head) * queries_ + query;
        DataCopyExtParams p(1, rows * 4, 0, 0, 0);
        DataCopyPad(x, this->lseT_[at], p, DataCopyPadExtParams<float>(false, 0, 0, 0));
        DataCopyPad(x[HALF], this->deltaT_[at], p, DataCopyPadExtParams<float>(false, 0, 0, 0));
        rowsIn_.EnQue(x);
        x = rowsIn_.template DeQue<float>();
        PipeBarrier<PIPE_V>();
        Widen(lseWide_, x, rows);
        Widen(deltaWide_, x[HALF], rows);
        PipeBarrier<PIPE_V>();
        rowsIn_.FreeTensor(x);
    }
    // Weigh makes P and dS of rows of one tile.
    __aicore__ inline void Weigh(uint64_t at, uint32_t query, uint32_t rows, uint32_t key)
    {
        uint32_t n = rows * COLS, sees[HALF]; // token rows of queries that do not see all keys
        bool hides = seq_.Position(query) + 1 < key + COLS;
        for (uint32_t i = 0; hides && i < rows; i++) sees[i] = seq_.Position(query + i);
        LocalTensor<float> s = sIn_.template AllocTensor<float>(), dp = dpIn_.template AllocTensor<float>();
        DataCopy(s, this->s_[at], n);
        DataCopy(dp, this->dp_[at], n);
        sIn_.EnQue(s);
        dpIn_.EnQue(dp);
        s = sIn_.template DeQue<float>(), dp = dpIn_.template DeQue<float>();
        Muls(s, s, scale_, n);
        if (hides) Hide(dp, 0.0f, sees, rows, key);
        PipeBarrier<PIPE_V>();
        if (hides) Hide(s, HIDDEN, sees, rows, key);
        PipeBarrier<PIPE_V>();
        LORAC_BY_ROW(Sub, s, lseWide_, rows, COLS);
        LORAC_BY_ROW(Sub, dp, deltaWide_, rows, COLS);
        PipeBarrier<PIPE_V>();
        Exp(s, s, n);
        Muls(dp, dp, scale_, n);
        PipeBarrier<PIPE_V>();
        LocalTensor<T> p = pOut_.template AllocTensor<T>();
        Cast(p, s, RoundMode::CAST_RINT, n);
        pOut_.EnQue(p);
        Mul(dp, dp, s, n);
        PipeBarrier<PIPE_V>();
        LocalTensor<T> ds = dsOut_.template AllocTensor<T>();
        Cast(ds, dp, RoundMode::CAST_RINT, n);
        dsOut_.EnQue(ds);
        sIn_.FreeTensor(s);
        dpIn_.FreeTensor(dp);
        p = pOut_.template DeQue<T>();
        DataCopy(this->p_[at], p, n);
        pOut_.FreeTensor(p);
        ds = dsOut_.template DeQue<T>();
        DataCopy(this->ds_[at], ds, n);
        dsOut_.FreeTensor(ds);
    }
    __aicore__ inline void Delta(uint32_t head, uint32_t query, uint32_t rows)
    {
        uint32_t d = this->dim_, n = rows * d;
        uint64_t at = uint64_t(query) * this->queryRow_ + head * d;
        LocalTensor<T> x = sIn_.template AllocTensor<T>(), y = dpIn_.template AllocTensor<T>();
        LocalTensor<float> l = rowsIn_.template AllocTensor<float>();
        DataCopyParams p(rows, d / 16, (this->queryRow_ - d) / 16, 0);
        DataCopy(x, do_[at], p);
        DataCopy(y, o_[at], p);
        DataCopyPad(l, lse_[uint64_t(query) * heads_ + head], DataCopyExtParams(rows, 4, (heads_ - 1) * 4, 0, 0), DataCopyPadExtParams<float>(false, 0, 0, 0));
        sIn_.EnQue(x);
        dpIn_.EnQue(y);
        rowsIn_.EnQue(l);
        x = sIn_.template DeQue<T>(), y = dpIn_.template DeQue<T>(), l = rowsIn_.template DeQue<float>();
        LocalTensor<float> a = work_, b = work_[HALF * d];
        PipeBarrier<PIPE_V>();
        Cast(a, x, RoundMode::CAST_NONE, n);
        Cast(b, y, RoundMode::CAST_NONE, n);
        PipeBarrier<PIPE_V>();
        Mul(a, a, b, n);
        PipeBarrier<PIPE_V>();
        if (d > 64) {
            AscendC::Add(a, a, a[64], uint64_t(d - 64), rows, BinaryRepeatParams(1, 1, 1, d / 8, d / 8, d / 8));
            PipeBarrier<PIPE_V>();
        }
        LocalTensor<float> out = dsOut_.template AllocTensor<float>();
        WholeReduceSum<float>(out, l, 1, rows, 1, 1, 1);
        WholeReduceSum<float>(out[HALF], a, Least(d, 64), rows, 1, 1, d / 8);
        dsOut_.EnQue(out);
        sIn_.FreeTensor(x);
        dpIn_.FreeTensor(y);
        rowsIn_.FreeTensor(l);
        out = dsOut_.template DeQue<float>();
        DataCopyExtParams one(1, rows * 4, 0, 0, 0);
        DataCopyPad(this->lseT_[uint64_t(head) * queries_ + query], out, one);
        DataCopyPad(this->deltaT_[uint64_t(head) * queries_ + query], out[HALF], one);
        dsOut_.FreeTensor(out);
    }
    // Piece adds n numbers, `at` those of query `from`, over ranges 0 to last.
    __aicore__ inline void Piece(const Ranges& ranges, uint64_t rows, uint32_t last, uint32_t from, uint64_t at, uint32_t n)
    {
        for (uint32_t r = 0; r <= last; r++) {
            LocalTensor<float> x = sIn_.template AllocTensor<float>();
            DataCopy(x, this->partial_[(rows + ranges.Before(r) + from - ranges.Query(r)) * this->queryRow_ + at], n);
            sIn_.EnQue(x);
            x = sIn_.template DeQue<float>();
            PipeBarrier<PIPE_V>();
            if (r == 0) Adds(work_, x, 0.0f, n);
            else Add(work_, work_, x, n);
            sIn_.FreeTensor(x);
        }
        LocalTensor<T> y = dsOut_.template AllocTensor<T>();
        PipeBarrier<PIPE_V>();
        Cast(y, work_, RoundMode::CAST_RINT, n);
        PipeBarrier<PIPE_V>();
        dsOut_.EnQue(y);
        y = dsOut_.template DeQue<T>();
        DataCopy(dq_[uint64_t(from) * this->queryRow_ + at], y, n);
        dsOut_.FreeTensor(y);
    }
    // Zero writes the gradients of keys that no query sees: one vector core dk, one dv.
    __aicore__ inline void Zero(const KeyStep& s)
    {
        uint32_t d = this->dim_, at = HALF * COLS / d; // rows at a time
        GlobalTensor<T> to = (GetSubBlockIdx() == 0 ? dk_ : dv_)[uint64_t(s.key) * this->keyRow_ + s.kvHead * d];
        LocalTensor<uint16_t> z = pOut_.template AllocTensor<uint16_t>();
        Duplicate(z, uint16_t(0), HALF * COLS);
        pOut_.EnQue(z);
        LocalTensor<T> zero = pOut_.template DeQue<T>();
        for (uint32_t r = 0; r < s.keys; r += at)
            DataCopy(to[uint64_t(r) * this->keyRow_], zero, DataCopyParams(Least(at, s.keys - r), d / 16, 0, (this->keyRow_ - d) / 16));
        pOut_.FreeTensor(zero);
    }

    GlobalTensor<T> dq_, dk_, dv_, do_, o_;
    GlobalTensor<float> lse_; // [queries, heads]
    TQue<TPosition::VECIN, 1> sIn_, dpIn_, rowsIn_;
    TQue<TPosition::VECOUT, 1> pOut_, dsOut_;
    TBuf<TPosition::VECCALC> wideBuf_, workBuf_;
    LocalTensor<float> lseWide_, deltaWide_, work_;
    const Sequences& seq_;
    float scale_;
    uint32_t heads_, queries_;
};
} // namespace
