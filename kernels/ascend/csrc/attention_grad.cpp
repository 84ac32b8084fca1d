// Gradients of causal attention over ragged sequences. With P = exp(scale·q·kᵀ − lse)
// and dS = scale·P∘(do·vᵀ − rowsum(do∘o)): dv = Pᵀ·do, dk = dSᵀ·q, dq = dS·k; dk and dv
// sum over the query heads that share a key head. P and dS are rounded to T.
//
// Each gradient is summed in L0C by the group of cores that owns it, and rounded once:
// a walk over blocks of 64 keys for dk and dv, then one over blocks of 128 queries for
// dq. The second recomputes P and dS, for sequences of more than one block of keys
// only: seven products instead of five, but no sum crosses groups, so that the bits
// depend neither on their number nor on the order in which they finish.
//
// The cube core multiplies; its two vector cores take half of the rows each.
#include "attention.h"

namespace {
namespace sizes = attention_sizes::gradient;
using sizes::KEY_STEP, sizes::STEP;

// A key step takes up to KEY_STEP blocks of queries against a block of keys. Keys that
// no query sees have one step without blocks.
struct KeyStep {
    struct Block {
        uint32_t head, query, rows;
    } block[KEY_STEP];
    uint32_t blocks, kvHead, key, keys;
    bool begins, ends, single; // single: the block is the whole sequence, so dq is here too
};

class KeySteps {
public:
    __aicore__ inline KeySteps(Sequences& seq, uint32_t group, uint32_t groups, uint32_t kvHeads, uint32_t share)
        : seq_(seq), item_(group), groups_(groups), kvHeads_(kvHeads), share_(share)
    {
        seq_.Restart();
    }
    __aicore__ inline bool Next(KeyStep& s)
    {
        s.begins = !inside_;
        if (!inside_) {
            while (item_ >= base_ + count_) {
                base_ += count_;
                if (!seq_.Next()) return false;
                count_ = (seq_.end - seq_.first + COLS - 1) / COLS * kvHeads_;
            }
            uint32_t n = item_ - base_;
            kvHead_ = n % kvHeads_, key_ = seq_.first + n / kvHeads_ * COLS;
            query_ = seq_.Find(key_, seq_.from, seq_.to), perHead_ = (seq_.to - query_ + ROWS - 1) / ROWS, done_ = 0;
            item_ += groups_;
        }
        s.kvHead = kvHead_, s.key = key_, s.keys = Least(COLS, seq_.end - key_), s.single = seq_.end - seq_.first <= COLS;
        for (s.blocks = 0; s.blocks < KEY_STEP && done_ < perHead_ * share_; s.blocks++, done_++) {
            uint32_t query = query_ + done_ % perHead_ * ROWS;
            s.block[s.blocks] = {kvHead_ * share_ + done_ / perHead_, query, Least(ROWS, seq_.to - query)};
        }
        inside_ = done_ < perHead_ * share_, s.ends = !inside_;
        return true;
    }

private:
    Sequences& seq_;
    uint64_t item_, base_ = 0, count_ = 0;
    uint32_t groups_, kvHeads_, share_, kvHead_, key_, query_, perHead_, done_;
    bool inside_ = false;
};

template <typename T>
class Gradient {
public:
    __aicore__ inline void Init(GM_ADDR ws, uint32_t group, uint32_t heads, uint32_t kvHeads, uint32_t headDim)
    {
        share_ = heads / kvHeads, dim_ = headDim, queryRow_ = heads * headDim, keyRow_ = kvHeads * headDim;
        constexpr uint32_t all = 2 * STEP * TILE;
        __gm__ uint8_t* mine = (__gm__ uint8_t*)ws + group * sizes::WORKSPACE;
        s_.SetGlobalBuffer((__gm__ float*)mine, all);
        dp_.SetGlobalBuffer((__gm__ float*)(mine + all * 4), all);
        p_.SetGlobalBuffer((__gm__ T*)(mine + all * 8), all);
        ds_.SetGlobalBuffer((__gm__ T*)(mine + all * 10), all);
    }

protected:
    __aicore__ inline uint64_t Slot(uint32_t half, uint32_t t) const { return (half * STEP + t) * TILE; }
    GlobalTensor<float> s_, dp_; // [2][STEP][ROWS][COLS]
    GlobalTensor<T> p_, ds_;
    uint32_t share_, dim_, queryRow_, keyRow_;
};

template <typename T>
class Cube : public Gradient<T>, CubeCore<T> {
public:
    __aicore__ inline void Buffers(TPipe* pipe, GM_ADDR dq, GM_ADDR dk, GM_ADDR dv, GM_ADDR dO, GM_ADDR q, GM_ADDR k, GM_ADDR v, uint64_t keys, uint64_t queries)
    {
        Bind(dq_, dq, queries * this->queryRow_), Bind(q_, q, queries * this->queryRow_), Bind(do_, dO, queries * this->queryRow_);
        Bind(dk_, dk, keys * this->keyRow_), Bind(dv_, dv, keys * this->keyRow_), Bind(k_, k, keys * this->keyRow_), Bind(v_, v, keys * this->keyRow_);
        uint32_t d = this->dim_;
        pipe->InitBuffer(fixed_, 2, sizes::Fixed(d));
        pipe->InitBuffer(held_, 2, sizes::Held(d));
        pipe->InitBuffer(flow_, 2, sizes::Flow);
        CubeCore<T>::Buffers(pipe, sizes::Left(d), sizes::Right(d));
        pipe->InitBuffer(tile_, 2, sizes::Scores);
        pipe->InitBuffer(sum_, 1, sizes::Sums(d));
    }

