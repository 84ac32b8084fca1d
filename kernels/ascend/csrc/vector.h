// What the kernels of the vector cores share: copies of any length, sums of rows in
// a fixed order, factors for each row or column, and the split of work over cores.
#pragma once
#include "kernel_operator.h"

namespace vec {
using namespace AscendC;

constexpr uint32_t UB_BYTES = 184 * 1024; // bytes a kernel may use: some APIs reserve the last 8 KiB of 192
constexpr uint32_t LANES = 64;            // f32 numbers in one repeat
constexpr uint32_t BLOCK = 8;             // f32 numbers in 32 bytes

// A float travels as the bits of an integer.
__aicore__ inline float fromBits(uint64_t v)
{
    union {
        uint32_t u;
        float f;
    } b;
    b.u = static_cast<uint32_t>(v);
    return b.f;
}
__aicore__ inline uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }
__aicore__ inline constexpr uint64_t up(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

// order makes the second pipe of E wait for what the first was given so far.
template <HardEvent E>
__aicore__ inline void order()
{
    event_t id = static_cast<event_t>(GetTPipePtr()->FetchEventID(E));
    SetFlag<E>(id);
    WaitFlag<E>(id);
}

// Range is the part of n that this core takes, one range a core: of share whole units.
struct Range {
    uint64_t from, to;
};
__aicore__ inline Range part(uint64_t n, uint64_t each)
{
    uint64_t from = least(n, each * GetBlockIdx());
    return {from, least(n, from + each)};
}
__aicore__ inline Range share(uint64_t n, uint64_t unit)
{
    uint64_t blocks = GetBlockNum();
    return part(n, up((n + blocks - 1) / blocks, unit));
}

// shareRows gives a core at least so many rows that an f32 vector, which each core
// reads by itself, is at most a tenth of what it moves: bytes for each number of a row.
__aicore__ inline Range shareRows(uint64_t rows, uint64_t bytes)
{
    uint64_t blocks = GetBlockNum(), each = (rows + blocks - 1) / blocks, fewest = (40 + bytes - 1) / bytes;
    return part(rows, each < fewest ? fewest : each);
}

template <typename T>
__aicore__ inline GlobalTensor<T> global(GM_ADDR p, uint64_t n)
{
    GlobalTensor<T> g;
    g.SetGlobalBuffer((__gm__ T*)p, n);
    return g;
}

// load and store copy n elements, whatever n is. What load leaves in the last 32
// bytes after them is no number of the tensor.
template <typename T>
__aicore__ inline void load(const LocalTensor<T>& d, const GlobalTensor<T>& s, uint32_t n)
{
    DataCopyPad(d, s, DataCopyExtParams(1, n * sizeof(T), 0, 0, 0), DataCopyPadExtParams<T>());
}
template <typename T>
__aicore__ inline void store(const GlobalTensor<T>& d, const LocalTensor<T>& s, uint32_t n)
{
    DataCopyPad(d, s, DataCopyExtParams(1, n * sizeof(T), 0, 0, 0));
}

// take loads n elements through a queue; the caller frees the tensor.
template <typename T, typename Q>
__aicore__ inline LocalTensor<T> take(Q& q, const GlobalTensor<T>& s, uint32_t n)
{
    LocalTensor<T> t = q.template AllocTensor<T>();
    load(t, s, n);
    q.EnQue(t);
    return q.template DeQue<T>();
}

// give stores what the vector unit wrote to a tensor of a queue, and frees it.
template <typename T, typename Q>
__aicore__ inline void give(Q& q, const GlobalTensor<T>& d, LocalTensor<T> t, uint32_t n)
{
    q.EnQue(t);
    t = q.template DeQue<T>();
    store(d, t, n);
    q.FreeTensor(t);
}

// widen loads 16-bit numbers as f32.
template <typename T, typename Q>
__aicore__ inline void widen(const LocalTensor<float>& d, Q& q, const GlobalTensor<T>& s, uint32_t n)
{
    LocalTensor<T> t = take(q, s, n);
    Cast(d, t, RoundMode::CAST_NONE, n);
    q.FreeTensor(t);
}

// narrow stores f32 numbers in 16 bits, to nearest, ties to even.
template <typename T, typename Q>
__aicore__ inline void narrow(Q& q, const GlobalTensor<T>& d, const LocalTensor<float>& s, uint32_t n)
{
    LocalTensor<T> t = q.template AllocTensor<T>();
    Cast(t, s, RoundMode::CAST_RINT, n);
    give(q, d, t, n);
}

// Tile is rows of cols f32 numbers in UB, one after the other; cols is a multiple of
// 8. Rows up to WIDE columns are taken together, a repeat each: the distance of
// repeats is at most 255 blocks. The results do not depend on which way it is.
struct Tile {
    uint32_t rows, cols;
    static constexpr uint32_t WIDE = 255 * BLOCK;
    __aicore__ inline uint32_t size() const { return rows * cols; }
    __aicore__ inline bool together() const { return cols <= WIDE; }
    __aicore__ inline uint8_t stride() const { return static_cast<uint8_t>(cols / BLOCK); }
};

struct Multiply {
    template <typename... A>
    __aicore__ inline void operator()(const A&... a) const { Mul(a...); }
};
struct MultiplyAdd {
    template <typename... A>
    __aicore__ inline void operator()(const A&... a) const { MulAddDst(a...); }
};
struct Subtract {
    template <typename... A>
    __aicore__ inline void operator()(const A&... a) const { Sub(a...); }
};
struct Plus {
    template <typename... A>
    __aicore__ inline void operator()(const A&... a) const { Add(a...); }
};
struct Larger {
    template <typename... A>
    __aicore__ inline void operator()(const A&... a) const { Max(a...); }
};

// byRow: d[i][j] = op(a[i][j], wide[i]), wide a block of 8 equal numbers for each row.
template <typename Op>
__aicore__ inline void byRow(Op op, Tile t, const LocalTensor<float>& d, const LocalTensor<float>& a, const LocalTensor<float>& wide)
{
    if (t.together()) {
        for (uint32_t j = 0; j < t.cols; j += LANES)
            op(d[j], a[j], wide, least(LANES, t.cols - j), static_cast<uint8_t>(t.rows), BinaryRepeatParams(1, 1, 0, t.stride(), t.stride(), 1));
        return;
    }
    uint32_t whole = t.cols / LANES, rest = t.cols % LANES;
    for (uint32_t i = 0; i < t.rows; i++) {
        uint32_t at = i * t.cols;
        op(d[at], a[at], wide[i * BLOCK], uint64_t(LANES), static_cast<uint8_t>(whole), BinaryRepeatParams(1, 1, 0, 8, 8, 0));
        at += whole * LANES;
        if (rest > 0) op(d[at], a[at], wide[i * BLOCK], uint64_t(rest), static_cast<uint8_t>(1), BinaryRepeatParams(1, 1, 0, 8, 8, 0));
    }
}

// byColumn: d[i][j] = op(a[i][j], g[j]).
template <typename Op>
__aicore__ inline void byColumn(Op op, Tile t, const LocalTensor<float>& d, const LocalTensor<float>& a, const LocalTensor<float>& g)
{
    if (t.together()) {
        for (uint32_t j = 0; j < t.cols; j += LANES)
            op(d[j], a[j], g[j], least(LANES, t.cols - j), static_cast<uint8_t>(t.rows), BinaryRepeatParams(1, 1, 1, t.stride(), t.stride(), 0));
        return;
    }
    for (uint32_t i = 0; i < t.rows; i++) op(d[i * t.cols], a[i * t.cols], g, t.cols);
}

// pairs: d[i][j] = op(a[i][j], b[i][j]) for the first n columns; d has dcols columns.
template <typename Op>
__aicore__ inline void pairs(Op op, Tile t, uint32_t n, const LocalTensor<float>& d, uint32_t dcols, const LocalTensor<float>& a, const LocalTensor<float>& b)
{
    if (t.together() && t.rows > 1) {
        for (uint32_t j = 0; j < n; j += LANES)
            op(d[j], a[j], b[j], least(LANES, n - j), static_cast<uint8_t>(t.rows), BinaryRepeatParams(1, 1, 1, static_cast<uint8_t>(dcols / BLOCK), t.stride(), t.stride()));
        return;
    }
    for (uint32_t i = 0; i < t.rows; i++) op(d[i * dcols], a[i * t.cols], b[i * t.cols], n);
}

// fold brings each row down to at most 64 columns by a tree of op, in place, and
// returns how many are left. The order follows from the columns alone.
template <typename Op>
__aicore__ inline uint32_t fold(Op op, Tile t, const LocalTensor<float>& x)
{
    uint32_t w = t.cols;
    while (w > LANES) {
        uint32_t h = up((w + 1) / 2, BLOCK);
        pairs(op, t, w - h, x, t.cols, x, x[h]);
        PipeBarrier<PIPE_V>();
        w = h;
    }
    return w;
}

// sumRows: d[i] = the sum of row i of x, which is overwritten.
__aicore__ inline void sumRows(const LocalTensor<float>& d, Tile t, const LocalTensor<float>& x)
{
    uint32_t w = fold(Plus(), t, x);
    if (t.together()) {
        WholeReduceSum<float>(d, x, w, t.rows, 1, 1, t.stride());
        PipeBarrier<PIPE_V>();
        return;
    }
    for (uint32_t i = 0; i < t.rows; i++) {
        WholeReduceSum<float>(d[i], x[i * t.cols], w, 1, 1, 1, 8);
        PipeBarrier<PIPE_V>(); // the next one writes the same 32 bytes
    }
}

// sum: d[0] = the sum of n numbers, n any; they are overwritten.
__aicore__ inline void sum(const LocalTensor<float>& d, const LocalTensor<float>& x, uint32_t n)
{
    uint32_t w = fold(Plus(), Tile{1, n}, x);
    WholeReduceSum<float>(d, x, w, 1, 1, 1, 8);
    PipeBarrier<PIPE_V>();
}

// dotRows: d[i] = Σ over j of a[i][j]·b[i][j]; tmp has room for half of the tile.
__aicore__ inline void dotRows(const LocalTensor<float>& d, Tile t, const LocalTensor<float>& a, const LocalTensor<float>& b, const LocalTensor<float>& tmp)
{
    uint32_t h = t.cols / 2;
    pairs(Multiply(), t, h, tmp, h, a, b);
    PipeBarrier<PIPE_V>();
    pairs(MultiplyAdd(), t, h, tmp, h, a[h], b[h]);
    PipeBarrier<PIPE_V>();
    sumRows(d, Tile{t.rows, h}, tmp);
}

// spread writes each of n numbers to a block of 8, so that byRow can take them.
__aicore__ inline void spread(const LocalTensor<float>& wide, const LocalTensor<float>& s, uint32_t n)
{
    Brcb(wide, s, static_cast<uint8_t>((n + 7) / 8), BrcbRepeatParams(1, 8));
}
} // namespace vec

// LORAC_VECTOR defines kernel name for bf16 and f16: a call that may use T.
#define LORAC_VECTOR(name, params, ...)                 \
    extern "C" __global__ __aicore__ void name##_bf16 params \
    {                                                   \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY); \
        using T = bfloat16_t;                           \
        __VA_ARGS__;                                    \
    }                                                   \
    extern "C" __global__ __aicore__ void name##_f16 params \
    {                                                   \
        KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_AIV_ONLY); \
        using T = half;                                 \
        __VA_ARGS__;                                    \
    }
