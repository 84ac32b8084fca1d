// The cube's half of the head.
//
// Bytes from global memory to L1 for each m rows that a group takes, 2 bytes a number:
//
//	logits  cols·(m + n) for each tile of n ≤ 256 of the vocabulary
//	dx      m·v16 + v·n for each block of v ≤ 1024 of the vocabulary (v16 is v rounded up to 16)
//	        and each tile of n ≤ 256 columns
//
// FLOPs: 2·m·vocab·cols for the logits, 2·m·v16·cols a block for dx; a single row counts as 16.
#pragma once
#include "head.h"

namespace head {
template <typename T>
class Cube {
public:
    __aicore__ inline void Init(TPipe* pipe, const Problem& p)
    {
        pipe->InitBuffer(a1_, 2, A1);
        pipe->InitBuffer(b1_, 2, B1);
        pipe->InitBuffer(a2_, 2, A2);
        pipe->InitBuffer(b2_, 2, B2);
        pipe->InitBuffer(c_, 1, C);
        p_ = p;
        x_ = global<T>(p.x, p.rows * p.cols), w_ = global<T>(p.w, p.vocab * p.cols);
        logits_ = global<float>(p.Logits(), 2 * ROWS * VOCAB);
        weights_ = global<T>(p.Weights(), 2 * ROWS * VOCAB);
        sum_ = global<float>(p.Sums(), p.ranges * p.rows * p.cols);
    }

    // Run computes m rows from row0 over a range: logits one block ahead of dx.
    __aicore__ inline void Run(uint64_t row0, uint32_t m, uint64_t range)
    {
        m_ = m, first_ = p_.First(range), to_ = (range * p_.rows + row0) * p_.cols;
        uint32_t last = p_.First(range + 1);
        for (uint32_t j = first_; j <= last; j++) {
            if (j < last) {
                Logits(row0, j);
                CrossCoreSetFlag<2, PIPE_FIX>(LOGITS);
            }
            if (j > first_) {
                CrossCoreWaitFlag(WEIGHTS);
                if (p_.dx == nullptr) continue;
                Gradient(j - 1);
                CrossCoreSetFlag<2, PIPE_FIX>(SUMMED);
            }
        }
    }

private:
    __aicore__ inline void Logits(uint64_t row0, uint32_t j)
    {
        uint32_t all = p_.Columns(j);
        for (uint32_t n0 = 0; n0 < all; n0 += WIDE) {
            uint32_t n = least(WIDE, all - n0);
            Begin(n);
            for (uint32_t k = 0; k < p_.cols; k += STEP) {
                uint32_t kv = least(STEP, p_.cols - k);
                Multiply<false>(x_[row0 * p_.cols + k], p_.cols, w_[(uint64_t(j) * VOCAB + n0) * p_.cols + k], kv);
            }
            Store(logits_[j % 2 * ROWS * VOCAB + n0], VOCAB, up(n, 16), false); // the last columns are no logits: the vector cores mask them
        }
    }

    __aicore__ inline void Gradient(uint32_t j)
    {
        uint32_t all = p_.Columns(j);
        for (uint32_t n0 = 0; n0 < p_.cols; n0 += WIDE) {
            uint32_t n = least(WIDE, p_.cols - n0);
            Begin(n);
            for (uint32_t k = 0; k < all; k += STEP) {
                uint32_t kv = least(STEP, all - k);
                Multiply<true>(weights_[j % 2 * ROWS * VOCAB + k], VOCAB, w_[(uint64_t(j) * VOCAB + k) * p_.cols + n0], kv);
            }
            Store(sum_[to_ + n0], p_.cols, n, j > first_);
        }
    }

    __aicore__ inline void Begin(uint32_t n)
    {
        n_ = n, fresh_ = true;
        tile_ = c_.template AllocTensor<float>();
    }