    // ---- keys: S and dP of some blocks of queries; then dv, dk ----
    __aicore__ inline void First(const KeyStep& s, uint32_t half)
    {
        if (s.blocks == 0) return;
        uint32_t d = this->dim_;
        if (s.begins) {
            ahead_ ^= 1;
            fixedOf_[ahead_] = Pair(fixed_, k_, v_, At(s), this->keyRow_, s.keys, COLS * d);
        }
        LocalTensor<T> h = held_.template AllocTensor<T>();
        for (uint32_t t = 0; t < s.blocks; t++) {
            uint64_t at = At(s.block[t]);
            Fetch(h[2 * t * ROWS * d], q_[at], this->queryRow_, s.block[t].rows, d);
            Fetch(h[(2 * t + 1) * ROWS * d], do_[at], this->queryRow_, s.block[t].rows, d);
        }
        held_.EnQue(h);
        h = heldOf_[half] = held_.template DeQue<T>();
        for (uint32_t which = 0; which < 2; which++) { // S = q·kᵀ, dP = do·vᵀ
            LocalTensor<T> b = this->template Right<false>(fixedOf_[ahead_][which * COLS * d], s.keys, d);
            for (uint32_t t = 0; t < s.blocks; t++) {
                LocalTensor<T> a = this->template Left<false>(h[(2 * t + which) * ROWS * d], s.block[t].rows, d);
                Tile((which ? this->dp_ : this->s_)[this->Slot(half, t)], a, b, s.block[t].rows, s.keys, d, COLS);
                this->a2_.FreeTensor(a);
            }
            this->b2_.FreeTensor(b);
        }
        CrossCoreSetFlag<2, PIPE_FIX>(S_READY);
    }
    __aicore__ inline void Second(const KeyStep& s, uint32_t half)
    {
        if (s.blocks == 0) return;
        uint32_t d = this->dim_, wide = Up(s.keys, 16);
        CrossCoreWaitFlag(P_READY);
        if (s.begins) sumOf_ = sum_.template AllocTensor<float>(), behind_ ^= 1;
        LocalTensor<T> h = heldOf_[half];
        for (uint32_t t = 0; t < s.blocks; t++) {
            uint32_t rows = s.block[t].rows;
            LocalTensor<T> f = flow_.template AllocTensor<T>();
            Fetch(f, this->p_[this->Slot(half, t)], COLS, rows, wide);
            Fetch(f[TILE], this->ds_[this->Slot(half, t)], COLS, rows, wide);
            flow_.EnQue(f);
            f = flow_.template DeQue<T>();
            for (uint32_t which = 0; which < 2; which++) { // dv += Pᵀ·do, dk += dSᵀ·q
                LocalTensor<T> a = this->template Left<true>(f[which * TILE], s.keys, rows);
                LocalTensor<T> b = this->template Right<true>(h[(2 * t + 1 - which) * ROWS * d], d, rows);
                this->Multiply(sumOf_[which * COLS * d], a, b, s.keys, d, rows, s.begins && t == 0);
                this->a2_.FreeTensor(a);
                this->b2_.FreeTensor(b);
            }
            if (s.single) { // dq = dS·k
                LocalTensor<T> a = this->template Left<false>(f[TILE], rows, s.keys);
                LocalTensor<T> b = this->template Right<true>(fixedOf_[behind_], d, s.keys);
                Tile(dq_[At(s.block[t])], a, b, rows, d, s.keys, this->queryRow_);
                this->a2_.FreeTensor(a);
                this->b2_.FreeTensor(b);
            }
            flow_.FreeTensor(f);
        }
        held_.FreeTensor(h);
        if (!s.ends) return;
        fixed_.FreeTensor(fixedOf_[behind_]);
        EndSum();
        this->Store(dv_[At(s)], sumOf_, s.keys, d, this->keyRow_);
        this->Store(dk_[At(s)], sumOf_[COLS * d], s.keys, d, this->keyRow_);
        sum_.FreeTensor(sumOf_);
    }

