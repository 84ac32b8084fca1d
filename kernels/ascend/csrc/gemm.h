// Products on the cube: C[m,n] (+)= Σ op(A)·op(B) in one L0C tile, any number of terms.
//
// Operands are 16 bit and row major, sums f32. Forms by what is transposed:
//
//	NT  A [m,k]  B [n,k]   y = x·wᵀ + t·bᵀ
//	NN  A [m,k]  B [k,n]   dx = dy·w + dt·a
//	TN  A [k,m]  B [k,n]   dw = dyᵀ·x
//
// m, n and k are any numbers. Nd2Nz fills the last block of columns with zeros; rows of
// k beyond the end are zeroed here, because the cube multiplies whole blocks of 16. Rows
// of m and columns of n beyond the end are neither read, multiplied nor stored.
#pragma once
#include "kernel_operator.h"
#include "tiles.h"

namespace lorac {
using namespace AscendC;
using Address = GM_ADDR;

// Rounds says how a sum leaves L0C as a C.
template <typename C> struct Rounds;
template <> struct Rounds<float> { static constexpr QuantMode_t to = QuantMode_t::NoQuant; };
template <> struct Rounds<half> { static constexpr QuantMode_t to = QuantMode_t::F322F16; };
template <> struct Rounds<bfloat16_t> { static constexpr QuantMode_t to = QuantMode_t::F322BF16; };

template <typename T, bool TA, bool TB>
class Product {
public:
    __aicore__ inline void Init(TPipe* pipe, const Shape& s)
    {
        l_ = s.l;
        pipe->InitBuffer(a1_, 2, s.a1());
        pipe->InitBuffer(b1_, 2, s.b1());
        pipe->InitBuffer(a2_, 2, s.a2());
        pipe->InitBuffer(b2_, 2, s.b2());
        pipe->InitBuffer(c_, s.c, s.c0());
    }

    // FetchA starts the copy of the next step of A: m rows (of C) and k, from where `a` points.
    __aicore__ inline void FetchA(__gm__ T* a, uint32_t row, uint32_t m, uint32_t k)
    {
        LocalTensor<T> d = a1_.template AllocTensor<T>();
        Lay(d, a, row, TA ? k : m, TA ? m : k, up16(TA ? k : m));
        if (TA || m == 1) Zero(d, TA ? k : m, TA ? m : k); // a single row is multiplied as two
        a1_.EnQue(d);
    }

    __aicore__ inline void FetchB(__gm__ T* b, uint32_t row, uint32_t n, uint32_t k)
    {
        LocalTensor<T> d = b1_.template AllocTensor<T>();
        Lay(d, b, row, TB ? k : n, TB ? n : k, up16(TB ? k : n));
        if (TB) Zero(d, k, n);
        b1_.EnQue(d);
    }

    // FetchStack is FetchB of `count` matrices [n[i],k] one below the other, each from a
    // block of its own.
    __aicore__ inline void FetchStack(__gm__ T* const* b, const uint32_t* n, uint32_t count, uint64_t at, uint32_t row, uint32_t k)
    {
        LocalTensor<T> d = b1_.template AllocTensor<T>();
        uint32_t all = 0, from = 0;
        for (uint32_t i = 0; i < count; i++) all += up16(n[i]);
        for (uint32_t i = 0; i < count; from += up16(n[i]), i++)
            if (n[i] > 0) Lay(d[from * 16], b[i] + at, row, n[i], k, all);
        b1_.EnQue(d);
    }

    // Begin takes a tile of L0C for m x n sums.
    __aicore__ inline void Begin(uint32_t m, uint32_t n)
    {
        m_ = m, n_ = n, first_ = true;
        sum_ = c_.template AllocTensor<float>();
    }

    // Multiply adds the oldest fetched step, k of it, to the tile.
    __aicore__ inline void Multiply(uint32_t k)
    {
        LocalTensor<T> a1 = a1_.template DeQue<T>(), b1 = b1_.template DeQue<T>();
        uint32_t all = up16(k) / 16, most = l_ / 16;
        for (uint32_t k0 = 0; k0 < all; k0 += most) Blocks(a1, b1, k0, least(most, all - k0), all);
        a1_.FreeTensor(a1);
        b1_.FreeTensor(b1);
    }

    // End closes the sum; stores of it follow, and then Free.
    __aicore__ inline void End()
    {
        c_.EnQue(sum_);
        sum_ = c_.template DeQue<float>();
    }

