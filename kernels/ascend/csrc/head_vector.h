// The vector cores' half of the head: each takes half of the group's rows.
//
// Bytes for each row: of a block of v columns of the vocabulary 4·v16 in and 2·v16 out;
// 8·cols for each block after the first of a range in which the row's top grows; 12 out
// for each range.
#pragma once
#include "head.h"

namespace head {
template <typename T>
class Vector {
public:
    __aicore__ inline void Init(TPipe* pipe, const Problem& p)
    {
        pipe->InitBuffer(in_, 2, TILE * 4);
        pipe->InitBuffer(out_, 2, TILE * 4);
        pipe->InitBuffer(tmp_, TILE / 2 * 4);
        pipe->InitBuffer(row_, 5 * HALF * 4);
        pipe->InitBuffer(wide_, 8 * 32);
        p_ = p;
        targets_ = global<int32_t>(p.targets, p.rows);
        logits_ = global<float>(p.Logits(), 2 * ROWS * VOCAB);
        weights_ = global<T>(p.Weights(), 2 * ROWS * VOCAB);
        stats_ = global<float>(p.Stats(), KINDS * p.ranges * p.rows);
        sum_ = global<float>(p.Sums(), p.ranges * p.rows * p.cols);
        LocalTensor<float> s = row_.Get<float>();
        top = s, others = s[HALF], target = s[2 * HALF], shrink = s[3 * HALF], part = s[4 * HALF];
        tmp = tmp_.Get<float>(), wide = wide_.Get<float>();
    }

    // Run takes this core's half of m rows from row0.
    __aicore__ inline void Run(uint64_t row0, uint32_t m, uint64_t range)
    {
        uint32_t half = up((m + 1) / 2, 8);
        first_ = GetSubBlockIdx() * half;
        row0_ = row0 + first_;
        rows_ = m > first_ ? least(half, m - first_) : 0;
        to_ = (range * p_.rows + row0_) * p_.cols;
        Duplicate<float>(top, NONE, HALF);
        Duplicate<float>(others, 0.0f, HALF);
        Duplicate<float>(target, NONE, HALF);
        PipeBarrier<PIPE_V>();
        bool grad = p_.dx != nullptr;
        uint32_t first = p_.First(range), last = p_.First(range + 1);
        for (uint32_t j = first; j < last; j++) {
            CrossCoreWaitFlag(LOGITS);
            for (uint32_t r = 0; r < rows_; r += 8) Soften(j, r, least(8, rows_ - r));
            if (!grad) {
                CrossCoreSetFlag<2, PIPE_V>(WEIGHTS);
                continue;
            }
            if (j > first) {
                CrossCoreWaitFlag(SUMMED);
                if (rows_ > 0) Shrink();
            }
            CrossCoreSetFlag<2, PIPE_MTE3>(WEIGHTS);
        }
        if (grad) CrossCoreWaitFlag(SUMMED);
        if (rows_ == 0) return;
        order<HardEvent::V_MTE3>();
        store(stats_[range * p_.rows + row0_], top, rows_);
        store(stats_[(p_.ranges + range) * p_.rows + row0_], others, rows_);
        store(stats_[(2 * p_.ranges + range) * p_.rows + row0_], target, rows_);
        order<HardEvent::MTE3_V>();
    }

private:
    // Soften turns logits of rows r.. into weights and adds them to the rows' sums.
    __aicore__ inline void Soften(uint32_t j, uint32_t r, uint32_t rows)
    {
        uint64_t v0 = uint64_t(j) * VOCAB;
        uint32_t n = least(VOCAB, p_.vocab - v0), n16 = up(n, 16), h = n16 / 2;
        Tile t{rows, n16};
        uint64_t at = j % 2 * ROWS * VOCAB + (first_ + r) * VOCAB;
        LocalTensor<float> z = in_.template AllocTensor<float>();
        DataCopyPad(z, logits_[at], DataCopyExtParams(rows, n16 * 4, (VOCAB - n16) * 4, 0, 0), DataCopyPadExtParams<float>());
        in_.EnQue(z);
        z = in_.template DeQue<float>();
        if (n < n16) {
            uint64_t bits[2] = {((1ull << 16) - 1) & ~((1ull << (n - (n16 - 16))) - 1), 0};
            Duplicate<float>(z[n16 - 16], NONE, bits, static_cast<uint8_t>(rows), 1, t.stride());
            PipeBarrier<PIPE_V>();
        }
        LocalTensor<float> m = top[r], sum = others[r], f = shrink[r], b = part[r];
        pairs(Larger(), t, h, tmp, h, z, z[h]);
        PipeBarrier<PIPE_V>();
        Tile half{rows, h};
        uint32_t w = fold(Larger(), half, tmp);
        WholeReduceMax<float>(b, tmp, w, rows, 1, 1, half.stride(), ReduceOrder::ORDER_ONLY_VALUE);
        Targets(z, v0, n, n16, r, rows);
        PipeBarrier<PIPE_V>();
        Max(b, b, m, rows);
        PipeBarrier<PIPE_V>();
        Sub(f, m, b, rows);
        spread(wide, b, rows);
        PipeBarrier<PIPE_V>();
        Exp(f, f, rows);
        Adds(m, b, 0.0f, rows);
        byRow(Subtract(), t, z, z, wide);
        PipeBarrier<PIPE_V>();
        Exp(z, z, t.size());
        Mul(sum, sum, f, rows);
        PipeBarrier<PIPE_V>();
        pairs(Plus(), t, h, tmp, h, z, z[h]);
        if (p_.dx != nullptr) Weights(at, t, z);
        PipeBarrier<PIPE_V>();
        in_.FreeTensor(z);
        sumRows(b, half, tmp);
        Add(sum, sum, b, rows);
        PipeBarrier<PIPE_V>();
    }