    // ---- queries: S and dP of some tiles of keys; then dq ----
    __aicore__ inline void First(const QueryStep& s, uint32_t half)
    {
        uint32_t d = this->dim_;
        if (s.begins) fixedOf_[0] = Pair(fixed_, q_, do_, At(s), this->queryRow_, s.rows, ROWS * d);
        LocalTensor<T> h = held_.template AllocTensor<T>();
        for (uint32_t t = 0; t * COLS < s.keys; t++) {
            uint64_t at = uint64_t(s.key + t * COLS) * this->keyRow_ + s.head / this->share_ * d;
            Fetch(h[2 * t * COLS * d], k_[at], this->keyRow_, Least(COLS, s.keys - t * COLS), d);
            Fetch(h[(2 * t + 1) * COLS * d], v_[at], this->keyRow_, Least(COLS, s.keys - t * COLS), d);
        }
        held_.EnQue(h);
        h = heldOf_[half] = held_.template DeQue<T>();
        for (uint32_t which = 0; which < 2; which++) {
            LocalTensor<T> a = this->template Left<false>(fixedOf_[0][which * ROWS * d], s.rows, d);
            for (uint32_t t = 0; t * COLS < s.keys; t++) {
                uint32_t keys = Least(COLS, s.keys - t * COLS);
                LocalTensor<T> b = this->template Right<false>(h[(2 * t + which) * COLS * d], keys, d);
                Tile((which ? this->dp_ : this->s_)[this->Slot(half, t)], a, b, s.rows, keys, d, COLS);
                this->b2_.FreeTensor(b);
            }
            this->a2_.FreeTensor(a);
        }
        if (s.ends) fixed_.FreeTensor(fixedOf_[0]);
        CrossCoreSetFlag<2, PIPE_FIX>(S_READY);
    }
    __aicore__ inline void Second(const QueryStep& s, uint32_t half)
    {
        uint32_t d = this->dim_;
        CrossCoreWaitFlag(P_READY);
        if (s.begins) sumOf_ = sum_.template AllocTensor<float>();
        LocalTensor<T> h = heldOf_[half];
        for (uint32_t t = 0; t * COLS < s.keys; t++) {
            uint32_t keys = Least(COLS, s.keys - t * COLS);
            LocalTensor<T> f = flow_.template AllocTensor<T>();
            Fetch(f, this->ds_[this->Slot(half, t)], COLS, s.rows, Up(keys, 16));
            flow_.EnQue(f);
            f = flow_.template DeQue<T>();
            LocalTensor<T> a = this->template Left<false>(f, s.rows, keys);
            flow_.FreeTensor(f);
            LocalTensor<T> b = this->template Right<true>(h[2 * t * COLS * d], d, keys);
            this->Multiply(sumOf_, a, b, s.rows, d, keys, s.begins && t == 0);
            this->a2_.FreeTensor(a);
            this->b2_.FreeTensor(b);
        }
        held_.FreeTensor(h);
        if (!s.ends) return;
        EndSum();
        this->Store(dq_[At(s)], sumOf_, s.rows, d, this->queryRow_);
        sum_.FreeTensor(sumOf_);
    }

private:
    __aicore__ inline void Bind(GlobalTensor<T>& x, GM_ADDR p, uint64_t n) { x.SetGlobalBuffer((__gm__ T*)p, n); }
    __aicore__ inline uint64_t At(const KeyStep& s) const { return uint64_t(s.key) * this->keyRow_ + s.kvHead * this->dim_; }
    template <typename Rows>
    __aicore__ inline uint64_t At(const Rows& s) const { return uint64_t(s.query) * this->queryRow_ + s.head * this->dim_; }
    // Pair brings the same rows of two matrices to L1, the second from element `second` on.
    template <typename Queue>
    __aicore__ inline LocalTensor<T> Pair(Queue& queue, const GlobalTensor<T>& x, const GlobalTensor<T>& y, uint64_t at, uint32_t stride, uint32_t rows, uint32_t second)
    {
        LocalTensor<T> l = queue.template AllocTensor<T>();
        Fetch(l, x[at], stride, rows, this->dim_);
        Fetch(l[second], y[at], stride, rows, this->dim_);
        queue.EnQue(l);
        return queue.template DeQue<T>();
    }
    // Tile multiplies to a tile of its own and writes it.
    template <typename D>
    __aicore__ inline void Tile(const GlobalTensor<D>& to, const LocalTensor<T>& a, const LocalTensor<T>& b, uint32_t m, uint32_t n, uint32_t k, uint32_t stride)
    {
        LocalTensor<float> c = tile_.template AllocTensor<float>();
        this->Multiply(c, a, b, m, n, k, true);
        tile_.EnQue(c);
        c = tile_.template DeQue<float>();
        this->Store(to, c, m, n, stride);
        tile_.FreeTensor(c);
    }
    __aicore__ inline void EndSum()
    {
        sum_.EnQue(sumOf_);
        sumOf_ = sum_.template DeQue<float>();
    }