    // Store writes n columns of the tile from column n0, a multiple of 16; f32 may be added to what is there.
    template <typename C>
    __aicore__ inline void Store(__gm__ C* c, uint32_t row, uint32_t n0, uint32_t n, bool add)
    {
        GlobalTensor<C> to;
        to.SetGlobalBuffer(c);
        FixpipeParamsV220 p;
        p.nSize = n; // any number: only blocked layouts need whole blocks
        p.mSize = m_;
        p.srcStride = up16(m_);
        p.dstStride = row;
        p.ndNum = 1;
        p.quantPre = Rounds<C>::to;
        if (add) SetAtomicAdd<C>();
        Fixpipe(to, sum_[n0 * up16(m_)], p);
        if (add) SetAtomicNone();
    }

    __aicore__ inline void Free() { c_.FreeTensor(sum_); }

private:
    // Lay copies rows x cols to L1 as blocks of 16 columns, `stride` rows each.
    __aicore__ inline void Lay(const LocalTensor<T>& d, __gm__ T* s, uint32_t row, uint32_t rows, uint32_t cols, uint32_t stride)
    {
        GlobalTensor<T> from;
        from.SetGlobalBuffer(s);
        if (row == 16 && cols == 16) return DataCopy(d, from, rows * 16); // one block of columns: as it lies
        Nd2NzParams p;
        p.ndNum = 1;
        p.nValue = rows;
        p.dValue = cols;
        p.srcNdMatrixStride = 0;
        p.srcDValue = row;
        p.dstNzC0Stride = stride;
        p.dstNzNStride = 1;
        p.dstNzMatrixStride = 0;
        DataCopy(d, from, p);
    }

    // Zero clears the rows from the last one to the end of its block.
    __aicore__ inline void Zero(const LocalTensor<T>& d, uint32_t rows, uint32_t cols)
    {
        if (rows % 16 == 0) return;
        InitConstValueParams<uint16_t> p(up16(cols) / 16, up16(rows) - rows, rows, 0);
        InitConstValue(d[rows * 16].template ReinterpretCast<uint16_t>(), p);
    }

    // Blocks multiplies kb blocks of k from block k0 of the `all` in L1.
    // L0A: blocks of m, along k. L0B: blocks of k, along n.
    __aicore__ inline void Blocks(const LocalTensor<T>& a1, const LocalTensor<T>& b1, uint32_t k0, uint32_t kb, uint32_t all)
    {
        LocalTensor<T> a2 = a2_.template AllocTensor<T>(), b2 = b2_.template AllocTensor<T>();
        uint32_t mb = up16(m_) / 16, nb = up16(n_) / 16;
        LoadData2DParams p;
        p.ifTranspose = TA;
        p.repeatTimes = mb;
        p.srcStride = TA ? all : 1;
        p.dstGap = kb - 1;
        for (uint32_t j = 0; j < kb; j++) {
            p.startIndex = TA ? k0 + j : (k0 + j) * mb;
            LoadData(a2[j * 256], a1, p);
        }
        p.ifTranspose = TB;
        p.srcStride = TB ? all : 1;
        p.dstGap = 0;
        p.repeatTimes = TB ? nb : kb * nb; // [n,k] lies in L1 as in L0B
        for (uint32_t j = 0; j < (TB ? kb : 1); j++) {
            p.startIndex = TB ? k0 + j : k0 * nb;
            LoadData(b2[j * nb * 256], b1, p);
        }
        a2_.EnQue(a2);
        b2_.EnQue(b2);
        a2 = a2_.template DeQue<T>();
        b2 = b2_.template DeQue<T>();
        MmadParams q;
        q.m = m_ == 1 ? 2 : m_; // one row would be taken as a vector laid out in another way
        q.n = n_;
        q.k = kb * 16;
        q.cmatrixInitVal = first_;
        Mmad(sum_, a2, b2, q);
        PipeBarrier<PIPE_M>(); // the next product reads this sum
        first_ = false;
        a2_.FreeTensor(a2);
        b2_.FreeTensor(b2);
    }

    TQue<TPosition::A1, 2> a1_;
    TQue<TPosition::B1, 2> b1_;
    TQue<TPosition::A2, 1> a2_;
    TQue<TPosition::B2, 1> b2_;
    TQue<TPosition::CO1, 1> c_;
    LocalTensor<float> sum_;
    uint32_t l_, m_, n_;
    bool first_;
};
} // namespace lorac