    // Multiply adds a[m,k]·b to the tile, b being [n,k], or [k,n] with TB; a has zeros up
    // to a multiple of 16 in k, and b is given them.
    template <bool TB>
    __aicore__ inline void Multiply(const GlobalTensor<T>& a, uint32_t arow, const GlobalTensor<T>& b, uint32_t k)
    {
        uint32_t k16 = up(k, 16), kb = k16 / 16;
        LocalTensor<T> a1 = a1_.template AllocTensor<T>(), b1 = b1_.template AllocTensor<T>();
        Fetch(a1, a, arow, m_, k16);
        if (TB) Fetch(b1, b, p_.cols, k, n_);
        else Fetch(b1, b, p_.cols, n_, k);
        if (TB && k < k16) {
            InitConstValueParams<uint16_t> zero(up(n_, 16) / 16, k16 - k, k, 0);
            InitConstValue(b1[k * 16].template ReinterpretCast<uint16_t>(), zero);
        }
        a1_.EnQue(a1);
        b1_.EnQue(b1);
        a1 = a1_.template DeQue<T>();
        b1 = b1_.template DeQue<T>();
        for (uint32_t k0 = 0; k0 < kb; k0 += PART / 16) Blocks<TB>(a1, b1, k0, least(PART / 16, kb - k0), kb);
        a1_.FreeTensor(a1);
        b1_.FreeTensor(b1);
    }

    // Fetch lays rows x cols out in L1 as blocks of 16 columns.
    __aicore__ inline void Fetch(const LocalTensor<T>& d, const GlobalTensor<T>& s, uint32_t row, uint32_t rows, uint32_t cols)
    {
        Nd2NzParams p;
        p.ndNum = 1, p.nValue = rows, p.dValue = cols, p.srcNdMatrixStride = 0, p.srcDValue = row;
        p.dstNzC0Stride = up(rows, 16), p.dstNzNStride = 1, p.dstNzMatrixStride = 0;
        DataCopy(d, s, p);
    }

    // Blocks multiplies kb blocks of k from block k0 of the `all` in L1.
    template <bool TB>
    __aicore__ inline void Blocks(const LocalTensor<T>& a1, const LocalTensor<T>& b1, uint32_t k0, uint32_t kb, uint32_t all)
    {
        LocalTensor<T> a2 = a2_.template AllocTensor<T>(), b2 = b2_.template AllocTensor<T>();
        uint32_t mb = up(m_, 16) / 16, nb = up(n_, 16) / 16;
        LoadData2DParams p;
        p.repeatTimes = mb, p.srcStride = 1, p.dstGap = kb - 1, p.ifTranspose = false;
        for (uint32_t j = 0; j < kb; j++) {
            p.startIndex = (k0 + j) * mb;
            LoadData(a2[j * 256], a1, p);
        }
        p.repeatTimes = nb, p.srcStride = TB ? all : 1, p.dstGap = 0, p.ifTranspose = TB;
        for (uint32_t j = 0; j < kb; j++) {
            p.startIndex = TB ? k0 + j : (k0 + j) * nb;
            LoadData(b2[j * nb * 256], b1, p);
        }
        a2_.EnQue(a2);
        b2_.EnQue(b2);
        a2 = a2_.template DeQue<T>();
        b2 = b2_.template DeQue<T>();
        MmadParams q;
        q.m = m_ == 1 ? 16 : m_; // one row would be taken as a vector of another layout
        q.n = n_, q.k = kb * 16, q.cmatrixInitVal = fresh_;
        Mmad(tile_, a2, b2, q);
        PipeBarrier<PIPE_M>(); // the next product reads this sum
        fresh_ = false;
        a2_.FreeTensor(a2);
        b2_.FreeTensor(b2);
    }

    __aicore__ inline void Store(const GlobalTensor<float>& d, uint32_t row, uint32_t n, bool add)
    {
        c_.EnQue(tile_);
        tile_ = c_.template DeQue<float>();
        FixpipeParamsV220 p;
        p.nSize = n, p.mSize = m_, p.srcStride = up(m_, 16), p.dstStride = row, p.ndNum = 1, p.quantPre = QuantMode_t::NoQuant;
        if (add) SetAtomicAdd<float>();
        Fixpipe(d, tile_, p);
        if (add) SetAtomicNone();
        c_.FreeTensor(tile_);
    }

    TQue<TPosition::A1, 1> a1_;
    TQue<TPosition::B1, 1> b1_;
    TQue<TPosition::A2, 1> a2_;
    TQue<TPosition::B2, 1> b2_;
    TQue<TPosition::CO1, 1> c_;
    Problem p_;
    GlobalTensor<T> x_, w_, weights_;
    GlobalTensor<float> logits_, sum_;
    LocalTensor<float> tile_;
    uint64_t to_; // where the sum of dx begins
    uint32_t m_, n_, first_; // rows, columns of the tile; first block of the range
    bool fresh_;
};
} // namespace head
