// Gradients of causal attention over ragged sequences. With P = exp(scale·q·kᵀ − lse)
// and dS = scale·P∘(do·vᵀ − rowsum(do∘o)): dv = Pᵀ·do, dk = dSᵀ·q, dq = dS·k; dk and dv
// sum over the query heads that share a key head. P and dS are rounded to T.
//
// A group of cores takes a range of keys of a key head, in blocks of 64, with all
// queries that see them, in blocks of 128. dk and dv of a block of keys are summed in
// L0C and rounded once. dq is summed in f32 in the workspace: block after block within
// a range, by the one group that has it; then range after range. So the bits depend
// neither on the number of groups nor on the order in which they finish.
//
// The cube core multiplies; its two vector cores take half of the rows each.
#include "attention_grad_vector.h"

namespace {
template <typename T>
class Cube : public Gradient<T>, CubeCore<T> {
public:
    __aicore__ inline void Buffers(TPipe* pipe, GM_ADDR dq, GM_ADDR dk, GM_ADDR dv, GM_ADDR dO, GM_ADDR q, GM_ADDR k, GM_ADDR v, uint64_t keys, uint64_t queries)
    {
        Bind(dq_, dq, queries * this->queryRow_), Bind(q_, q, queries * this->queryRow_), Bind(do_, dO, queries * this->queryRow_);
        Bind(dk_, dk, keys * this->keyRow_), Bind(dv_, dv, keys * this->keyRow_), Bind(k_, k, keys * this->keyRow_), Bind(v_, v, keys * this->keyRow_);
        uint32_t d = this->dim_;
        pipe->InitBuffer(kv1_, 2, sizes::Keys(d));
        pipe->InitBuffer(q1_, 2, sizes::Queries(d));
        pipe->InitBuffer(p1_, 2, sizes::Weights);
        CubeCore<T>::Buffers(pipe, sizes::Left(d), sizes::Right(d));
        pipe->InitBuffer(tile_, 2, sizes::Scores);
        pipe->InitBuffer(sum_, 1, sizes::Sums(d));
    }

    // First writes the S and dP of a step.
    __aicore__ inline void First(const KeyStep& s, uint32_t half)
    {
        if (s.blocks == 0) return;
        uint32_t d = this->dim_;
        if (s.begins) {
            ahead_ ^= 1;
            keysOf_[ahead_] = BringKeys(s);
        }
        LocalTensor<T> h = q1_.template AllocTensor<T>();
        for (uint32_t t = 0; t < s.blocks; t++) {
            uint64_t at = At(s.block[t]);
            Fetch(h[2 * t * ROWS * d], q_[at], this->queryRow_, s.block[t].rows, d);
            Fetch(h[(2 * t + 1) * ROWS * d], do_[at], this->queryRow_, s.block[t].rows, d);
        }
        q1_.EnQue(h);
        h = queriesOf_[half] = q1_.template DeQue<T>();
        for (uint32_t which = 0; which < 2; which++) { // S = q·kᵀ, dP = do·vᵀ
            LocalTensor<T> b = this->template Right<false>(keysOf_[ahead_][which * COLS * d], s.keys, d);
            for (uint32_t t = 0; t < s.blocks; t++) {
                LocalTensor<T> a = this->template Left<false>(h[(2 * t + which) * ROWS * d], s.block[t].rows, d);
                Tile((which ? this->dp_ : this->s_)[this->Slot(half, t)], a, b, s.block[t].rows, s.keys, d, COLS);
                this->a2_.FreeTensor(a);
            }
            this->b2_.FreeTensor(b);
        }
        CrossCoreSetFlag<2, PIPE_FIX>(S_READY);
    }
    // Second adds the products of a step with P and dS.
    __aicore__ inline void Second(const KeyStep& s, uint32_t half)
    {
        if (s.blocks == 0) return;
        uint32_t d = this->dim_, wide = Up(s.keys, 16), part = d > 64 ? ROWS / 2 : ROWS; // rows of dq in a tile
        CrossCoreWaitFlag(P_READY);
        PipeBarrier<PIPE_FIX>(); // the sums of dq add to those of the step before
        if (s.begins) sumOf_ = sum_.template AllocTensor<float>(), behind_ ^= 1;
        LocalTensor<T> h = queriesOf_[half];
        for (uint32_t t = 0; t < s.blocks; t++) {
            uint32_t rows = s.block[t].rows;
            LocalTensor<T> f = p1_.template AllocTensor<T>();
            Fetch(f, this->p_[this->Slot(half, t)], COLS, rows, wide);
            Fetch(f[TILE], this->ds_[this->Slot(half, t)], COLS, rows, wide);
            p1_.EnQue(f);
            f = p1_.template DeQue<T>();
            for (uint32_t which = 0; which < 2; which++) { // dv += Pᵀ·do, dk += dSᵀ·q
                LocalTensor<T> a = this->template Left<true>(f[which * TILE], s.keys, rows);
                LocalTensor<T> b = this->template Right<true>(h[(2 * t + 1 - which) * ROWS * d], d, rows);
                this->Multiply(sumOf_[which * COLS * d], a, b, s.keys, d, rows, s.begins && t == 0);
                this->a2_.FreeTensor(a);
                this->b2_.FreeTensor(b);
            }
            LocalTensor<T> a = this->template Left<false>(f[TILE], rows, s.keys); // dq += dS·k
            LocalTensor<T> b = this->template Right<true>(keysOf_[behind_], d, s.keys);
            for (uint32_t r = 0; r < rows; r += part) {
                uint64_t row = s.block[t].query + r;
                uint32_t n = Least(part, rows - r);
                LocalTensor<T> ar = a[r * wide];
                if (s.single) Tile(dq_[row * this->queryRow_ + s.block[t].head * d], ar, b, n, d, s.keys, this->queryRow_);
                else Tile(this->partial_[(s.partial + row) * this->queryRow_ + s.block[t].head * d], ar, b, n, d, s.keys, this->queryRow_, !s.first);
            }
            this->a2_.FreeTensor(a);
            this->b2_.FreeTensor(b);
            p1_.FreeTensor(f);
        }
        q1_.FreeTensor(h);
        if (!s.ends) return;
        kv1_.FreeTensor(keysOf_[behind_]);
        sum_.EnQue(sumOf_);
        sumOf_ = sum_.template DeQue<float>();
        this->Store(dv_[At(s)], sumOf_, s.keys, d, this->keyRow_);
        this->Store(dk_[At(s)], sumOf_[COLS * d], s.keys, d, this->keyRow_);
        sum_.FreeTensor(sumOf_);
    }

private:
    __aicore__ inline void Bind(GlobalTensor<T>& x, GM_ADDR p, uint64_t n) { x.SetGlobalBuffer((__gm__ T*)p, n); }
    __aicore__ inline uint64_t At(const KeyStep& s) const { return uint64_t(s.key) * this->keyRow_ + s.kvHead * this->dim_; }
    __aicore__ inline uint64_t At(const KeyStep::Block& b) const { return uint64_t(b.query) * this->queryRow_ + b.head * this->dim_; }
    __aicore__ inline LocalTensor<T> BringKeys(const KeyStep& s)
    {
        LocalTensor<T> l = kv1_.template AllocTensor<T>();
        Fetch(l, k_[At(s)], this->keyRow_, s.keys, this->dim_);
        Fetch(l[COLS * this->dim_], v_[At(s)], this->keyRow_, s.keys, this->dim_);
        kv1_.EnQue(l);
        return kv1_.template DeQue<T>();
    }
    // Tile multiplies to a tile of its own, and writes it or adds it to what is there.
    template <typename D>
    __aicore__ inline void Tile(const GlobalTensor<D>& to, const LocalTensor<T>& a, const LocalTensor<T>& b, uint32_t m, uint32_t n, uint32_t k, uint32_t stride, bool adds = false)
    {
        LocalTensor<float> c = tile_.template AllocTensor<float>();
        this->Multiply(c, a, b, m, n, k, true);
        tile_.EnQue(c);
        c = tile_.template DeQue<float>();
        if (adds) SetAtomicAdd<float>();
        this->Store(to, c, m, n, stride);
        if (adds) SetAtomicNone();
        tile_.FreeTensor(c);
    }

