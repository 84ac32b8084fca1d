// Causal attention over ragged sequences: o = softmax(scale·q·kᵀ)·v and the log of
// each row's denominator, lse. FlashAttention (Dao et al. 2022) in a mixed kernel: the
// cube core multiplies, its two vector cores take the softmax, half of the rows each.
//
// A step is a block of 128 queries of one head against up to 512 keys, in tiles of 64.
// Scores, weights and their product with v go through the group's workspace, which
// stays in L2: cube and vector cores share nothing nearer. The product is summed over
// the step in L0C, so that it crosses once for 512 keys.
#include "attention_softmax.h"

namespace {
template <typename T>
class Cube : public Attention<T>, CubeCore<T> {
public:
    __aicore__ inline void Buffers(TPipe* pipe, GM_ADDR q, GM_ADDR k, GM_ADDR v, uint64_t keys, uint64_t queries)
    {
        q_.SetGlobalBuffer((__gm__ T*)q, queries * this->queryRow_);
        k_.SetGlobalBuffer((__gm__ T*)k, keys * this->keyRow_);
        v_.SetGlobalBuffer((__gm__ T*)v, keys * this->keyRow_);
        uint32_t d = this->dim_;
        pipe->InitBuffer(q1_, 2, sizes::Queries(d));
        pipe->InitBuffer(k1_, 3, sizes::Keys(d));
        pipe->InitBuffer(p1_, 2, sizes::Weights);
        CubeCore<T>::Buffers(pipe, sizes::Left(d), sizes::Keys(d));
        pipe->InitBuffer(tile_, 2, sizes::Scores);
        pipe->InitBuffer(sum_, 1, sizes::Product(d));
    }

    // First writes the scores of a step.
    __aicore__ inline void First(const QueryStep& s, uint32_t half)
    {
        uint32_t d = this->dim_;
        if (s.begins) {
            LocalTensor<T> q = q1_.template AllocTensor<T>();
            Fetch(q, q_[uint64_t(s.query) * this->queryRow_ + s.head * d], this->queryRow_, s.rows, d);
            q1_.EnQue(q);
            query_ = q1_.template DeQue<T>();
        }
        LocalTensor<T> a = this->template Left<false>(query_, s.rows, d);
        for (uint32_t t = 0; t * COLS < s.keys; t++) {
            uint32_t n = Least(COLS, s.keys - t * COLS);
            LocalTensor<T> k = Bring(k_, s, t);
            LocalTensor<T> b = this->template Right<false>(k, n, d);
            k1_.FreeTensor(k);
            LocalTensor<float> c = tile_.template AllocTensor<float>();
            uint32_t from = t * COLS < s.upper ? 0 : HALF; // rows that see keys of the tile
            this->Multiply(c, a[from * d], b, s.rows - from, n, d, true);
            this->b2_.FreeTensor(b);
            tile_.EnQue(c);
            c = tile_.template DeQue<float>();
            this->Store(this->scores_[(half * STEP + t) * TILE + from * COLS], c, s.rows - from, n, COLS);
            tile_.FreeTensor(c);
        }
        this->a2_.FreeTensor(a);
        if (s.ends) q1_.FreeTensor(query_);
        CrossCoreSetFlag<2, PIPE_FIX>(S_READY);
    }

