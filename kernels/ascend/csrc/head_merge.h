// The end of the head: the ranges of the vocabulary are merged, in their order, and the
// target's share is added. With top = max of the ranges' tops and f = exp(theirs − top):
//
//	sum = Σ f·others + exp(target − top)    loss = weight·(top + ln sum − target)
//	dx = weight/sum·(Σ f·(sum of dx) − (Σ f·others)·w[target])
//
// Bytes for each row: 12 a range and 4 in for each piece of columns, 4 out; 4·cols a range
// and 2·cols of w in, 0 where the row has weight 0; 2·cols of dx out.
#pragma once
#include "head.h"

namespace head {
template <typename T>
class Merge {
public:
    __aicore__ inline void Init(TPipe* pipe, const Problem& p)
    {
        pipe->InitBuffer(in_, 2, WIDE_PIECE * 4);
        pipe->InitBuffer(low_, 2, WIDE_PIECE * 2);
        pipe->InitBuffer(out_, 2, WIDE_PIECE * 2);
        pipe->InitBuffer(piece_, 2 * WIDE_PIECE * 4);
        pipe->InitBuffer(stat_, 2, KINDS * RANGE * 4);
        pipe->InitBuffer(range_, 2 * RANGE * 4);
        pipe->InitBuffer(row_, 8 * 32);
        pipe->InitBuffer(loss_, 2, 32);
        p_ = p;
        stats_ = global<float>(p.Stats(), KINDS * p.ranges * p.rows), sum_ = global<float>(p.Sums(), p.ranges * p.rows * p.cols);
        weights_ = global<float>(p.weights, p.rows), losses_ = global<float>(p.loss, p.rows), targets_ = global<int32_t>(p.targets, p.rows);
        dx_ = global<T>(p.dx, p.rows * p.cols), w_ = global<T>(p.w, p.vocab * p.cols);
        acc = piece_.Get<float>(), wrow = acc[WIDE_PIECE];
        factor = range_.Get<float>(), term = factor[RANGE];
        LocalTensor<float> r = row_.Get<float>();
        top = r, others = r[8], target = r[16], total = r[24], weight = r[32], by = r[40], less = r[48];
    }

    // Run takes 8 rows and a piece of their columns at a time.
    __aicore__ inline void Run()
    {
        uint64_t cores = 2 * p_.groups, octets = parts(p_.rows, OCTET), cols = p_.dx == nullptr ? 1 : p_.cols;
        uint32_t piece = octets < cores ? PIECE : WIDE_PIECE;
        uint64_t pieces = parts(cols, piece);
        for (uint64_t i = GetBlockIdx(); i < octets * pieces; i += cores) {
            uint64_t row = i / pieces * OCTET, c = i % pieces * piece;
            uint32_t rows = least(OCTET, p_.rows - row);
            Stats(row, rows, c == 0);
            if (p_.dx == nullptr) continue;
            order<HardEvent::V_S>();
            for (uint32_t k = 0; k < rows; k++) Row(row + k, k, c, least(piece, p_.cols - c));
            order<HardEvent::S_V>();
        }
    }

private:
    __aicore__ inline void Stats(uint64_t row, uint32_t rows, bool stores)
    {
        uint32_t n = p_.ranges, all = n * OCTET;
        LocalTensor<float> s = stat_.AllocTensor<float>();
        DataCopyExtParams copy(n, rows * 4, (p_.rows - rows) * 4, 0, 0); // a block of 32 bytes for each range
        for (uint32_t k = 0; k < KINDS; k++) DataCopyPad(s[k * RANGE], stats_[k * n * p_.rows + row], copy, DataCopyPadExtParams<float>());
        stat_.EnQue(s);
        s = stat_.DeQue<float>();
        LocalTensor<float> q = take(in_, weights_[row], rows);
        Adds(weight, q, 0.0f, rows);
        in_.FreeTensor(q);
        Adds(top, s, 0.0f, OCTET);
        Adds(target, s[2 * RANGE], 0.0f, OCTET);
        PipeBarrier<PIPE_V>();
        for (uint32_t k = 1; k < n; k++) {
            Max(top, top, s[k * OCTET], OCTET);
            Max(target, target, s[2 * RANGE + k * OCTET], OCTET);
            PipeBarrier<PIPE_V>();
        }
        Each(Subtract(), factor, s, top, all);
        Exp(factor, factor, all);
        PipeBarrier<PIPE_V>();
        Mul(term, factor, s[RANGE], all);
        Sub(total, target, top, OCTET);
        PipeBarrier<PIPE_V>();
        stat_.FreeTensor(s);
        Exp(total, total, OCTET);
        Adds(others, term, 0.0f, OCTET);
        PipeBarrier<PIPE_V>();
        for (uint32_t k = 1; k < n; k++) {
            Add(others, others, term[k * OCTET], OCTET);
            PipeBarrier<PIPE_V>();
        }
        Add(total, total, others, OCTET);
        PipeBarrier<PIPE_V>();
        Div(by, weight, total, OCTET);
        Ln(total, total, OCTET);
        PipeBarrier<PIPE_V>();
        Mul(less, others, by, OCTET);
        Add(total, total, top, OCTET);
        Each(Multiply(), factor, factor, by, all);
        if (!stores) return;
        Sub(total, total, target, OCTET);
        LocalTensor<float> o = loss_.AllocTensor<float>();
        PipeBarrier<PIPE_V>();
        Mul(o, total, weight, OCTET);
        give(loss_, losses_[row], o, rows);
    }