    GlobalTensor<T> dq_, dk_, dv_, do_, q_, k_, v_;
    TQue<TPosition::A1, 1> kv1_, q1_, p1_;
    TQue<TPosition::CO1, 1> tile_, sum_;
    LocalTensor<T> keysOf_[2], queriesOf_[2];
    LocalTensor<float> sumOf_;
    uint32_t ahead_ = 1, behind_ = 1; // which of keysOf_ the first and second halves use
};

struct Arguments {
    __gm__ uint8_t *dq, *dk, *dv, *dO, *q, *k, *v, *o, *lse, *starts, *rows, *ws;
    uint64_t keys, queries, seqs, heads, kvHeads, headDim;
    float scale;
};

template <typename T>
__aicore__ inline void Differentiate(const Arguments& a)
{
    TPipe pipe;
    Sequences seq;
    seq.Init(a.starts, a.rows, a.queries, a.seqs);
    if ASCEND_IS_AIC {
        Cube<T> core;
        core.Init(a.ws, GetBlockIdx(), a.keys, a.queries, a.heads, a.kvHeads, a.headDim);
        core.Buffers(&pipe, a.dq, a.dk, a.dv, a.dO, a.q, a.k, a.v, a.keys, a.queries);
        KeySteps steps(seq, GetBlockIdx(), GetBlockNum(), a.heads, a.kvHeads);
        Run<KeyStep>(steps, core);
        CrossCoreSetFlag<2, PIPE_FIX>(SUMS_READY);
    }
    if ASCEND_IS_AIV {
        uint32_t core = GetBlockIdx(), cores = 2 * GetBlockNum();
        Vector<T> c(seq, a.scale);
        c.Init(a.ws, core / 2, a.keys, a.queries, a.heads, a.kvHeads, a.headDim);
        c.Buffers(&pipe, a.dq, a.dk, a.dv, a.dO, a.o, a.lse, a.keys, a.queries, a.heads);
        c.Prepare(core, cores);
        KeySteps steps(seq, core / 2, GetBlockNum(), a.heads, a.kvHeads);
        Run<KeyStep>(steps, c);
        c.Collect(seq, a.kvHeads, core, cores);
    }
}
} // namespace

#define LORAC_ATTENTION_GRAD(NAME, T)                                                                                                                  \
    extern "C" __global__ __aicore__ void NAME(GM_ADDR dq, GM_ADDR dk, GM_ADDR dv, GM_ADDR dO, GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR o, GM_ADDR lse, \
        GM_ADDR starts, GM_ADDR rows, GM_ADDR ws, uint64_t keys, uint64_t queries, uint64_t seqs, uint64_t heads, uint64_t headDim, uint64_t scale)    \
    {                                                                                                                                                  \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);                                                                                              \
        Differentiate<T>({dq, dk, dv, dO, q, k, v, o, lse, starts, rows, ws, keys, queries, seqs, heads >> 32, heads & 0xffffffff, headDim, FloatOf(scale)}); \
    }
LORAC_ATTENTION_GRAD(attention_grad_bf16, bfloat16_t)
LORAC_ATTENTION_GRAD(attention_grad_f16, half)
