// What the attention kernels share: the walk over blocks of queries, operands of the
// cube, masks. Sequences lie end to end; query i sits at token row rows[i] (row i
// without rows) and sees the keys of its sequence up to its own.
#pragma once
#include "kernel_operator.h"
#include "attention_sizes.h"

namespace {
using namespace AscendC;
using attention_sizes::COLS, attention_sizes::HALF, attention_sizes::Least, attention_sizes::ROWS, attention_sizes::TILE, attention_sizes::Up;

// Flags between the cube core and its two vector cores. The first three are set once a step.
constexpr uint16_t S_READY = 0, P_READY = 1, O_READY = 2, SUMS_READY = 3;
constexpr float HIDDEN = -1e30f; // the score of a key that a query does not see

__aicore__ inline float FloatOf(uint64_t bits)
{
    union { uint32_t u; float f; } b;
    b.u = uint32_t(bits);
    return b.f;
}

// Sequences are visited one after the other: keys [first, end), queries [from, to).
class Sequences {
public:
    __aicore__ inline void Init(GM_ADDR starts, GM_ADDR rows, uint32_t queries, uint32_t seqs)
    {
        starts_.SetGlobalBuffer((__gm__ int32_t*)starts, seqs + 1);
        sparse_ = rows != nullptr;
        if (sparse_) rows_.SetGlobalBuffer((__gm__ int32_t*)rows, queries);
        queries_ = queries, seqs_ = seqs;
        Restart();
    }
    __aicore__ inline void Restart() { at_ = first = end = from = to = 0; }
    __aicore__ inline bool Next()
    {
        if (at_ == seqs_) return false;
        at_++;
        first = end, end = uint32_t(starts_.GetValue(at_));
        from = to, to = Find(end, from, queries_);
        return true;
    }
    // Position is the token row of a query.
    __aicore__ inline uint32_t Position(uint32_t query) const { return sparse_ ? uint32_t(rows_.GetValue(query)) : query; }
    // Find returns the first query of [low, high) at a key or after it. The steps
    // double, so that many short sequences cost little each.
    __aicore__ inline uint32_t Find(uint32_t key, uint32_t low, uint32_t high) const
    {
        if (!sparse_) return key < low ? low : Least(key, high);
        uint32_t step = 1;
        while (low + step <= high && Position(low + step - 1) < key) low += step, step *= 2;
        high = Least(high, low + step - 1);
        while (low < high) {
            uint32_t mid = (low + high) / 2;
            if (Position(mid) < key) low = mid + 1;
            else high = mid;
        }
        return low;
    }
    uint32_t first, end, from, to;

private:
    GlobalTensor<int32_t> starts_, rows_;
    uint32_t at_, queries_, seqs_;
    bool sparse_;
};

// Items deals items to groups: forwards in one round, backwards in the next, so that
// those that get the larger items of one round get the smaller ones of the next.
class Items {
public:
    __aicore__ inline Items(uint32_t group, uint32_t groups) : item_(group), group_(group), groups_(groups) {}
    // Holds reports whether this group's next item is among the next `count`; if it is
    // not, they are passed.
    __aicore__ inline bool Holds(uint32_t count)
    {
        if (item_ < base_ + count) return true;
        base_ += count;
        return false;
    }
    // Take returns the place of the item, and turns to the next.
    __aicore__ inline uint32_t Take()
    {
        uint32_t at = uint32_t(item_ - base_);
        round_++;
        item_ = round_ * groups_ + (round_ % 2 ? groups_ - 1 - group_ : group_);
        return at;
    }

private:
    uint64_t item_, base_ = 0, round_ = 0;
    uint32_t group_, groups_;
};

// A step takes some keys against a block of queries of one head.
struct QueryStep {
    uint32_t head, query, rows, key, keys;
    uint32_t upper;    // of the keys, those that the first HALF rows see
    bool begins, ends; // the item: all keys of the block
};

// QuerySteps gives a group of cores its steps. Items are dealt in turn, in an order
// that does not depend on the number of groups: blocks of queries from the end of a
// sequence, where a query sees most, and all heads of a block one after the other.
class QuerySteps {
public:
    // A step has at most `span` keys.
    __aicore__ inline QuerySteps(Sequences& seq, uint32_t group, uint32_t groups, uint32_t heads, uint32_t span)
        : seq_(seq), items_(group, groups), heads_(heads), span_(span)
    {
        seq_.Restart();
    }
    __aicore__ inline bool Next(QueryStep& s)
    {
        if (done_ == keys_) {
            while (!items_.Holds(count_)) {
                if (!seq_.Next()) return false;
                count_ = (seq_.to - seq_.from + ROWS - 1) / ROWS * heads_;
            }
            uint32_t n = count_ - 1 - items_.Take();
            head_ = n % heads_, query_ = seq_.from + n / heads_ * ROWS, rows_ = Least(ROWS, seq_.to - query_);
            keys_ = seq_.Position(query_ + rows_ - 1) + 1 - seq_.first, done_ = 0;
            upper_ = seq_.Position(query_ + Least(HALF, rows_) - 1) + 1 - seq_.first;
        }
        s.head = head_, s.query = query_, s.rows = rows_;
        s.key = seq_.first + done_, s.keys = Least(span_, keys_ - done_), s.begins = done_ == 0;
        s.upper = upper_ > done_ ? Least(upper_ - done_, s.keys) : 0;
        done_ += s.keys, s.ends = done_ == keys_;
        return true;
    }

private:
    Sequences& seq_;
    Items items_;
    uint32_t heads_, span_, count_ = 0, head_, query_, rows_, upper_, keys_ = 0, done_ = 0;
};

// Run drives a core through its steps. The first half of a step comes before the
// second half of the step before it, also from item to item: so the cube works on
// the next scores while the vector cores work on these.
template <typename Step, typename Steps, typename Core>
__aicore__ inline void Run(Steps& steps, Core& core)
{
    Step now = {}, before = {};
    bool more = steps.Next(now), pending = false;
    for (uint32_t n = 0; more || pending; n++) {
        if (more) core.First(now, n % 2);
        if (pending) core.Second(before, (n + 1) % 2);
        before = now, pending = more;
        if (more) more = steps.Next(now);
    }
}

// ---- cube ----

// Fetch copies rows of a matrix to L1 in blocks of 16 columns; zeros fill the last 16 rows.
template <typename T>
__aicore__ inline void Fetch(const LocalTensor<T>& d, const GlobalTensor<T>& s, uint32_t stride, uint32_t rows, uint32_t cols)
{
    uint32_t up = Up(rows, 16);
    if (up > rows) InitConstValue(d[rows * 16].template ReinterpretCast<uint16_t>(), InitConstValueParams<uint16_t>(cols / 16, up - rows, rows, 0));
    Nd2NzParams p;
    p.ndNum = 1, p.nValue = rows, p.dValue = cols, p.srcNdMatrixStride = 0, p.srcDValue = stride;
    p.dstNzC0Stride = up, p.dstNzNStride = 1, p.dstNzMatrixStride = 0;
    DataCopy(d, s, p);
}

// CubeCore multiplies operands of L1. Extents are rounded up to 16.
template <typename T>
class CubeCore {
protected:
    __aicore__ inline void Buffers(TPipe* pipe, uint32_t left, uint32_t right)
    {
        pipe->InitBuffer(a2_, 2, left);
        pipe->InitBuffer(b2_, 2, right);
    }
    // Left brings a[m,k] to L0A; it lies in L1 as [m,k], or as [k,m] if transposed.
    template <bool transposed>
    __aicore__ inline LocalTensor<T> Left(const LocalTensor<T>& l1, uint32_t m, uint32_t k)
    {
        LocalTensor<T> a = a2_.template AllocTensor<T>();
        uint32_t mb = Up(m, 16) / 16, kb = Up(k, 16) / 16;
        LoadData2DParams p;
        p.repeatTimes = kb, p.srcStride = transposed ? 1 : mb, p.ifTranspose = transposed;
        for (uint32_t i = 0; i < mb; i++) {
            p.startIndex = transposed ? i * kb : i;
            LoadData(a[i * kb * 256], l1, p);
        }
        a2_.EnQue(a);
        return a2_.template DeQue<T>();
    }
    // Right brings b[k,n] to L0B; it lies in L1 as [k,n] if transposed, else as [n,k].
    template <bool transposed>
    __aicore__ inline LocalTensor<T> Right(const LocalTensor<T>& l1, uint32_t n, uint32_t k)
    {
        LocalTensor<T> b = b2_.template AllocTensor<T>();
        uint32_t nb = Up(n, 16) / 16, kb = Up(k, 16) / 16;
        LoadData2DParams p;
        p.ifTranspose = transposed;
        if constexpr (transposed) {
            p.repeatTimes = nb, p.srcStride = kb;
            for (uint32_t i = 0; i < kb; i++) {
                p.startIndex = i;
                LoadData(b[i * nb * 256], l1, p);
            }
        } else {
            p.startIndex = 0, p.repeatTimes = nb * kb, p.srcStride = 1;
            LoadData(b, l1, p);
        }
        b2_.EnQue(b);
        return b2_.template DeQue<T>();
    }
    __aicore__ inline void Multiply(const LocalTensor<float>& c, const LocalTensor<T>& a, const LocalTensor<T>& b, uint32_t m, uint32_t n, uint32_t k, bool begins)
    {
        MmadParams p;
        p.m = Up(m, 16), p.n = Up(n, 16), p.k = Up(k, 16), p.cmatrixInitVal = begins;
        if (!begins) PipeBarrier<PIPE_M>();
        Mmad(c, a, b, p);
    }
    // Store writes rows×cols of c; cols is rounded up to 16.
    template <typename D>
    __aicore__ inline void Store(const GlobalTensor<D>& d, const LocalTensor<float>& c, uint32_t rows, uint32_t cols, uint32_t stride)
    {
        FixpipeParamsV220 p;
        p.nSize = Up(cols, 16), p.mSize = rows, p.srcStride = Up(rows, 16), p.dstStride = stride, p.ndNum = 1;
        if constexpr (sizeof(D) == 4) p.quantPre = QuantMode_t::NoQuant;
        else if constexpr (std::is_same_v<D, half>) p.quantPre = QuantMode_t::F322F16;
        else p.quantPre = QuantMode_t::F322BF16;
        Fixpipe(d, c, p);
    }
    TQue<TPosition::A2, 1> a2_;
    TQue<TPosition::B2, 1> b2_;
};

// ---- vector ----

// Share is the rows of a block that fall to this vector core.
struct Share {
    __aicore__ inline explicit Share(uint32_t all)
    {
        uint32_t half = (all + 1) / 2;
        from = GetSubBlockIdx() == 0 ? 0 : half, rows = GetSubBlockIdx() == 0 ? half : all - half;
    }
    uint32_t from, rows;
};

// Hide overwrites what queries do not see in a tile: rows×COLS numbers, of queries at
// the ascending token rows `at`, and keys from row `key` on.
__aicore__ inline void Hide(const LocalTensor<float>& x, float value, const uint32_t* at, uint32_t rows, uint32_t key)
{
    if (at[0] + 1 >= key + COLS) return;
    uint32_t blind = 0;
    while (blind < rows && at[blind] < key) blind++;
    if (blind > 0) Duplicate(x, value, blind * COLS);
    for (uint32_t i = blind; i < rows && at[i] + 1 < key + COLS; i++) {
        uint64_t bits[2] = {~0ull << (at[i] + 1 - key), 0};
        Duplicate(x[i * COLS], value, bits, 1, 1, 8);
    }
}

// ByRow applies an operation to rows×cols numbers and one number of each row, which
// `wide` holds eight times.
#define LORAC_BY_ROW(OP, x, wide, rows, cols)                                                                                          \
    for (uint32_t c_ = 0; c_ < (cols); c_ += 64)                                                                                       \
    OP((x)[c_], (x)[c_], wide, uint64_t(Least(64, (cols) - c_)), rows, BinaryRepeatParams(1, 1, 0, (cols) / 8, (cols) / 8, 1))

// Widen writes each of the numbers eight times; it may read and write up to 7 more.
__aicore__ inline void Widen(const LocalTensor<float>& wide, const LocalTensor<float>& x, uint32_t n) { Brcb(wide, x, (n + 7) / 8, BrcbRepeatParams(1, 8)); }
} // namespace