    // Each: d = op(a, b) for blocks of 8 numbers, b one block for all.
    template <typename Op>
    __aicore__ inline void Each(Op op, const LocalTensor<float>& d, const LocalTensor<float>& a, const LocalTensor<float>& b, uint32_t n)
    {
        uint32_t whole = n / LANES, rest = n % LANES;
        BinaryRepeatParams by(1, 1, 0, 8, 8, 0);
        if (whole > 0) op(d, a, b, uint64_t(LANES), static_cast<uint8_t>(whole), by);
        if (rest > 0) op(d[whole * LANES], a[whole * LANES], b, uint64_t(rest), static_cast<uint8_t>(1), by);
        PipeBarrier<PIPE_V>();
    }

    // Row stores n columns of dx from column c; k is the row's place among the 8.
    __aicore__ inline void Row(uint64_t row, uint32_t k, uint64_t c, uint32_t n)
    {
        if (weight.GetValue(k) != 0.0f) {
            for (uint64_t r = 0; r < p_.ranges; r++) {
                LocalTensor<float> s = take(in_, sum_[(r * p_.rows + row) * p_.cols + c], n);
                float f = factor.GetValue(r * OCTET + k) / Scale<T>::by;
                if (r == 0) Muls(acc, s, f, n);
                else Axpy(acc, s, f, n);
                PipeBarrier<PIPE_V>();
                in_.FreeTensor(s);
            }
            widen(wrow, low_, w_[uint64_t(targets_.GetValue(row)) * p_.cols + c], n);
            PipeBarrier<PIPE_V>();
            Axpy(acc, wrow, -less.GetValue(k), n);
        } else {
            Duplicate<float>(acc, 0.0f, n); // whatever the sums are
        }
        PipeBarrier<PIPE_V>();
        narrow(out_, dx_[row * p_.cols + c], acc, n);
        PipeBarrier<PIPE_V>();
    }

    TQue<TPosition::VECIN, 2> in_, low_, stat_;
    TQue<TPosition::VECOUT, 2> out_, loss_;
    TBuf<TPosition::VECCALC> piece_, range_, row_;
    Problem p_;
    GlobalTensor<T> dx_, w_;
    GlobalTensor<float> stats_, sum_, weights_, losses_;
    GlobalTensor<int32_t> targets_;
    LocalTensor<float> acc, wrow, factor, term, top, others, target, total, weight, by, less;
};
} // namespace head