    GlobalTensor<T> dq_, dk_, dv_, do_, q_, k_, v_;
    TQue<TPosition::A1, 1> fixed_, held_, flow_; // of an item, of a step, from the vector cores
    TQue<TPosition::CO1, 1> tile_, sum_;
    LocalTensor<T> fixedOf_[2], heldOf_[2];
    LocalTensor<float> sumOf_;
    uint32_t ahead_ = 1, behind_ = 1; // which of fixedOf_ the first and second halves use
};

template <typename T>
class Vector : public Gradient<T> {
public:
    __aicore__ inline Vector(const Sequences& seq, float scale) : seq_(seq), scale_(scale) {}
    __aicore__ inline void Buffers(TPipe* pipe, GM_ADDR dk, GM_ADDR dv, GM_ADDR dO, GM_ADDR o, GM_ADDR lse, GM_ADDR shared, uint64_t keys, uint32_t queries, uint32_t heads)
    {
        dk_.SetGlobalBuffer((__gm__ T*)dk, keys * this->keyRow_);
        dv_.SetGlobalBuffer((__gm__ T*)dv, keys * this->keyRow_);
        do_.SetGlobalBuffer((__gm__ T*)dO, uint64_t(queries) * this->queryRow_);
        o_.SetGlobalBuffer((__gm__ T*)o, uint64_t(queries) * this->queryRow_);
        lse_.SetGlobalBuffer((__gm__ float*)lse, uint64_t(queries) * heads);
        lseT_.SetGlobalBuffer((__gm__ float*)shared, uint64_t(queries) * heads);
        deltaT_.SetGlobalBuffer((__gm__ float*)shared + uint64_t(queries) * heads, uint64_t(queries) * heads);
        heads_ = heads, queries_ = queries;
        uint32_t d = this->dim_;
        pipe->InitBuffer(sIn_, 2, sizes::In(d));
        pipe->InitBuffer(dpIn_, 2, sizes::In(d));
        pipe->InitBuffer(rowsIn_, 2, sizes::Rows);
        pipe->InitBuffer(pOut_, 2, sizes::Weights);
        pipe->InitBuffer(dsOut_, 2, sizes::Weights);
        pipe->InitBuffer(wideBuf_, sizes::Wide);
        pipe->InitBuffer(workBuf_, sizes::Work(d));
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
            if (mine.rows_ == 0) continue;
            uint32_t query = s.block[t].query + mine.from;
            Positions(query, mine.rows_);
            Widths(s.block[t].head, query, mine.rows_);
            Weigh<true>(this->Slot(half, t) + mine.from * COLS, mine.rows_, s.key);
        }
        CrossCoreSetFlag<2, PIPE_MTE3>(P_READY);
    }
    __aicore__ inline void First(const QueryStep& s, uint32_t half)
    {
        Share mine(s.rows);
        CrossCoreWaitFlag(S_READY);
        if (mine.rows_ > 0) {
            if (s.begins) {
                Positions(s.query + mine.from, mine.rows_);
                Widths(s.head, s.query + mine.from, mine.rows_);
            }
            for (uint32_t t = 0; t * COLS < s.keys; t++) Weigh<false>(this->Slot(half, t) + mine.from * COLS, mine.rows_, s.key + t * COLS);
        }
        CrossCoreSetFlag<2, PIPE_MTE3>(P_READY);
    }
    template <typename Step>
    __aicore__ inline void Second(const Step&, uint32_t) {}

private:
    __aicore__ inline void Positions(uint32_t query, uint32_t rows)
    {
        for (uint32_t i = 0; i < rows; i++) at_[i] = seq_.Position(query + i);
    }
    // Widths brings lse and delta of some rows, each number eight times.
    __aicore__ inline void Widths(uint32_t head, uint32_t query, uint32_t rows)
    {
        LocalTensor<float> x = rowsIn_.template AllocTensor<float>();
        uint64_t at = uint64_t(head) * queries_ + query;
        DataCopyExtParams p(1, rows * 4, 0, 0, 0);
        DataCopyPad(x, lseT_[at], p, DataCopyPadExtParams<float>(false, 0, 0, 0));
        DataCopyPad(x[HALF], deltaT_[at], p, DataCopyPadExtParams<float>(false, 0, 0, 0));
        rowsIn_.EnQue(x);
        x = rowsIn_.template DeQue<float>();
        PipeBarrier<PIPE_V>();
        Widen(lseWide_, x, rows);
        Widen(deltaWide_, x[HALF], rows);
        PipeBarrier<PIPE_V>();
        rowsIn_.FreeTensor(x);
    }
    // Weigh makes dS of rows of one tile, and P if it is wanted.
    template <bool weights>
    __aicore__ inline void Weigh(uint64_t at, uint32_t rows, uint32_t key)
    {
        uint32_t n = rows * COLS;
        LocalTensor<float> s = sIn_.template AllocTensor<float>(), dp = dpIn_.template AllocTensor<float>();
        DataCopy(s, this->s_[at], n);
        DataCopy(dp, this->dp_[at], n);
        sIn_.EnQue(s);
        dpIn_.EnQue(dp);
        s = sIn_.template DeQue<float>(), dp = dpIn_.template DeQue<float>();
        Muls(s, s, scale_, n);
        Hide(dp, 0.0f, at_, rows, key);
        PipeBarrier<PIPE_V>();
        Hide(s, HIDDEN, at_, rows, key);
        PipeBarrier<PIPE_V>();
        LORAC_BY_ROW(Sub, s, lseWide_, rows, COLS);
        LORAC_BY_ROW(Sub, dp, deltaWide_, rows, COLS);
        PipeBarrier<PIPE_V>();
        Exp(s, s, n);
        Muls(dp, dp, scale_, n);
        PipeBarrier<PIPE_V>();
        if constexpr (weights) {
            LocalTensor<T> p = pOut_.template AllocTensor<T>();
            Cast(p, s, RoundMode::CAST_RINT, n);
            pOut_.EnQue(p);
            p = pOut_.template DeQue<T>();
            DataCopy(this->p_[at], p, n);
            pOut_.FreeTensor(p);
        }
        Mul(dp, dp, s, n);
        PipeBarrier<PIPE_V>();
        LocalTensor<T> ds = dsOut_.template AllocTensor<T>();
        Cast(ds, dp, RoundMode::CAST_RINT, n);
        dsOut_.EnQue(ds);
        sIn_.FreeTensor(s);
        dpIn_.FreeTensor(dp);
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
        DataCopyPad(lseT_[uint64_t(head) * queries_ + query], out, one);
        DataCopyPad(deltaT_[uint64_t(head) * queries_ + query], out[HALF], one);
        dsOut_.FreeTensor(out);
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

    GlobalTensor<T> dk_, dv_, do_, o_;
    GlobalTensor<float> lse_, lseT_, deltaT_; // [queries, heads]; [heads, queries]
    TQue<TPosition::VECIN, 1> sIn_, dpIn_, rowsIn_;
    TQue<TPosition::VECOUT, 1> pOut_, dsOut_;
    TBuf<TPosition::VECCALC> wideBuf_, workBuf_;
    LocalTensor<float> lseWide_, deltaWide_, work_;
    const Sequences& seq_;
    float scale_;
    uint32_t heads_, queries_;
    uint32_t at_[HALF]; // token rows of this core's queries
};

template <typename T, typename Core>
__aicore__ inline void Walk(Core& core, Sequences& seq, uint32_t group, uint32_t heads, uint32_t kvHeads)
{
    KeySteps byKey(seq, group, GetBlockNum(), kvHeads, heads / kvHeads);
    Run<KeyStep>(byKey, core);
    QuerySteps byQuery(seq, group, GetBlockNum(), heads, STEP * COLS, COLS);
    Run<QueryStep>(byQuery, core);
}

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
        uint32_t group = GetBlockIdx();
        Cube<T> core;
        core.Init(a.ws, group, a.heads, a.kvHeads, a.headDim);
        core.Buffers(&pipe, a.dq, a.dk, a.dv, a.dO, a.q, a.k, a.v, a.keys, a.queries);
        Walk<T>(core, seq, group, a.heads, a.kvHeads);
    }
    if ASCEND_IS_AIV {
        uint32_t group = GetBlockIdx() / 2;
        Vector<T> core(seq, a.scale);
        core.Init(a.ws, group, a.heads, a.kvHeads, a.headDim);
        core.Buffers(&pipe, a.dk, a.dv, a.dO, a.o, a.lse, a.ws + GetBlockNum() * sizes::WORKSPACE, a.keys, a.queries, a.heads);
        core.Prepare(GetBlockIdx(), 2 * GetBlockNum());
        Walk<T>(core, seq, group, a.heads, a.kvHeads);
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