    // Second multiplies the weights of a step by v.
    __aicore__ inline void Second(const QueryStep& s, uint32_t half)
    {
        uint32_t d = this->dim_;
        LocalTensor<T> v = Bring(v_, s, 0); // while the weights are made
        CrossCoreWaitFlag(P_READY);
        // On the diagonal each half of the rows has a sum of its own, and its own last tile.
        uint32_t split = s.upper > 0 && s.upper + COLS <= Up(s.keys, COLS) ? HALF : s.rows;
        LocalTensor<float> c = sum_.template AllocTensor<float>();
        for (uint32_t t = 0; t * COLS < s.keys; t++) {
            uint32_t n = Least(COLS, s.keys - t * COLS);
            LocalTensor<T> b = this->template Right<true>(v, d, n);
            k1_.FreeTensor(v);
            if ((t + 1) * COLS < s.keys) v = Bring(v_, s, t + 1);
            LocalTensor<T> p = p1_.template AllocTensor<T>();
            Fetch(p, this->weights_[(half * STEP + t) * TILE], COLS, s.rows, Up(n, 16));
            p1_.EnQue(p);
            p = p1_.template DeQue<T>();
            LocalTensor<T> a = this->template Left<false>(p, s.rows, n);
            p1_.FreeTensor(p);
            if (split == s.rows || t * COLS < s.upper) this->Multiply(c, a, b, split, d, n, t == 0);
            if (split < s.rows) this->Multiply(c[split * d], a[split * Up(n, 16)], b, s.rows - split, d, n, t == 0);
            this->a2_.FreeTensor(a);
            this->b2_.FreeTensor(b);
        }
        sum_.EnQue(c);
        c = sum_.template DeQue<float>();
        this->Store(this->product_[half * ROWS * d], c, split, d, d);
        if (split < s.rows) this->Store(this->product_[(half * ROWS + split) * d], c[split * d], s.rows - split, d, d);
        sum_.FreeTensor(c);
        CrossCoreSetFlag<2, PIPE_FIX>(O_READY);
    }

private:
    __aicore__ inline LocalTensor<T> Bring(const GlobalTensor<T>& x, const QueryStep& s, uint32_t t)
    {
        LocalTensor<T> k = k1_.template AllocTensor<T>();
        uint32_t row = s.key + t * COLS;
        Fetch(k, x[uint64_t(row) * this->keyRow_ + s.head / this->share_ * this->dim_], this->keyRow_, Least(COLS, s.keys - t * COLS), this->dim_);
        k1_.EnQue(k);
        return k1_.template DeQue<T>();
    }

    GlobalTensor<T> q_, k_, v_;
    TQue<TPosition::A1, 1> q1_, p1_;
    TQue<TPosition::B1, 1> k1_;
    TQue<TPosition::CO1, 1> tile_, sum_;
    LocalTensor<T> query_;
};

template <typename T>
__aicore__ inline void Attend(GM_ADDR o, GM_ADDR lse, GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR starts, GM_ADDR rows, GM_ADDR ws, uint64_t keys, uint64_t queries, uint64_t seqs, uint64_t heads, uint64_t kvHeads, uint64_t headDim, uint64_t scale)
{
    TPipe pipe;
    Sequences seq;
    seq.Init(starts, rows, queries, seqs);
    if ASCEND_IS_AIC {
        Cube<T> core;
        core.Init(ws, GetBlockIdx(), heads, kvHeads, headDim);
        core.Buffers(&pipe, q, k, v, keys, queries);
        QuerySteps steps(seq, GetBlockIdx(), GetBlockNum(), heads, STEP * COLS);
        Run<QueryStep>(steps, core);
    }
    if ASCEND_IS_AIV {
        Vector<T> core(seq, FloatOf(scale));
        core.Init(ws, GetBlockIdx() / 2, heads, kvHeads, headDim);
        core.Buffers(&pipe, o, lse, queries, heads);
        QuerySteps steps(seq, GetBlockIdx() / 2, GetBlockNum(), heads, STEP * COLS);
        Run<QueryStep>(steps, core);
    }
}
} // namespace

#define LORAC_ATTENTION(NAME, T)                                                                                                                       \
    extern "C" __global__ __aicore__ void NAME(GM_ADDR o, GM_ADDR lse, GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR starts, GM_ADDR rows, GM_ADDR ws,       \
        uint64_t keys, uint64_t queries, uint64_t seqs, uint64_t heads, uint64_t kvHeads, uint64_t headDim, uint64_t scaleBits)                        \
    {                                                                                                                                                  \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);                                                                                              \
        Attend<T>(o, lse, q, k, v, starts, rows, ws, keys, queries, seqs, heads, kvHeads, headDim, scaleBits);                                         \
    }
LORAC_ATTENTION(attention_bf16, bfloat16_t)
LORAC_ATTENTION(attention_f16, half)