    // Targets notes the logits of the targets among these columns, and leaves them out.
    __aicore__ inline void Targets(const LocalTensor<float>& z, uint64_t v0, uint32_t n, uint32_t n16, uint32_t r, uint32_t rows)
    {
        for (uint32_t i = 0; i < rows; i++) {
            uint64_t at = static_cast<uint64_t>(static_cast<int64_t>(targets_.GetValue(row0_ + r + i))) - v0;
            if (at >= n) continue; // an earlier or negative target wraps around
            uint32_t k = i * n16 + static_cast<uint32_t>(at), to = k % BLOCK;
            order<HardEvent::V_S>(); // and so after the copy that the vector unit waited for
            float v = z.GetValue(k);
            order<HardEvent::S_V>();
            uint64_t one[2] = {1ull << i, 0}, here[2] = {1ull << to, 0};
            Duplicate<float>(target[r], v, one, 1, 1, 8);
            Duplicate<float>(z[k - to], NONE, here, 1, 1, 8);
        }
    }

    __aicore__ inline void Weights(uint64_t at, Tile t, const LocalTensor<float>& z)
    {
        LocalTensor<T> o = out_.template AllocTensor<T>();
        if (Scale<T>::by != 1.0f) {
            PipeBarrier<PIPE_V>();
            Muls(z, z, Scale<T>::by, t.size());
            PipeBarrier<PIPE_V>();
        }
        Cast(o, z, RoundMode::CAST_RINT, t.size());
        out_.EnQue(o);
        o = out_.template DeQue<T>();
        DataCopyPad(weights_[at], o, DataCopyExtParams(t.rows, t.cols * 2, 0, (VOCAB - t.cols) * 2, 0));
        out_.FreeTensor(o);
    }

    // Shrink multiplies what was summed of dx, in rows whose top grew.
    __aicore__ inline void Shrink()
    {
        order<HardEvent::V_S>();
        for (uint32_t i = 0; i < rows_; i++) {
            float f = shrink.GetValue(i);
            if (f == 1.0f) continue;
            for (uint32_t c = 0; c < p_.cols; c += TILE) {
                uint32_t n = least(TILE, p_.cols - c);
                uint64_t at = to_ + uint64_t(i) * p_.cols + c;
                LocalTensor<float> s = take(in_, sum_[at], n), o = out_.template AllocTensor<float>();
                Muls(o, s, f, n);
                in_.FreeTensor(s);
                give(out_, sum_[at], o, n);
            }
        }
        order<HardEvent::S_V>();
    }

    TQue<TPosition::VECIN, 2> in_;
    TQue<TPosition::VECOUT, 2> out_;
    TBuf<TPosition::VECCALC> tmp_, row_, wide_;
    Problem p_;
    GlobalTensor<T> weights_;
    GlobalTensor<float> logits_, stats_, sum_;
    GlobalTensor<int32_t> targets_;
    LocalTensor<float> tmp, wide, top, others, target, shrink, part;
    uint64_t row0_, to_; // the first row; where its sum of dx is
    uint32_t first_, rows_;
};
} // namespace head
